// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AddressConflict reports that an address of a pool is used outside the suite: by another host on the network, or by a node itself.
// Speakers write one for each address and detecting node, and delete it ten minutes after the last detection. Meanwhile the controller
// assigns the address to no Service; a Service that has it already keeps it and gets a condition.
//
// The status is no subresource: the whole object is one observation, written at once.
//
// +kubebuilder:object:root=true
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.status.address`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Hardware Address",type=string,JSONPath=`.status.hardwareAddress`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.node`
// +kubebuilder:printcolumn:name="Interface",type=string,JSONPath=`.status.interface`
// +kubebuilder:printcolumn:name="Withdrawn",type=boolean,JSONPath=`.status.withdrawn`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.firstSeen`
// +kubebuilder:printcolumn:name="Last Seen",type=date,JSONPath=`.status.lastSeen`
type AddressConflict struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Status AddressConflictStatus `json:"status,omitzero"`
}

// AddressConflictStatus is one observation.
type AddressConflictStatus struct {
	// Address is the address in conflict.
	//
	// +kubebuilder:validation:MaxLength=45
	Address string `json:"address"`

	// Node is the name of the node that detected the conflict.
	//
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node"`

	// Reason is AddressConflict when another host uses the address, LocalAddress when it is configured on an interface of the node,
	// NextHopAddress when a route of the node leads through it. It is NetworkAddress, BroadcastAddress or SubnetRouterAnycastAddress when the
	// address is the network, broadcast or subnet-router anycast address of a subnet of the node. Later versions may add reasons.
	//
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`

	// Interface is the interface of the node on which the other host was detected; empty when the node itself uses the address.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Interface string `json:"interface,omitempty"`

	// HardwareAddress is the hardware address of the other host; empty when the node itself uses the address.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	HardwareAddress string `json:"hardwareAddress,omitempty"`

	// Message describes the reason in a sentence.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// Withdrawn is true while the address is not announced because of the conflict.
	//
	// +optional
	Withdrawn bool `json:"withdrawn,omitempty"`

	// PartlyWithdrawn is true while the node has withdrawn the address on Interface only, and announces it on other interfaces; Withdrawn is
	// false then.
	//
	// +optional
	PartlyWithdrawn bool `json:"partlyWithdrawn,omitempty"`

	// FirstSeen is the time when the conflict began.
	FirstSeen metav1.Time `json:"firstSeen"`

	// LastSeen is the time of the last detection, to the minute.
	LastSeen metav1.Time `json:"lastSeen"`
}

// AddressConflictList is a list of address conflicts.
//
// +kubebuilder:object:root=true
type AddressConflictList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AddressConflict `json:"items"`
}
