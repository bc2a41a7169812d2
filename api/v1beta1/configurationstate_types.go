// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ConfigurationResult is the summary of a process's evaluation of its configuration.
//
// +kubebuilder:validation:Enum=Valid;Invalid;Unknown
type ConfigurationResult string

const (
	// ConfigurationValid says that the whole configuration is in use.
	ConfigurationValid ConfigurationResult = "Valid"
	// ConfigurationInvalid says that a part of the configuration is left out; ErrorSummary says which.
	ConfigurationInvalid ConfigurationResult = "Invalid"
	// ConfigurationUnknown says that the process has not evaluated the configuration yet.
	ConfigurationUnknown ConfigurationResult = "Unknown"
)

// ConfigurationState reports how the controller, or the speaker of one node, evaluates the configuration. A speaker reports only problems that
// concern its node. It has no spec.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Result",type=string,JSONPath=`.status.result`
// +kubebuilder:printcolumn:name="ErrorSummary",type=string,JSONPath=`.status.errorSummary`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ConfigurationState struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Status ConfigurationStateStatus `json:"status,omitzero"`
}

// ConfigurationStateStatus has the result and its conditions.
type ConfigurationStateStatus struct {
	// Result is Invalid while a part of the configuration is left out: an object that is not valid, or one that names a Secret that cannot
	// be used. Problems of the node itself, such as a missing carrier, are in the conditions only.
	//
	// +optional
	Result ConfigurationResult `json:"result,omitempty"`

	// ErrorSummary has one line for each object that is left out, with the object, the reason and the message.
	//
	// +optional
	ErrorSummary string `json:"errorSummary,omitempty"`

	// Conditions are those of the configuration and of the parts of the process. A warning about an object in use is the message of the
	// condition configReconcilerValid, which is True then.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ConfigurationStateList is a list of states.
//
// +kubebuilder:object:root=true
type ConfigurationStateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ConfigurationState `json:"items"`
}
