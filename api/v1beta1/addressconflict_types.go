// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AddressConflict says that something else than the suite uses an address of a pool: another machine on the network, or a node itself.
// Speakers write it, one for each address and node that noticed, and take it away ten minutes after the last sighting. The controller
// grants the address to nobody meanwhile, and a Service that has it already keeps it and is told.
//
// It has no status subresource: all of it is one observation, written at once.
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
	// Address is the address that is used twice.
	//
	// +kubebuilder:validation:MaxLength=45
	Address string `json:"address"`

	// Node is the name of the node that noticed it.
	//
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node"`

	// Reason is AddressConflict when another machine uses the address, LocalAddress when it is configured on an interface of the node,
	// NextHopAddress when a route of the node leads through it. Later versions may add reasons.
	//
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`

	// Interface is the interface of the node on which the other machine was heard; empty when the node itself uses the address.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Interface string `json:"interface,omitempty"`

	// HardwareAddress is that of the other machine; empty when the node itself uses the address.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	HardwareAddress string `json:"hardwareAddress,omitempty"`

	// Message tells the same in a sentence.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// Withdrawn is whether the address is not announced because of this.
	//
	// +optional
	Withdrawn bool `json:"withdrawn,omitempty"`

	// FirstSeen is when the conflict began.
	FirstSeen metav1.Time `json:"firstSeen"`

	// LastSeen is when it was noticed last, exact to a minute.
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
