// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"metalsuite.io/api/v1beta1"
)

var update = flag.Bool("update", false, "write the golden files anew")

func testOptions() Options {
	return Options{Namespace: "metallb-system", Image: "registry.example/metalsuite:v9", KnownAnnouncers: []string{"l2", "bgp"}}
}

func TestRenderGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, input := range inputs {
		name := filepath.Base(input[:len(input)-len(".in.yaml")])
		t.Run(name, func(t *testing.T) {
			got := renderYAML(t, readResource(t, input))
			golden := filepath.Join("testdata", name+".golden.yaml")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("rendering differs from %s (-want +got); run with -update if it should:\n%s", golden, diff)
			}
		})
	}
}

func TestRenderLeavesItsArgumentsAlone(t *testing.T) {
	cr := readResource(t, "testdata/everything.in.yaml")
	before := cr.DeepCopy()
	first := renderYAML(t, cr)
	for _, object := range Render(cr, testOptions()) {
		object.GetLabels()["changed"] = "by the caller"
	}
	if diff := cmp.Diff(*before, cr); diff != "" {
		t.Errorf("the resource changed:\n%s", diff)
	}
	if !bytes.Equal(first, renderYAML(t, cr)) {
		t.Error("a second rendering differs from the first")
	}
}

func TestControllersStandAsTheResourceSays(t *testing.T) {
	own := &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: "rack"}}}
	cr := readResource(t, "testdata/replicas.in.yaml")
	cr.Spec.ControllerConfig = &v1beta1.Config{Affinity: &corev1.Affinity{PodAntiAffinity: own}}
	deployment, ok := Render(cr, testOptions())[0].(*appsv1.Deployment)
	if !ok || !reflect.DeepEqual(deployment.Spec.Template.Spec.Affinity.PodAntiAffinity, own) {
		t.Errorf("its own anti-affinity stays: %+v", deployment.Spec.Template.Spec.Affinity)
	}
}

func readResource(t testing.TB, path string) v1beta1.MetalLB {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var cr v1beta1.MetalLB
	if err := yaml.UnmarshalStrict(raw, &cr); err != nil {
		t.Fatal(err)
	}
	return cr
}

func renderYAML(t *testing.T, cr v1beta1.MetalLB) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, object := range Render(cr, testOptions()) {
		config, err := applyConfiguration(object)
		if err != nil {
			t.Fatal(err)
		}
		text, err := yaml.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	return out.Bytes()
}
