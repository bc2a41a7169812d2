// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ServiceBGPStatus lists the peers to which a node announces a Service. Speakers write one for each Service and node.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.node`
// +kubebuilder:printcolumn:name="Service Name",type=string,JSONPath=`.status.serviceName`
// +kubebuilder:printcolumn:name="Service Namespace",type=string,JSONPath=`.status.serviceNamespace`
type ServiceBGPStatus struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec ServiceBGPStatusSpec `json:"spec,omitempty"`
	// +optional
	Status ServiceBGPStatusStatus `json:"status,omitzero"`
}

// ServiceBGPStatusSpec is empty: a status object has no settings.
type ServiceBGPStatusSpec struct{}

// ServiceBGPStatusStatus names the node, the Service and the peers.
type ServiceBGPStatusStatus struct {
	// Node is the name of the announcing node.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="Value is immutable"
	Node string `json:"node,omitempty"`

	// ServiceName is the name of the announced Service.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="Value is immutable"
	ServiceName string `json:"serviceName,omitempty"`

	// ServiceNamespace is the namespace of the announced Service.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="Value is immutable"
	ServiceNamespace string `json:"serviceNamespace,omitempty"`

	// Peers are the names of the BGPPeers to which the Service is announced, sorted.
	//
	// +optional
	Peers []string `json:"peers,omitempty"`
}

// ServiceBGPStatusList is a list of status objects.
//
// +kubebuilder:object:root=true
type ServiceBGPStatusList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ServiceBGPStatus `json:"items"`
}
