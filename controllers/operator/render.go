// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
)

// Names that the operands, their RBAC and the user's tooling share.
const (
	// ResourceName is the only name of a MetalLB resource that is served.
	ResourceName = "metallb"
	// FieldOwner is who owns what the operator applies.
	FieldOwner = "metalsuite-operator"
	// GossipSecret is the Secret with the key of the speakers' membership.
	GossipSecret = "memberlist"

	controllerName = "controller"
	speakerName    = "speaker"
	copierName     = "endpoint-copier"

	labelName      = "app.kubernetes.io/name"
	labelComponent = "app.kubernetes.io/component"
	labelManagedBy = "app.kubernetes.io/managed-by"

	metricsPort = 9120
	healthPort  = 17472
	gossipPort  = 7946
	nobody      = 65534
)

// Options are what a rendering depends on beside the resource.
type Options struct {
	// Namespace is where the operator runs and where everything is installed.
	Namespace string
	// Image is what every operand runs.
	Image string
	// KnownAnnouncers are the names of the announcer modules that the image holds.
	KnownAnnouncers []string
}

// Render returns the workloads that a MetalLB resource asks for, controller first. It is a function of its arguments alone and changes
// none of them.
func Render(cr v1beta1.MetalLB, options Options) []client.Object {
	r := renderer{cr: cr.DeepCopy(), options: options}
	objects := []client.Object{r.controller(), r.speaker()}
	if copierEnabled(cr.Spec) {
		objects = append(objects, r.copier())
	}
	return objects
}

func copierEnabled(spec v1beta1.MetalLBSpec) bool {
	return spec.EndpointCopier == nil || spec.EndpointCopier.Enabled == nil || *spec.EndpointCopier.Enabled
}

// announcersOf splits the announcers that the resource names into those the image holds and those it does not, both in the order of the
// resource. chosen is false when the resource leaves the choice to the speaker's default.
func announcersOf(spec v1beta1.MetalLBSpec, known []string) (enabled, unknown []string, chosen bool) {
	for _, a := range spec.Announcers {
		if slices.Contains(known, a.Name) {
			enabled = append(enabled, a.Name)
		} else {
			unknown = append(unknown, a.Name)
		}
	}
	return enabled, unknown, spec.Announcers != nil
}

// renderer holds the arguments of one rendering.
type renderer struct {
	cr      *v1beta1.MetalLB
	options Options
}

// identity is the selector of a component; it never changes, since a selector cannot.
func identity(component string) map[string]string {
	return map[string]string{labelName: "metallb", labelComponent: component}
}

func (r renderer) meta(component string) metav1.ObjectMeta {
	labels := identity(component)
	labels[labelManagedBy] = FieldOwner
	return metav1.ObjectMeta{
		Name:            component,
		Namespace:       r.options.Namespace,
		Labels:          labels,
		OwnerReferences: []metav1.OwnerReference{ownerReference(r.cr)},
	}
}

func ownerReference(cr *v1beta1.MetalLB) metav1.OwnerReference {
	return *metav1.NewControllerRef(cr, v1beta1.GroupVersion.WithKind("MetalLB"))
}

func (r renderer) deployment(component string, replicas int32, strategy appsv1.DeploymentStrategyType, pod corev1.PodTemplateSpec) *appsv1.Deployment {
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: r.meta(component),
		Spec: appsv1.DeploymentSpec{
			Replicas:             &replicas,
			RevisionHistoryLimit: ptr[int32](3),
			Strategy:             appsv1.DeploymentStrategy{Type: strategy},
			Selector:             &metav1.LabelSelector{MatchLabels: identity(component)},
			Template:             pod,
		},
	}
}

func (r renderer) daemonSet(component string, pod corev1.PodTemplateSpec) *appsv1.DaemonSet {
	one := intstr.FromInt32(1)
	return &appsv1.DaemonSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"},
		ObjectMeta: r.meta(component),
		Spec: appsv1.DaemonSetSpec{
			RevisionHistoryLimit: ptr[int32](3),
			Selector:             &metav1.LabelSelector{MatchLabels: identity(component)},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
				Type:          appsv1.RollingUpdateDaemonSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &one},
			},
			Template: pod,
		},
	}
}

// pod returns the part of a pod that all components share: the container with the component's name, on Linux, under its own service
// account, with nothing that the component does not ask for.
func (r renderer) pod(component string, args ...string) corev1.PodTemplateSpec {
	labels := identity(component)
	labels[labelManagedBy] = FieldOwner
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec: corev1.PodSpec{
			ServiceAccountName:            component,
			NodeSelector:                  map[string]string{corev1.LabelOSStable: "linux"},
			Tolerations:                   serverTolerations(),
			TerminationGracePeriodSeconds: ptr[int64](10),
			SecurityContext: &corev1.PodSecurityContext{
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{r.container(component, args)},
		},
	}
}

func (r renderer) container(component string, args []string) corev1.Container {
	return corev1.Container{
		Name:            component,
		Image:           r.options.Image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Args:            slices.Concat([]string{component}, r.commonArgs(), args),
		Env: []corev1.EnvVar{
			fieldEnv("METALLB_NAMESPACE", "metadata.namespace"),
			fieldEnv("METALLB_POD_NAME", "metadata.name"),
			fieldEnv("METALLB_POD_UID", "metadata.uid"),
		},
		Ports: []corev1.ContainerPort{
			{Name: "metricshttps", ContainerPort: metricsPort, Protocol: corev1.ProtocolTCP},
			{Name: "health", ContainerPort: healthPort, Protocol: corev1.ProtocolTCP},
		},
		LivenessProbe:  probe("/healthz", 10, 10),
		ReadinessProbe: probe("/readyz", 0, 3),
		Resources:      requests("10m", "64Mi"),
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr(false),
			ReadOnlyRootFilesystem:   ptr(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

func (r renderer) commonArgs() []string {
	level := string(r.cr.Spec.LogLevel)
	if level == "" {
		level = "info"
	}
	return []string{
		"--log-level=" + level,
		fmt.Sprintf("--port=%d", metricsPort),
		fmt.Sprintf("--health-probe-port=%d", healthPort),
	}
}

// classArgs is the load balancer class, for the two roles that look at Services of type LoadBalancer.
func (r renderer) classArgs() []string {
	if r.cr.Spec.LoadBalancerClass == "" {
		return nil
	}
	return []string{"--lb-class=" + r.cr.Spec.LoadBalancerClass}
}

// configure applies what a component's block of the resource may change of its pod.
func configure(pod *corev1.PodTemplateSpec, config *v1beta1.Config) {
	if config == nil {
		return
	}
	pod.Annotations = maps.Clone(config.Annotations)
	pod.Spec.PriorityClassName = config.PriorityClassName
	if config.RuntimeClassName != "" {
		pod.Spec.RuntimeClassName = &config.RuntimeClassName
	}
	pod.Spec.Affinity = config.Affinity
	if config.Resources != nil {
		pod.Spec.Containers[0].Resources = *config.Resources
	}
}

// place lets a pod run where the resource wants it, beside what the pod already says.
func place(pod *corev1.PodTemplateSpec, nodeSelector map[string]string, tolerations []corev1.Toleration) {
	maps.Copy(pod.Spec.NodeSelector, nodeSelector)
	tolerate(&pod.Spec, tolerations)
}

// runAsNobody is for the roles that need no privilege at all.
func runAsNobody(pod *corev1.PodTemplateSpec) {
	pod.Spec.SecurityContext.RunAsNonRoot = ptr(true)
	pod.Spec.SecurityContext.RunAsUser = ptr[int64](nobody)
	pod.Spec.SecurityContext.RunAsGroup = ptr[int64](nobody)
}

func probe(path string, delay, period int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: path, Port: intstr.FromInt32(healthPort), Scheme: corev1.URISchemeHTTP,
		}},
		InitialDelaySeconds: delay,
		PeriodSeconds:       period,
		TimeoutSeconds:      1,
		FailureThreshold:    3,
	}
}

func requests(cpu, memory string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse(cpu),
		corev1.ResourceMemory: resource.MustParse(memory),
	}}
}

func fieldEnv(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
	}}
}

func ptr[T any](v T) *T { return &v }
