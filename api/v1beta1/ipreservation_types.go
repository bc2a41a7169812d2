// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IPReservation excludes free addresses of pools from assignment: to all Services, or to all but one. It never takes an address
// away from a Service that has it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.status.addresses`
// +kubebuilder:printcolumn:name="Service Namespace",type=string,JSONPath=`.spec.service.namespace`
// +kubebuilder:printcolumn:name="Service Name",type=string,JSONPath=`.spec.service.name`
// +kubebuilder:printcolumn:name="In Use",type=boolean,JSONPath=`.status.inUse`
// +kubebuilder:printcolumn:name="Active",type=string,JSONPath=`.status.conditions[?(@.type=="Active")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Active")].reason`
// +kubebuilder:printcolumn:name="Expires",type=date,JSONPath=`.spec.expiresAt`,priority=1
type IPReservation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec IPReservationSpec `json:"spec"`
	// +optional
	Status IPReservationStatus `json:"status,omitzero"`
}

// IPReservationSpec selects the reserved addresses, the Service they are reserved for, and the duration.
//
// +kubebuilder:validation:XValidation:rule="has(self.addresses) || has(self.service)",message="give addresses, a service, or both"
// +kubebuilder:validation:XValidation:rule="!has(self.keepFor) || has(self.service)",message="keepFor needs a service"
type IPReservationSpec struct {
	// Addresses are the reserved addresses (192.0.2.7), CIDRs or ranges (192.0.2.10-192.0.2.20). Without them the reservation covers
	// the addresses assigned to the Service, from their assignment on, also after the Service is deleted.
	//
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=90
	// +kubebuilder:validation:items:XValidation:rule="isIP(self) || isCIDR(self) || (self.contains('-') && isIP(self.split('-', 2)[0].trim()) && isIP(self.split('-', 2)[1].trim()))",message="must be an address (192.0.2.7), a CIDR (192.0.2.0/24) or a range of addresses (192.0.2.1-192.0.2.9)"
	Addresses []string `json:"addresses,omitempty"`

	// Service is the only Service that can get the addresses, whether it exists or not; it gets these addresses first. Without it
	// no Service gets them.
	//
	// +optional
	Service *ServiceReference `json:"service,omitempty"`

	// ExpiresAt ends the reservation. Without it the reservation ends when it is deleted.
	//
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// KeepFor ends the reservation this long after the Service was last seen with one of the addresses. Without it the addresses of a
	// deleted Service stay reserved until the reservation ends otherwise. The format is a Go duration with the hour as longest unit: 168h.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="keepFor must be a duration in h, m and s, such as 168h for a week"
	KeepFor *metav1.Duration `json:"keepFor,omitempty"`
}

// ServiceReference names a Service.
type ServiceReference struct {
	// Namespace of the Service.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`

	// Name of the Service.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
}

// IPReservationStatus reports the currently reserved addresses.
type IPReservationStatus struct {
	// Addresses are the reserved addresses: those of the spec, otherwise those that the Service has or had last.
	//
	// +optional
	// +listType=atomic
	Addresses []string `json:"addresses,omitempty"`

	// InUse is true while the Service has one of the addresses.
	//
	// +optional
	InUse bool `json:"inUse,omitempty"`

	// UnusedSince is when the Service was first seen without any of the addresses after it had one. KeepFor counts from here. It is
	// absent while the Service has one, and as long as it never had one.
	//
	// +optional
	UnusedSince *metav1.Time `json:"unusedSince,omitempty"`

	// Conditions has the type Active: whether addresses are reserved, and the reason if not.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// IPReservationList is a list of reservations.
//
// +kubebuilder:object:root=true
type IPReservationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPReservation `json:"items"`
}
