// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/cmd"
	"metalsuite.io/controllers/operator"
	"metalsuite.io/internal/installation"
)

// installationBase uses every field of the MetalLB resource from which a flag of an operand is rendered.
const installationBase = `
logLevel: debug
loadBalancerClass: example.org/lb
ignoreExcludeLB: true
controllerReplicas: 2
nodeSelector: {a: b}
controllerNodeSelector: {a: b}
speakerTolerations: [{key: a, operator: Exists, effect: NoSchedule}]
controllerTolerations: [{key: a, operator: Exists, effect: NoSchedule}]
speakerConfig: {priorityClassName: high, annotations: {a: b}, resources: {limits: {cpu: "1"}}}
controllerConfig: {priorityClassName: high, annotations: {a: b}, resources: {limits: {cpu: "1"}}}
announcers:
- name: l2
  l2: {excludeInterfaces: [^eth], refreshInterval: 30s}
- name: bgp
  bgp: {drainOnCordon: true}
endpointCopier: {enabled: true}
`

// TestAcceptedSettingsStartEveryWorkload renders the workloads for each value of each setting that the schema accepts: the roles accept the
// flags that follow from it, and no user's text reaches an environment variable.
func TestAcceptedSettingsStartEveryWorkload(t *testing.T) {
	f := fieldsOf(t, "metallbs.metallb.io", "v1beta1")
	tried := 0
	f.vary([]map[string]any{document(t, installationBase)}, func(path string, value any, spec map[string]any) {
		tried++
		var settings v1beta1.MetalLBSpec
		f.decode(spec, &settings)
		if err := starts(settings); err != nil {
			t.Errorf("%s: %q: %v", path, fmt.Sprint(value), err)
		}
	}, "affinity") // it reaches no flag
	if tried < 500 {
		t.Errorf("only %d values were tried", tried)
	}
	t.Logf("%d values accepted by the schema", tried)
}

func starts(settings v1beta1.MetalLBSpec) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	usable, _ := installation.Usable(settings)
	cr := v1beta1.MetalLB{ObjectMeta: metav1.ObjectMeta{Namespace: "metallb-system", Name: operator.ResourceName}, Spec: usable}
	workloads := operator.Render(cr, operator.Options{Namespace: cr.Namespace, Image: "image", KnownAnnouncers: []string{"l2", "bgp"}})
	for _, w := range workloads {
		container := podOf(w).Containers[0]
		role, _, err := cmd.New().Find(container.Args[:1])
		if err != nil {
			return err
		}
		if err := role.ParseFlags(container.Args[1:]); err != nil {
			return fmt.Errorf("%s %q: %w", w.GetName(), container.Args, err)
		}
		if rest := role.Flags().Args(); len(rest) > 0 {
			return fmt.Errorf("%s: arguments %q are no flags", w.GetName(), rest)
		}
		for _, variable := range container.Env {
			if variable.ValueFrom == nil && variable.Value != w.GetName() {
				return fmt.Errorf("%s: variable %s has the value %q", w.GetName(), variable.Name, variable.Value)
			}
		}
	}
	return nil
}

func podOf(workload client.Object) corev1.PodSpec {
	switch w := workload.(type) {
	case *appsv1.Deployment:
		return w.Spec.Template.Spec
	case *appsv1.DaemonSet:
		return w.Spec.Template.Spec
	}
	return corev1.PodSpec{}
}
