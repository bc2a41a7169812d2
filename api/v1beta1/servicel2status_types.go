// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ServiceL2Status names the node that announces a Service at layer 2. Speakers write one for each announced Service.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Allocated Node",type=string,JSONPath=`.status.node`
// +kubebuilder:printcolumn:name="Service Name",type=string,JSONPath=`.status.serviceName`
// +kubebuilder:printcolumn:name="Service Namespace",type=string,JSONPath=`.status.serviceNamespace`
type ServiceL2Status struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec ServiceL2StatusSpec `json:"spec,omitempty"`
	// +optional
	Status ServiceL2StatusStatus `json:"status,omitzero"`
}

// ServiceL2StatusSpec is empty: a status object has no settings.
type ServiceL2StatusSpec struct{}

// ServiceL2StatusStatus names the node, the Service and the interfaces.
type ServiceL2StatusStatus struct {
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

	// Interfaces are the interfaces on which the Service is announced; empty means every usable interface.
	//
	// +optional
	Interfaces []InterfaceInfo `json:"interfaces,omitempty"`
}

// InterfaceInfo is a network interface of a node.
type InterfaceInfo struct {
	// Name of the interface.
	//
	// +optional
	Name string `json:"name,omitempty"`
}

// ServiceL2StatusList is a list of status objects.
//
// +kubebuilder:object:root=true
type ServiceL2StatusList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ServiceL2Status `json:"items"`
}
