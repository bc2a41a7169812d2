// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPSessionStatus reports the state of the BGP session of one node with one BGPPeer, and of its BFD session. Speakers write one for
// each node and peer; it is deleted with the speaker's pod.
//
// The status is no subresource: the whole object is one observation, written at once.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=bgpsessionstatuses
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.node`
// +kubebuilder:printcolumn:name="Peer",type=string,JSONPath=`.status.peer`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="BFD",type=string,JSONPath=`.status.bfd.state`
// +kubebuilder:printcolumn:name="Prefixes",type=integer,JSONPath=`.status.prefixesSent`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.since`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Last Error",type=string,JSONPath=`.status.lastError`,priority=10
type BGPSessionStatus struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Status BGPSessionStatusStatus `json:"status,omitzero"`
}

// BGPSessionStatusStatus is one observation of a session.
type BGPSessionStatusStatus struct {
	// Node is the name of the node that has the session.
	//
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="Value is immutable"
	Node string `json:"node"`

	// Peer is the name of the BGPPeer.
	//
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="Value is immutable"
	Peer string `json:"peer"`

	// State is the state of the session (RFC 4271 8.2.2). A session that cannot be established is reported as Active during all attempts.
	//
	// +kubebuilder:validation:Enum=Idle;Connect;Active;OpenSent;OpenConfirm;Established
	State string `json:"state"`

	// Since is the time when the session was established, or lost.
	//
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// Reason is the reason why the session is not established, or why routes are not advertised over it; SessionEstablished without
	// a problem. Later versions may add reasons.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// Message describes the reason in a sentence.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// LastError describes why the session last ended, or why the last attempt failed; it stays when the session is established again.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	LastError string `json:"lastError,omitempty"`

	// LastErrorTime is the time when LastError first occurred.
	//
	// +optional
	LastErrorTime *metav1.Time `json:"lastErrorTime,omitempty"`

	// LocalAddress is the local address of the session.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	LocalAddress string `json:"localAddress,omitempty"`

	// RemoteAddress is the address and the port of the peer, as in 192.0.2.1:179 or [2001:db8::1]:179.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	RemoteAddress string `json:"remoteAddress,omitempty"`

	// LocalASN is the local ASN of the session.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Maximum=4294967295
	LocalASN uint32 `json:"localASN,omitempty"`

	// RemoteASN is the ASN in the peer's OPEN message.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Maximum=4294967295
	RemoteASN uint32 `json:"remoteASN,omitempty"`

	// RemoteRouterID is the BGP Identifier in the peer's OPEN message.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	RemoteRouterID string `json:"remoteRouterID,omitempty"`

	// HoldTime and KeepaliveTime are the negotiated timers.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="must be a duration such as 90s"
	HoldTime *metav1.Duration `json:"holdTime,omitempty"`
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="must be a duration such as 90s"
	KeepaliveTime *metav1.Duration `json:"keepaliveTime,omitempty"`

	// Families are the negotiated address families.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	Families []BGPFamily `json:"families,omitempty"`

	// GracefulRestart is true when both sides negotiated it.
	//
	// +optional
	GracefulRestart bool `json:"gracefulRestart,omitempty"`

	// PrefixesDesired is the number of prefixes to advertise to the peer.
	//
	// +optional
	PrefixesDesired int64 `json:"prefixesDesired,omitempty"`

	// PrefixesSent is the number of prefixes advertised to the peer. While Services change, it may be some seconds old.
	//
	// +optional
	PrefixesSent int64 `json:"prefixesSent"`

	// EstablishedCount counts how often the session was established since the speaker started, DroppedCount how often it was lost.
	//
	// +optional
	EstablishedCount int64 `json:"establishedCount,omitempty"`
	// +optional
	DroppedCount int64 `json:"droppedCount,omitempty"`

	// BFD is the state of the BFD session; absent when the peer has no BFDProfile.
	//
	// +optional
	BFD *BGPSessionBFD `json:"bfd,omitempty"`
}

// BGPFamily is an address family of BGP.
//
// +kubebuilder:validation:Enum=ipv4-unicast;ipv6-unicast
type BGPFamily string

// The address families that a session carries.
const (
	BGPFamilyIPv4 BGPFamily = "ipv4-unicast"
	BGPFamilyIPv6 BGPFamily = "ipv6-unicast"
)

// BGPSessionBFD is one observation of a BFD session (RFC 5880).
type BGPSessionBFD struct {
	// State is the local session state (RFC 5880 6.2).
	//
	// +kubebuilder:validation:Enum=AdminDown;Down;Init;Up
	State string `json:"state"`

	// RemoteState is the session state last reported by the remote system.
	//
	// +optional
	// +kubebuilder:validation:Enum=AdminDown;Down;Init;Up
	RemoteState string `json:"remoteState,omitempty"`

	// Since is the time when the session entered its state.
	//
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// Diagnostic is the diagnostic of the last session failure, in the words of RFC 5880 4.1.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Diagnostic string `json:"diagnostic,omitempty"`

	// TransmitInterval is the interval of transmitted packets.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="must be a duration such as 90s"
	TransmitInterval *metav1.Duration `json:"transmitInterval,omitempty"`

	// DetectionTime is the time without a received packet after which the session goes down.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="must be a duration such as 90s"
	DetectionTime *metav1.Duration `json:"detectionTime,omitempty"`

	// Reason and Message explain why a requested session does not work.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// BGPSessionStatusList is a list of status objects.
//
// +kubebuilder:object:root=true
type BGPSessionStatusList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPSessionStatus `json:"items"`
}
