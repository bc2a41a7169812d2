// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPPeer is a BGP router to which nodes announce routes. This version is a subset of v1beta2, with the same JSON: nothing is converted, and a
// timer that is absent here is absent there.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:deprecatedversion:warning="v1beta1 is deprecated, please use v1beta2"
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
// +kubebuilder:validation:XValidation:rule="!has(self.keepaliveTime) || !has(self.holdTime) || duration(self.keepaliveTime) <= duration(self.holdTime)",message="keepaliveTime must not be longer than holdTime"
// +kubebuilder:validation:XValidation:rule="!has(self.ebgpMultiHop) || !self.ebgpMultiHop || self.peerASN != self.myASN",message="ebgpMultiHop is for a peer with another ASN"
type BGPPeerSpec struct {
	// MyASN is the local ASN.
	//
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Maximum=4294967295
	// +kubebuilder:validation:XValidation:rule="self != 0",message="myASN must not be 0"
	MyASN uint32 `json:"myASN"`

	// PeerASN is the ASN of the peer.
	//
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Maximum=4294967295
	// +kubebuilder:validation:XValidation:rule="self != 0",message="peerASN must not be 0"
	PeerASN uint32 `json:"peerASN"`

	// PeerAddress is the IP address of the peer.
	//
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="invalid BGPPeer address: not an IP address"
	PeerAddress string `json:"peerAddress"`

	// SourceAddress is the local address of the session.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == '' || isIP(self)",message="invalid BGPPeer source address: not an IP address"
	SourceAddress string `json:"sourceAddress,omitempty"`

	// PeerPort is the TCP port of the peer. 0 and unset mean 179.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
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

	// RouterID is the local BGP Identifier, written as an IPv4 address.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == '' || isIP(self)",message="invalid router ID: not an IP address"
	RouterID string `json:"routerID,omitempty"`

	// NodeSelectors select the nodes that have a session with the peer; one that matches is enough. Empty means every node.
	//
	// +optional
	NodeSelectors []NodeSelector `json:"nodeSelectors,omitempty"`

	// Password for TCP MD5 signatures (RFC 2385).
	//
	// +optional
	Password string `json:"password,omitempty"`

	// BFDProfile is the name of the BFDProfile of the session. Unset means no BFD.
	//
	// +optional
	BFDProfile string `json:"bfdProfile,omitempty"`

	// EBGPMultiHop allows routers between the node and an external peer.
	//
	// +optional
	EBGPMultiHop bool `json:"ebgpMultiHop,omitempty"`
}

// NodeSelector selects nodes by label.
type NodeSelector struct {
	// MatchLabels are labels that a node must have.
	//
	// +optional
	MatchLabels map[string]string `json:"matchLabels,omitempty"`

	// MatchExpressions must all hold.
	//
	// +optional
	MatchExpressions []MatchExpression `json:"matchExpressions,omitempty"`
}

// MatchExpression is a requirement on one label.
type MatchExpression struct {
	// Key of the label.
	Key string `json:"key"`
	// Operator is In, NotIn, Exists or DoesNotExist.
	//
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	Operator string `json:"operator"`
	// Values that the operator compares with.
	//
	// +kubebuilder:validation:MinItems=1
	Values []string `json:"values"`
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
