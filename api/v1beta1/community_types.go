// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Community gives names to BGP communities, for use in BGPAdvertisements.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
type Community struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec CommunitySpec `json:"spec,omitempty"`
	// +optional
	Status CommunityStatus `json:"status,omitzero"`
}

// CommunitySpec lists names and their values. A name is defined once among all Community resources.
type CommunitySpec struct {
	// Communities are the aliases that this resource defines.
	//
	// +optional
	Communities []CommunityAlias `json:"communities,omitempty"`
}

// CommunityAlias is a name for a community.
type CommunityAlias struct {
	// Name is the alias for use in BGPAdvertisements.
	//
	// +optional
	Name string `json:"name,omitempty"`
	// Value is a standard community (65000:100, RFC 1997), a large one (large:65000:1:2, RFC 8092) or a well-known name such as no-export.
	//
	// +optional
	Value string `json:"value,omitempty"`
}

// CommunityStatus reports whether the aliases are in use.
type CommunityStatus struct {
	// Conditions has the type Valid.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// CommunityList is a list of Community resources.
//
// +kubebuilder:object:root=true
type CommunityList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Community `json:"items"`
}
