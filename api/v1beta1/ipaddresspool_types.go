// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IPAddressPool is a set of addresses that Services of type LoadBalancer receive.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Auto Assign",type=boolean,JSONPath=`.spec.autoAssign`
// +kubebuilder:printcolumn:name="Avoid Buggy IPs",type=boolean,JSONPath=`.spec.avoidBuggyIPs`
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.spec.addresses`
type IPAddressPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec IPAddressPoolSpec `json:"spec"`
	// +optional
	Status IPAddressPoolStatus `json:"status,omitzero"`
}

// IPAddressPoolSpec says which addresses a pool has and who may use them.
type IPAddressPoolSpec struct {
	// Addresses are the pool's ranges: CIDRs (192.0.2.0/24, 2001:db8::/64) or first and last address (192.0.2.10-192.0.2.20).
	// Addresses are assigned in the order of the entries. Ranges must not overlap, neither here nor with another pool.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=90
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) || (self.contains('-') && isIP(self.split('-', 2)[0].trim()) && isIP(self.split('-', 2)[1].trim()))",message="must be a CIDR (192.0.2.0/24) or a range of addresses (192.0.2.1-192.0.2.9)"
	Addresses []string `json:"addresses"`

	// Exclude are addresses (192.0.2.7), CIDRs or ranges that are removed from the pool's addresses. Another pool may
	// contain them.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MaxLength=90
	// +kubebuilder:validation:items:XValidation:rule="isIP(self) || isCIDR(self) || (self.contains('-') && isIP(self.split('-', 2)[0].trim()) && isIP(self.split('-', 2)[1].trim()))",message="must be an address (192.0.2.7), a CIDR (192.0.2.0/24) or a range of addresses (192.0.2.1-192.0.2.9)"
	Exclude []string `json:"exclude,omitempty"`

	// AutoAssign false restricts the pool to Services that request it or one of its addresses.
	//
	// +optional
	// +kubebuilder:default=true
	AutoAssign *bool `json:"autoAssign,omitempty"`

	// AvoidBuggyIPs excludes IPv4 addresses that end in .0 and .255, which old network equipment drops.
	//
	// +optional
	// +kubebuilder:default=false
	AvoidBuggyIPs bool `json:"avoidBuggyIPs,omitempty"`

	// ServiceAllocation restricts the pool to some Services. Without it the pool is available to all Services.
	//
	// +optional
	ServiceAllocation *ServiceAllocation `json:"serviceAllocation,omitempty"`
}

// ServiceAllocation restricts a pool to some Services. Namespaces and NamespaceSelectors together form one set of namespaces; when both a
// set of namespaces and ServiceSelectors are given, a Service must match both. A pool whose selectors match nothing is available to no Service.
type ServiceAllocation struct {
	// Priority orders the restricted pools that allow a Service: a lower number is used first, 0 last.
	//
	// +optional
	Priority int `json:"priority,omitempty"`

	// Namespaces are names of namespaces whose Services may use the pool.
	//
	// +optional
	Namespaces []string `json:"namespaces,omitempty"`

	// NamespaceSelectors select further namespaces by label; one that matches is enough.
	//
	// +optional
	NamespaceSelectors []metav1.LabelSelector `json:"namespaceSelectors,omitempty"`

	// ServiceSelectors select Services by label; one that matches is enough.
	//
	// +optional
	ServiceSelectors []metav1.LabelSelector `json:"serviceSelectors,omitempty"`
}

// IPAddressPoolStatus counts a pool's addresses. An address that several Services share counts once.
type IPAddressPoolStatus struct {
	// AssignedIPv4 is the number of IPv4 addresses in use.
	AssignedIPv4 int64 `json:"assignedIPv4"`
	// AssignedIPv6 is the number of IPv6 addresses in use.
	AssignedIPv6 int64 `json:"assignedIPv6"`
	// AvailableIPv4 is the number of free IPv4 addresses that can be assigned to any Service that the pool allows.
	AvailableIPv4 int64 `json:"availableIPv4"`
	// AvailableIPv6 is the number of free IPv6 addresses, at most the largest 64-bit integer.
	AvailableIPv6 int64 `json:"availableIPv6"`
	// ReservedIPv4 is the number of free IPv4 addresses that are reserved by IPReservations.
	//
	// +optional
	ReservedIPv4 int64 `json:"reservedIPv4,omitempty"`
	// ReservedIPv6 is the number of free IPv6 addresses that are reserved by IPReservations, at most the largest 64-bit integer.
	//
	// +optional
	ReservedIPv6 int64 `json:"reservedIPv6,omitempty"`

	// Conditions has the type Valid: whether addresses of the pool are assigned, and the reason if not.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// IPAddressPoolList is a list of pools.
//
// +kubebuilder:object:root=true
type IPAddressPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IPAddressPool `json:"items"`
}
