// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
)

// runtimeFolder is where the speaker makes sockets to its own processes, in memory and of this size at most: there is nothing else in it.
const (
	runtimeFolder = "/run/metallb"
	runtimeSize   = "1Mi"
)

// gossipKeyPath is where the speaker finds the key of its membership.
const gossipKeyPath = "/etc/metallb/memberlist"

// controller returns the Deployment that gives Services their addresses. Exactly one of its pods decides at a time, by a Lease. So in an
// update the new pod starts beside the old one and takes over at once when that ends.
func (r renderer) controller() *appsv1.Deployment {
	pod := r.pod(controllerName, r.classArgs()...)
	pod.Spec.Containers[0].Env = append(pod.Spec.Containers[0].Env,
		corev1.EnvVar{Name: "METALLB_DEPLOYMENT", Value: controllerName},
	)
	runAsNobody(&pod)
	configure(&pod, r.cr.Spec.ControllerConfig)
	place(&pod, r.cr.Spec.ControllerNodeSelector, r.cr.Spec.ControllerTolerations)
	replicas := int32(1)
	if wanted := r.cr.Spec.ControllerReplicas; wanted != nil {
		replicas = *wanted
	}
	if replicas > 1 {
		keepApart(&pod, controllerName)
	}
	return r.deployment(controllerName, replicas, appsv1.RollingUpdateDeploymentStrategyType, pod)
}

// keepApart puts the pods of a component on different nodes where possible, unless the resource itself says how they are to stand to
// other pods.
func keepApart(pod *corev1.PodTemplateSpec, component string) {
	affinity := &corev1.Affinity{}
	if given := pod.Spec.Affinity; given != nil {
		affinity = given.DeepCopy()
	}
	if affinity.PodAntiAffinity != nil {
		return
	}
	affinity.PodAntiAffinity = &corev1.PodAntiAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
			Weight: 100,
			PodAffinityTerm: corev1.PodAffinityTerm{
				TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: identity(component)},
			},
		}},
	}
	pod.Spec.Affinity = affinity
}

// speaker returns the DaemonSet that announces. It lives in the network of its node, and its one privilege is the raw socket: a
// capability reaches a process without file capabilities only when it runs as root.
func (r renderer) speaker() *appsv1.DaemonSet {
	pod := r.pod(speakerName, r.speakerArgs()...)
	pod.Spec.HostNetwork = true
	pod.Spec.DNSPolicy = corev1.DNSClusterFirstWithHostNet
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "memberlist", VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: GossipSecret, DefaultMode: ptr[int32](0o400)},
		}},
		{Name: "runtime", VolumeSource: corev1.VolumeSource{
			EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: ptr(resource.MustParse(runtimeSize))},
		}},
	}
	speakerContainer(&pod.Spec.Containers[0])
	configure(&pod, r.cr.Spec.SpeakerConfig)
	place(&pod, r.cr.Spec.NodeSelector, r.cr.Spec.SpeakerTolerations)
	return r.daemonSet(speakerName, pod)
}

func speakerContainer(c *corev1.Container) {
	c.Env = append(c.Env,
		fieldEnv("METALLB_NODE_NAME", "spec.nodeName"),
		fieldEnv("METALLB_ML_BIND_ADDR", "status.hostIP"),
		corev1.EnvVar{Name: "METALLB_DAEMONSET", Value: speakerName},
	)
	c.Ports = append(c.Ports,
		corev1.ContainerPort{Name: "memberlist-tcp", ContainerPort: gossipPort, Protocol: corev1.ProtocolTCP},
		corev1.ContainerPort{Name: "memberlist-udp", ContainerPort: gossipPort, Protocol: corev1.ProtocolUDP},
	)
	c.VolumeMounts = []corev1.VolumeMount{
		{Name: "memberlist", MountPath: gossipKeyPath, ReadOnly: true},
		{Name: "runtime", MountPath: runtimeFolder},
	}
	c.SecurityContext.RunAsUser = ptr[int64](0)
	c.SecurityContext.RunAsGroup = ptr[int64](0)
	c.SecurityContext.Capabilities.Add = []corev1.Capability{"NET_RAW"}
	c.LivenessProbe.HTTPGet.Host = "127.0.0.1"
	c.ReadinessProbe.HTTPGet.Host = "127.0.0.1"
}

func (r renderer) speakerArgs() []string {
	args := append(r.classArgs(), "--health-probe-host=127.0.0.1", "--runtime-folder="+runtimeFolder)
	if enabled, _, chosen := announcersOf(r.cr.Spec, r.options.KnownAnnouncers); chosen {
		args = append(args, "--announcers="+strings.Join(enabled, ","))
	}
	if ignore := r.cr.Spec.IgnoreExcludeLB; ignore != nil && *ignore {
		args = append(args, "--ignore-exclude-lb")
	}
	return slices.Concat(args, excludeArgs(r.cr.Spec.Announcers), refreshArgs(r.cr.Spec.Announcers), drainArgs(r.cr.Spec.Announcers))
}

// drainArgs hands on that cordoned nodes are drained.
func drainArgs(announcers []v1beta1.Announcer) []string {
	for _, a := range announcers {
		if a.BGP != nil && a.BGP.DrainOnCordon != nil && *a.BGP.DrainOnCordon {
			return []string{"--bgp-drain-on-cordon"}
		}
	}
	return nil
}

// refreshArgs hands on how often claims are repeated; nothing when they are not.
func refreshArgs(announcers []v1beta1.Announcer) []string {
	for _, a := range announcers {
		if a.L2 != nil && a.L2.RefreshInterval != nil && a.L2.RefreshInterval.Duration > 0 {
			return []string{"--l2-refresh-interval=" + a.L2.RefreshInterval.Duration.String()}
		}
	}
	return nil
}

// excludeArgs hands the excluded interfaces on. No list leaves the speaker its own; an empty one becomes an expression that no name
// matches.
func excludeArgs(announcers []v1beta1.Announcer) []string {
	var args []string
	for _, a := range announcers {
		if a.L2 == nil || a.L2.ExcludeInterfaces == nil {
			continue
		}
		for _, expression := range a.L2.ExcludeInterfaces {
			args = append(args, "--exclude-interfaces="+literally(expression))
		}
		if len(args) == 0 {
			args = append(args, "--exclude-interfaces=^$")
		}
	}
	return args
}

// literally returns an argument that reaches the process as it is given: Kubernetes replaces $(NAME) by a variable and $$ by $.
func literally(argument string) string {
	if strings.Contains(argument, "$(") || strings.Contains(argument, "$$") {
		return strings.ReplaceAll(argument, "$", "$$")
	}
	return argument
}

// copier returns the Deployment that keeps the API server reachable behind a virtual address. It stays near the API servers, on
// different nodes, and is among the last to be evicted. It serves its pair alone: the shipped roles allow it no more.
func (r renderer) copier() *appsv1.Deployment {
	pod := r.pod(copierName, "--leader-elect", "--annotated-services=false")
	runAsNobody(&pod)
	pod.Spec.Containers[0].Resources = requests("5m", "32Mi")
	pod.Spec.PriorityClassName = "system-cluster-critical"
	pod.Spec.Affinity = preferControlPlane()
	pod.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew:           1,
		TopologyKey:       corev1.LabelHostname,
		WhenUnsatisfiable: corev1.ScheduleAnyway,
		LabelSelector:     &metav1.LabelSelector{MatchLabels: identity(copierName)},
	}}
	return r.deployment(copierName, 2, appsv1.RollingUpdateDeploymentStrategyType, pod)
}

func preferControlPlane() *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{
			Weight: 100,
			Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{
				Key: "node-role.kubernetes.io/control-plane", Operator: corev1.NodeSelectorOpExists,
			}}},
		}},
	}}
}
