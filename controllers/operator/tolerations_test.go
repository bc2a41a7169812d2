// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"os"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"metalsuite.io/api/v1beta1"
)

// serverTaints are what kubeadm, K3s, RKE2 and Rancher put on servers.
var serverTaints = []corev1.Taint{
	{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule},
	{Key: "node-role.kubernetes.io/control-plane", Value: "true", Effect: corev1.TaintEffectNoExecute},
	{Key: "node-role.kubernetes.io/master", Value: "true", Effect: corev1.TaintEffectNoSchedule},
	{Key: "node-role.kubernetes.io/etcd", Effect: corev1.TaintEffectNoExecute},
	{Key: "node-role.kubernetes.io/etcd", Value: "true", Effect: corev1.TaintEffectNoExecute},
	{Key: "CriticalAddonsOnly", Value: "true", Effect: corev1.TaintEffectNoExecute},
}

func TestEveryComponentToleratesTheTaintsOfServers(t *testing.T) {
	pods := map[string]corev1.PodSpec{"operator": shippedOperator(t).Spec.Template.Spec}
	for _, o := range Render(v1beta1.MetalLB{}, testOptions()) {
		pods[o.GetName()] = podOf(t, o)
	}
	if len(pods) != 4 {
		t.Fatalf("%d components", len(pods))
	}
	for name, pod := range pods {
		for _, taint := range serverTaints {
			if !tolerates(pod, taint) {
				t.Errorf("%s does not tolerate %s", name, taint.ToString())
			}
		}
		if other := (corev1.Taint{Key: "storage", Effect: corev1.TaintEffectNoSchedule}); tolerates(pod, other) {
			t.Errorf("%s tolerates %s, which is none of a server", name, other.ToString())
		}
	}
}

func TestTheShippedOperatorToleratesTheSameAsItsOperands(t *testing.T) {
	if diff := cmp.Diff(serverTolerations(), shippedOperator(t).Spec.Template.Spec.Tolerations); diff != "" {
		t.Errorf("config/manager differs from serverTolerations:\n%s", diff)
	}
}

func TestTolerationsOfTheResourceAreAdded(t *testing.T) {
	own := corev1.Toleration{Key: "storage", Operator: corev1.TolerationOpExists}
	given := append(serverTolerations()[:1], own)
	cr := v1beta1.MetalLB{Spec: v1beta1.MetalLBSpec{SpeakerTolerations: given, ControllerTolerations: given}}
	for _, o := range Render(cr, testOptions()) {
		want := append(serverTolerations(), own)
		if o.GetName() == copierName {
			want = serverTolerations()
		}
		if diff := cmp.Diff(want, podOf(t, o).Tolerations); diff != "" {
			t.Errorf("%s: one that is given twice stands once, all else is added:\n%s", o.GetName(), diff)
		}
	}
}

func tolerates(pod corev1.PodSpec, taint corev1.Taint) bool {
	for _, t := range pod.Tolerations {
		if t.ToleratesTaint(logr.Discard(), &taint, false) {
			return true
		}
	}
	return false
}

func podOf(t *testing.T, o client.Object) corev1.PodSpec {
	t.Helper()
	switch workload := o.(type) {
	case *appsv1.Deployment:
		return workload.Spec.Template.Spec
	case *appsv1.DaemonSet:
		return workload.Spec.Template.Spec
	}
	t.Fatalf("%T has no pods", o)
	return corev1.PodSpec{}
}

func shippedOperator(t *testing.T) appsv1.Deployment {
	t.Helper()
	raw, err := os.ReadFile("../../config/manager/manager.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d appsv1.Deployment
	if err := yaml.UnmarshalStrict(raw, &d); err != nil {
		t.Fatal(err)
	}
	return d
}
