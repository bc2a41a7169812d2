// SPDX-License-Identifier: Apache-2.0

package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MetalLB installs the suite: from it the operator deploys the controller, the speakers and the endpoint-copier.
// Only the resource named metallb in the operator's namespace is used; any other one gets a condition with the reason.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=metallbs
// +kubebuilder:printcolumn:name="Available",type=string,JSONPath=`.status.conditions[?(@.type=="Available")].status`
// +kubebuilder:printcolumn:name="Degraded",type=string,JSONPath=`.status.conditions[?(@.type=="Degraded")].status`
// +kubebuilder:printcolumn:name="Progressing",type=string,JSONPath=`.status.conditions[?(@.type=="Progressing")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MetalLB struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec configures the installation; the empty spec installs everything.
	// Null counts as empty: server-side apply leaves null after removing the last field.
	//
	// +optional
	// +nullable
	Spec MetalLBSpec `json:"spec,omitempty"`
	// +optional
	Status MetalLBStatus `json:"status,omitzero"`
}

// MetalLBSpec configures the installation. The empty spec installs everything.
type MetalLBSpec struct {
	// Image has no effect.
	//
	// Deprecated: it is accepted so that old manifests stay valid.
	//
	// +optional
	Image string `json:"image,omitempty"`

	// NodeSelector restricts the speakers to the nodes with these labels.
	//
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// SpeakerTolerations are added to the built-in tolerations of every component for the taints of server nodes: control-plane, master, etcd and
	// CriticalAddonsOnly.
	//
	// +optional
	// +kubebuilder:validation:items:XValidation:rule="!has(self.tolerationSeconds) || self.tolerationSeconds <= 0 || (has(self.effect) && self.effect == 'NoExecute')",message="tolerationSeconds needs the effect NoExecute"
	SpeakerTolerations []corev1.Toleration `json:"speakerTolerations,omitempty"`

	// ControllerNodeSelector restricts the controller to the nodes with these labels.
	//
	// +optional
	ControllerNodeSelector map[string]string `json:"controllerNodeSelector,omitempty"`

	// ControllerTolerations are added to the built-in tolerations of every component for the taints of server nodes.
	//
	// +optional
	// +kubebuilder:validation:items:XValidation:rule="!has(self.tolerationSeconds) || self.tolerationSeconds <= 0 || (has(self.effect) && self.effect == 'NoExecute')",message="tolerationSeconds needs the effect NoExecute"
	ControllerTolerations []corev1.Toleration `json:"controllerTolerations,omitempty"`

	// ControllerReplicas is the number of controller pods, on different nodes where possible. One of them is the leader, the others
	// take over within seconds after it fails. Absent means 1.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=5
	ControllerReplicas *int32 `json:"controllerReplicas,omitempty"`

	// LogLevel is the log level of every component. Unset means info.
	//
	// +optional
	LogLevel LogLevel `json:"logLevel,omitempty"`

	// LoadBalancerClass restricts the suite to Services with this spec.loadBalancerClass. Unset means Services without a class.
	//
	// +optional
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	LoadBalancerClass string `json:"loadBalancerClass,omitempty"`

	// IgnoreExcludeLB lets speakers announce from nodes labelled node.kubernetes.io/exclude-from-external-load-balancers too, which
	// kubeadm puts on control planes. Absent means false.
	//
	// +optional
	IgnoreExcludeLB *bool `json:"ignoreExcludeLB,omitempty"`

	// ControllerConfig are settings of the controller's pods.
	//
	// +optional
	ControllerConfig *Config `json:"controllerConfig,omitempty"`

	// SpeakerConfig are settings of the speakers' pods.
	//
	// +optional
	SpeakerConfig *Config `json:"speakerConfig,omitempty"`

	// BGPBackend is accepted so that old manifests stay valid: the native backend is used for every value, and a condition reports this.
	//
	// +optional
	BGPBackend BGPBackend `json:"bgpBackend,omitempty"`

	// FRRK8sConfig is accepted so that old manifests stay valid.
	//
	// +optional
	FRRK8sConfig *FRRK8sConfig `json:"frrk8sConfig,omitempty"`

	// Announcers are the announcer modules of the speakers. Absent means every module of this version; an empty list means none:
	// addresses are allocated and nothing is announced. An unknown name is reported in a condition and the others work.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Announcers []Announcer `json:"announcers,omitzero"`

	// EndpointCopier are settings of the endpoint-copier.
	//
	// +optional
	EndpointCopier *EndpointCopier `json:"endpointCopier,omitempty"`
}

// LogLevel is the log level of a component.
//
// +kubebuilder:validation:Enum=all;debug;info;warn;error;none
type LogLevel string

// The log levels, from everything to nothing.
const (
	LogLevelAll   LogLevel = "all"
	LogLevelDebug LogLevel = "debug"
	LogLevelInfo  LogLevel = "info"
	LogLevelWarn  LogLevel = "warn"
	LogLevelError LogLevel = "error"
	LogLevelNone  LogLevel = "none"
)

// BGPBackend names a BGP implementation. The only one is native; it is used for the other names, too.
//
// +kubebuilder:validation:Enum="";native;frr;frr-k8s;frr-k8s-external
type BGPBackend string

// The names of BGP backends that a MetalLB resource may carry.
const (
	BGPBackendNative         BGPBackend = "native"
	BGPBackendFRR            BGPBackend = "frr"
	BGPBackendFRRK8s         BGPBackend = "frr-k8s"
	BGPBackendFRRK8sExternal BGPBackend = "frr-k8s-external"
)

// Config are settings of a component's pods.
type Config struct {
	// PriorityClassName of the pods.
	//
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// RuntimeClassName of the pods.
	//
	// +optional
	RuntimeClassName string `json:"runtimeClassName,omitempty"`

	// Affinity of the pods.
	//
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// Annotations are added to the pods.
	//
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`

	// Resources of the component's container.
	//
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
}

// FRRK8sConfig are settings of a backend that is not part of the suite; they have no effect.
type FRRK8sConfig struct {
	// AlwaysBlock are prefixes (CIDRs) that the backend rejects.
	//
	// +optional
	// +kubebuilder:validation:items:Pattern=`^[0-9A-Fa-f.:]+/[0-9]{1,3}$`
	AlwaysBlock []string `json:"alwaysBlock,omitempty"`

	// Namespace of the backend.
	//
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// SecretPassthrough hands references to Secrets on to the backend.
	//
	// +optional
	SecretPassthrough bool `json:"secretPassthrough,omitempty"`
}

// Announcer enables one announcer module and holds its settings.
type Announcer struct {
	// Name of the module: l2, bgp, or one that a build adds.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// L2 are settings of the module l2.
	//
	// +optional
	L2 *L2Announcer `json:"l2,omitempty"`

	// BGP are settings of the module bgp.
	//
	// +optional
	BGP *BGPAnnouncer `json:"bgp,omitempty"`
}

// L2Announcer are settings of the module l2.
type L2Announcer struct {
	// ExcludeInterfaces are regular expressions (RE2) for names of interfaces that are never used for announcements; each matches anywhere in a
	// name. Absent means the built-in list of interfaces that container networks create; an empty list excludes none. An expression that
	// matches every name is rejected: to announce nothing at layer 2, remove l2 from spec.announcers.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:XValidation:rule="!('!'.matches(self) && 'e'.matches(self) && 'l'.matches(self) && '0'.matches(self) && 'eth0'.matches(self))",message="must be a regular expression (RE2) that matches some interface names, not every one, such as ^veth.*"
	ExcludeInterfaces []string `json:"excludeInterfaces,omitzero"`

	// RefreshInterval is the interval at which gratuitous ARP packets and unsolicited neighbor advertisements are repeated while an address
	// is announced, from 1s to 24h. Absent or 0 means never.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration('0s') || (duration(self) >= duration('1s') && duration(self) <= duration('24h'))",message="refreshInterval must be 0 or from 1s to 24h"
	RefreshInterval *metav1.Duration `json:"refreshInterval,omitempty"`
}

// BGPAnnouncer are settings of the module bgp.
type BGPAnnouncer struct {
	// DrainOnCordon withdraws the routes of a node while it is cordoned: they get the GRACEFUL_SHUTDOWN community (RFC 8326) and are
	// withdrawn shortly afterwards. Absent means false. The label metallb.io/drain on a node has the same effect in any case.
	//
	// +optional
	DrainOnCordon *bool `json:"drainOnCordon,omitempty"`
}

// EndpointCopier are settings of the endpoint-copier, which provides a Service of type LoadBalancer for the Kubernetes API.
type EndpointCopier struct {
	// Enabled installs the endpoint-copier. Absent means true.
	//
	// +optional
	Enabled *bool `json:"enabled,omitempty"`
}

// MetalLBStatus reports the state of the installation.
type MetalLBStatus struct {
	// Conditions are Available, Progressing, Degraded, Upgradeable and one for each component.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// ObservedGeneration is the generation of the spec that the conditions apply to.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// MetalLBList is a list of MetalLB resources.
//
// +kubebuilder:object:root=true
type MetalLBList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MetalLB `json:"items"`
}
