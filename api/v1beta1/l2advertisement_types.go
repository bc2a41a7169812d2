// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// L2Advertisement announces addresses of pools on the local network segments, by ARP and NDP.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="IPAddressPools",type=string,JSONPath=`.spec.ipAddressPools`
// +kubebuilder:printcolumn:name="IPAddressPool Selectors",type=string,JSONPath=`.spec.ipAddressPoolSelectors`
// +kubebuilder:printcolumn:name="Interfaces",type=string,JSONPath=`.spec.interfaces`
// +kubebuilder:printcolumn:name="Node Selectors",type=string,JSONPath=`.spec.nodeSelectors`,priority=10
type L2Advertisement struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec selects the addresses, the interfaces and the nodes; the empty spec announces all addresses from every node.
	// Null counts as empty: server-side apply leaves null after removing the last field.
	//
	// +optional
	// +nullable
	Spec L2AdvertisementSpec `json:"spec,omitempty"`
	// +optional
	Status L2AdvertisementStatus `json:"status,omitzero"`
}

// L2AdvertisementSpec selects the addresses, the interfaces and the nodes. Several advertisements of one pool are combined.
type L2AdvertisementSpec struct {
	// IPAddressPools are names of pools to announce. Without names and selectors every pool is announced.
	//
	// +optional
	IPAddressPools []string `json:"ipAddressPools,omitempty"`

	// IPAddressPoolSelectors select further pools by label; one that matches is enough.
	//
	// +optional
	IPAddressPoolSelectors []metav1.LabelSelector `json:"ipAddressPoolSelectors,omitempty"`

	// NodeSelectors select the nodes that may announce; one that matches is enough. Empty means every node.
	//
	// +optional
	NodeSelectors []metav1.LabelSelector `json:"nodeSelectors,omitempty"`

	// Interfaces are the exact names of the interfaces to announce on. Empty means every usable interface.
	//
	// +optional
	Interfaces []string `json:"interfaces,omitempty"`

	// ServiceSelectors select the Services whose addresses are announced; one that matches is enough. Empty means every Service.
	//
	// +optional
	ServiceSelectors []metav1.LabelSelector `json:"serviceSelectors,omitempty"`

	// PreferredNodeSelectors give weights to the nodes of this advertisement: of the eligible nodes one with the highest sum announces.
	//
	// +optional
	PreferredNodeSelectors []PreferredNodeSelector `json:"preferredNodeSelectors,omitempty"`
}

// PreferredNodeSelector gives weight to the nodes that it matches.
type PreferredNodeSelector struct {
	// Weight is added to the score of each matching node.
	//
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
	// Preference selects nodes by label; an empty one matches every node.
	Preference metav1.LabelSelector `json:"preference"`
}

// L2AdvertisementStatus reports whether the advertisement is in use.
type L2AdvertisementStatus struct {
	// Conditions has the type Valid.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// L2AdvertisementList is a list of advertisements.
//
// +kubebuilder:object:root=true
type L2AdvertisementList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []L2Advertisement `json:"items"`
}
