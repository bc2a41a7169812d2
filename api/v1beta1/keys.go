// SPDX-License-Identifier: Apache-2.0

package v1beta1

// Annotations on Services. Each is also read with LegacyAnnotationPrefix in place of "metallb.io/"; the new key wins when it is present,
// even if it is empty.
const (
	// AnnotationAddressPool asks for addresses of the named IPAddressPool only.
	AnnotationAddressPool = "metallb.io/address-pool"
	// AnnotationLoadBalancerIPs asks for these addresses: one, or one of each family separated by a comma.
	AnnotationLoadBalancerIPs = "metallb.io/loadBalancerIPs"
	// AnnotationAllowSharedIP is the sharing key: Services with an equal, non-empty key may share an address.
	AnnotationAllowSharedIP = "metallb.io/allow-shared-ip"
	// AnnotationAllocatedFromPool is written by the controller: the pool that the Service's addresses come from.
	AnnotationAllocatedFromPool = "metallb.io/ip-allocated-from-pool"
	// AnnotationControllerNamespace is written by the controller beside its condition: the namespace of the installation that serves the Service.
	// So an installation takes back what it wrote itself and nothing of another one.
	AnnotationControllerNamespace = "metallb.io/controller-namespace"

	// AnnotationPrefix is the prefix of all annotations above.
	AnnotationPrefix = "metallb.io/"
	// LegacyAnnotationPrefix is the deprecated prefix that is still read.
	LegacyAnnotationPrefix = "metallb.universe.tf/"
)

// Labels on the status objects that speakers and the controller write.
const (
	// LabelNode is the node that a ServiceL2Status, ServiceBGPStatus or BGPSessionStatus speaks of.
	LabelNode = "metallb.io/node"
	// LabelPeer is the BGPPeer that a BGPSessionStatus speaks of. A name that is longer than a label ends in a hash.
	LabelPeer = "metallb.io/peer"
	// LabelServiceName is the name of the Service that a status object speaks of.
	LabelServiceName = "metallb.io/service-name"
	// LabelServiceNamespace is the namespace of the Service that a status object speaks of.
	LabelServiceNamespace = "metallb.io/service-namespace"
	// LabelComponentType is the component that wrote a ConfigurationState: controller or speaker.
	LabelComponentType = "metallb.io/component-type"
	// LabelNodeName is the node of the speaker that wrote a ConfigurationState.
	LabelNodeName = "metallb.io/node-name"
)

// LabelDrain on a node, empty or "true", takes the traffic of announcers that need no owner away from it.
const LabelDrain = "metallb.io/drain"

// MetalLBName is the only name under which a MetalLB resource is acted upon.
const MetalLBName = "metallb"
