// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPAdvertisement announces addresses of pools to BGP peers.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="IPAddressPools",type=string,JSONPath=`.spec.ipAddressPools`
// +kubebuilder:printcolumn:name="IPAddressPool Selectors",type=string,JSONPath=`.spec.ipAddressPoolSelectors`
// +kubebuilder:printcolumn:name="Peers",type=string,JSONPath=`.spec.peers`
// +kubebuilder:printcolumn:name="Node Selectors",type=string,JSONPath=`.spec.nodeSelectors`,priority=10
type BGPAdvertisement struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec selects the addresses, their path attributes, the peers and the nodes.
	// Null counts as empty: server-side apply leaves null after removing the last field.
	//
	// +optional
	// +nullable
	Spec BGPAdvertisementSpec `json:"spec,omitempty"`
	// +optional
	Status BGPAdvertisementStatus `json:"status,omitzero"`
}

// BGPAdvertisementSpec selects the addresses, their path attributes, the peers and the nodes.
//
// +kubebuilder:validation:XValidation:rule="!has(self.serviceSelectors) || size(self.serviceSelectors) == 0 || ((!has(self.aggregationLength) || self.aggregationLength == 32) && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))",message="serviceSelectors and aggregationLength are mutually exclusive: with serviceSelectors only 32 (IPv4) and 128 (IPv6) are possible"
type BGPAdvertisementSpec struct {
	// AggregationLength is the prefix length with which IPv4 addresses are announced. It must not be shorter than any of the pool's ranges.
	//
	// +optional
	// +kubebuilder:default=32
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=32
	AggregationLength *int32 `json:"aggregationLength,omitempty"`

	// AggregationLengthV6 is the prefix length with which IPv6 addresses are announced.
	//
	// +optional
	// +kubebuilder:default=128
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=128
	AggregationLengthV6 *int32 `json:"aggregationLengthV6,omitempty"`

	// LocalPref is the LOCAL_PREF attribute on internal (iBGP) sessions. 0 means 100.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Maximum=4294967295
	LocalPref uint32 `json:"localPref,omitempty"`

	// MED is the MULTI_EXIT_DISC attribute (RFC 4271 5.1.4): of several routes into the local AS a peer prefers the lowest value.
	// Unset, the attribute is not sent. When several advertisements announce one prefix, the lowest value is used.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Maximum=4294967295
	MED *uint32 `json:"med,omitempty"`

	// ASPathPrepend is the number of additional times that the local ASN is prepended to the AS_PATH, which makes the route less
	// preferred. Internal (iBGP) sessions ignore it. When several advertisements announce one prefix, the
	// lowest value is used.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	ASPathPrepend int32 `json:"asPathPrepend,omitempty"`

	// Communities are attached to the routes: 65000:100, large:65000:1:2, a name that a Community resource defines, or a well-known name
	// such as no-export.
	//
	// +optional
	Communities []string `json:"communities,omitempty"`

	// IPAddressPools are names of pools to announce. Without names and selectors every pool is announced.
	//
	// +optional
	IPAddressPools []string `json:"ipAddressPools,omitempty"`

	// IPAddressPoolSelectors select further pools by label; one that matches is enough.
	//
	// +optional
	IPAddressPoolSelectors []metav1.LabelSelector `json:"ipAddressPoolSelectors,omitempty"`

	// NodeSelectors select the nodes that announce; one that matches is enough. Empty means every node.
	//
	// +optional
	NodeSelectors []metav1.LabelSelector `json:"nodeSelectors,omitempty"`

	// Peers are names of the BGPPeers to announce to. Empty means every peer.
	//
	// +optional
	Peers []string `json:"peers,omitempty"`

	// ServiceSelectors select the Services whose addresses are announced; one that matches is enough. Empty means every Service.
	//
	// +optional
	ServiceSelectors []metav1.LabelSelector `json:"serviceSelectors,omitempty"`
}

// BGPAdvertisementStatus reports whether the advertisement is in use.
type BGPAdvertisementStatus struct {
	// Conditions has the type Valid.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BGPAdvertisementList is a list of advertisements.
//
// +kubebuilder:object:root=true
type BGPAdvertisementList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BGPAdvertisement `json:"items"`
}
