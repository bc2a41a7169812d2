// SPDX-License-Identifier: Apache-2.0

package v1beta2

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPPeer is a BGP router to which nodes announce routes.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.spec.peerAddress`
// +kubebuilder:printcolumn:name="ASN",type=string,JSONPath=`.spec.peerASN`
// +kubebuilder:printcolumn:name="BFD Profile",type=string,JSONPath=`.spec.bfdProfile`
// +kubebuilder:printcolumn:name="Multi Hops",type=string,JSONPath=`.spec.ebgpMultiHop`
type BGPPeer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec BGPPeerSpec `json:"spec,omitempty"`
	// +optional
	Status BGPPeerStatus `json:"status,omitzero"`
}

// BGPPeerSpec configures the peer and the session with it.
//
// +kubebuilder:validation:XValidation:rule="(has(self.peerASN) && self.peerASN != 0) != (has(self.dynamicASN) && size(self.dynamicASN) > 0)",message="exactly one of peerASN and dynamicASN must be set"
// +kubebuilder:validation:XValidation:rule="(has(self.peerAddress) && size(self.peerAddress) > 0) != (has(self.interface) && size(self.interface) > 0)",message="exactly one of peerAddress and interface must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.keepaliveTime) || !has(self.holdTime) || duration(self.keepaliveTime) <= duration(self.holdTime)",message="keepaliveTime must not be longer than holdTime"
// +kubebuilder:validation:XValidation:rule="!has(self.ebgpMultiHop) || !self.ebgpMultiHop || !has(self.peerASN) || self.peerASN != self.myASN",message="ebgpMultiHop is for a peer with another ASN"
// +kubebuilder:validation:XValidation:rule="!has(self.password) || size(self.password) == 0 || !has(self.passwordSecret) || !has(self.passwordSecret.name) || size(self.passwordSecret.name) == 0",message="at most one of password and passwordSecret may be set"
type BGPPeerSpec struct {
	// MyASN is the local ASN.
	//
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Maximum=4294967295
	// +kubebuilder:validation:XValidation:rule="self != 0",message="myASN must not be 0"
	MyASN uint32 `json:"myASN"`

	// PeerASN is the ASN of the peer. Exactly one of peerASN and dynamicASN is set.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Maximum=4294967295
	PeerASN uint32 `json:"peerASN,omitempty"`

	// DynamicASN accepts the ASN from the peer's OPEN message: internal accepts only the local ASN, external every other.
	//
	// +optional
	DynamicASN DynamicASN `json:"dynamicASN,omitempty"`

	// LocalASN replaces myASN on the session with this peer.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Maximum=4294967295
	LocalASN uint32 `json:"localASN,omitempty"`

	// PeerAddress is the IP address of the peer. Exactly one of peerAddress and interface is set.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == '' || isIP(self)",message="invalid BGPPeer address: not an IP address"
	PeerAddress string `json:"peerAddress,omitempty"`

	// Interface of the node for an unnumbered session between link-local addresses.
	//
	// +optional
	Interface string `json:"interface,omitempty"`

	// SourceAddress is the local address of the session.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == '' || isIP(self)",message="invalid BGPPeer source address: not an IP address"
	SourceAddress string `json:"sourceAddress,omitempty"`

	// PeerPort is the TCP port of the peer.
	//
	// +optional
	// +kubebuilder:default=179
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16384
	PeerPort uint16 `json:"peerPort,omitempty"`

	// HoldTime is the proposed hold time (RFC 4271 4.2), after which a session without messages ends: 0, or at least 3 s. Unset means 90 s.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="(duration(self) >= duration('0s') && duration(self) < duration('1s')) || (duration(self) >= duration('3s') && duration(self) <= duration('65535s'))",message="invalid hold time: must be 0 or from 3s to 65535s"
	HoldTime *metav1.Duration `json:"holdTime,omitempty"`

	// KeepaliveTime is the interval between keepalive messages. Unset means a third of the hold time.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('65535s')",message="invalid keepalive time: must be from 0s to 65535s"
	KeepaliveTime *metav1.Duration `json:"keepaliveTime,omitempty"`

	// ConnectTime is the wait between attempts to connect, in whole seconds.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('65535s')",message="connectTime must be from 1s to 65535s"
	// +kubebuilder:validation:XValidation:rule="duration(self).getMilliseconds() % 1000 == 0",message="connectTime must be in whole seconds"
	ConnectTime *metav1.Duration `json:"connectTime,omitempty"`

	// RouterID is the local BGP Identifier, written as an IPv4 address.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == '' || isIP(self)",message="invalid router ID: not an IP address"
	RouterID string `json:"routerID,omitempty"`

	// NodeSelectors select the nodes that have a session with the peer; one that matches is enough. Empty means every node.
	//
	// +optional
	NodeSelectors []metav1.LabelSelector `json:"nodeSelectors,omitempty"`

	// Password for TCP MD5 signatures (RFC 2385). At most one of password and passwordSecret is set.
	//
	// +optional
	Password string `json:"password,omitempty"`

	// PasswordSecret names a Secret of type kubernetes.io/basic-auth in the suite's namespace; its key password is used.
	//
	// +optional
	PasswordSecret SecretReference `json:"passwordSecret,omitzero"`

	// BFDProfile is the name of the BFDProfile of the session. Unset means no BFD.
	//
	// +optional
	BFDProfile string `json:"bfdProfile,omitempty"`

	// EnableGracefulRestart makes the peer retain the node's routes while a speaker restarts (RFC 4724). It is immutable once set.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="enableGracefulRestart cannot be changed"
	EnableGracefulRestart bool `json:"enableGracefulRestart,omitempty"`

	// EBGPMultiHop allows routers between the node and an external peer.
	//
	// +optional
	EBGPMultiHop bool `json:"ebgpMultiHop,omitempty"`

	// VRF is the name of the VRF device of the session.
	//
	// +optional
	VRF string `json:"vrf,omitempty"`

	// DisableMP has no effect.
	//
	// Deprecated: use dualStackAddressFamily.
	//
	// +optional
	// +kubebuilder:default=false
	DisableMP bool `json:"disableMP,omitempty"`

	// DualStackAddressFamily announces routes of both address families over the session.
	//
	// +optional
	// +kubebuilder:default=false
	DualStackAddressFamily bool `json:"dualStackAddressFamily,omitempty"`
}

// DynamicASN selects the accepted ASNs of a peer without peerASN.
//
// +kubebuilder:validation:Enum=internal;external
type DynamicASN string

const (
	// DynamicASNInternal accepts a peer with our own ASN.
	DynamicASNInternal DynamicASN = "internal"
	// DynamicASNExternal accepts a peer with any other ASN.
	DynamicASNExternal DynamicASN = "external"
)

// SecretReference names a Secret.
//
// +structType=atomic
type SecretReference struct {
	// Name of the Secret.
	//
	// +optional
	Name string `json:"name,omitempty"`
	// Namespace is ignored: the Secret is read from the suite's namespace.
	//
	// +optional
	Namespace string `json:"namespace,omitempty"`
}

// BGPPeerStatus reports whether the peer is in use.
type BGPPeerStatus struct {
	// Conditions has the types Valid and Established.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BGPPeerList is a list of peers.
//
// +kubebuilder:object:root=true
type BGPPeerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPPeer `json:"items"`
}
