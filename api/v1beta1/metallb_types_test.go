// SPDX-License-Identifier: Apache-2.0

package v1beta1

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestAnnouncersTellAbsentFromEmpty(t *testing.T) {
	for name, spec := range map[string]MetalLBSpec{
		"absent":               {},
		"empty":                {Announcers: []Announcer{}},
		"one":                  {Announcers: []Announcer{{Name: "l2"}}},
		"excludes nothing":     {Announcers: []Announcer{{Name: "l2", L2: &L2Announcer{ExcludeInterfaces: []string{}}}}},
		"with unknown modules": {Announcers: []Announcer{{Name: "l2"}, {Name: "wire"}}},
	} {
		t.Run(name, func(t *testing.T) {
			want := &MetalLB{Spec: spec}
			if diff := cmp.Diff(want, throughJSON(t, want.DeepCopy())); diff != "" {
				t.Errorf("JSON changes it: %s", diff)
			}
			if diff := cmp.Diff(want, throughUnstructured(t, want.DeepCopy())); diff != "" {
				t.Errorf("the unstructured form changes it: %s", diff)
			}
		})
	}
}

func throughJSON(t *testing.T, in *MetalLB) *MetalLB {
	t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out := &MetalLB{}
	if err := json.Unmarshal(raw, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func throughUnstructured(t *testing.T, in *MetalLB) *MetalLB {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(in)
	if err != nil {
		t.Fatal(err)
	}
	out := &MetalLB{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, out); err != nil {
		t.Fatal(err)
	}
	return out
}
