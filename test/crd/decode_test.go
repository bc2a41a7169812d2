// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	apivalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
)

// candidates are values on the border of what the schemas accept and the Go types can decode.
var candidates = []any{
	"", "banana", "0", "1", "-1", "1h", "-1h", "1.5h", "1h30m", ".5s", "1d", "1e3s", "2562047h", "2562048h", "9223372036854775808ns",
	"2026-11-30T10:00:00Z", "2026-11-30t10:00:00z", "2026-11-30T10:00:00", "2026-11-30 10:00:00Z", "2026-02-31T00:00:00Z", "2026-11-30",
	"2026-11-30T24:00:00Z", "2026-11-30T23:59:60Z", "2026-11-30T10:00:00.5+14:00", "2026-11-30T10:00:00x5Z", "2026-11-30T10:00:00+24:00",
	"1Ki", "0.5Gi", ".5", "+1", "1.", "12e6", "1e1.5", "1e99999999999", "1E", "1n", "-1m", "1e-30", "99999999999999999999999999",
	int64(0), int64(1), int64(-1), int64(math.MaxUint16), int64(math.MaxUint16 + 1), int64(math.MaxInt32 + 1), int64(math.MinInt32 - 1),
	int64(math.MaxUint32), int64(math.MaxUint32 + 1), int64(math.MaxInt64), int64(math.MinInt64), 1e19, -1e19, 1.0, 1.5, true,
}

// TestAcceptedValuesDecode guards the clients: an informer that cannot decode one object of a kind gets none of them, so one value that the
// API server accepts and the Go type cannot hold would stop every process that reads the kind.
func TestAcceptedValuesDecode(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1beta1.AddToScheme, v1beta2.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	accepted := 0
	for _, crd := range definitions(t) {
		for _, v := range crd.Spec.Versions {
			var internal apiextensions.JSONSchemaProps
			if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &internal, nil); err != nil {
				t.Fatal(err)
			}
			d := decoder{t: t, scheme: scheme, kind: schema.GroupVersionKind{Group: crd.Spec.Group, Version: v.Name, Kind: crd.Spec.Names.Kind}}
			for _, part := range []string{"spec", "status"} {
				if p, ok := internal.Properties[part]; ok {
					d.walk([]string{part}, &p)
				}
			}
			accepted += d.accepted
		}
	}
	if accepted < 1000 {
		t.Errorf("only %d values were accepted", accepted)
	}
}

type decoder struct {
	t        *testing.T
	scheme   *runtime.Scheme
	kind     schema.GroupVersionKind
	accepted int
}

// walk tries the candidates for every scalar below a path. "[]" in a path is an element of a list, "{}" a value of a map.
func (d *decoder) walk(path []string, s *apiextensions.JSONSchemaProps) {
	for name, property := range s.Properties {
		d.walk(append(path[:len(path):len(path)], name), &property)
	}
	if s.Items != nil && s.Items.Schema != nil {
		d.walk(append(path[:len(path):len(path)], "[]"), s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		d.walk(append(path[:len(path):len(path)], "{}"), s.AdditionalProperties.Schema)
	}
	if len(s.Properties) == 0 && s.Items == nil && s.AdditionalProperties == nil {
		d.try(path, s)
	}
}

func (d *decoder) try(path []string, s *apiextensions.JSONSchemaProps) {
	accepts := d.acceptor(path, s)
	for _, value := range candidates {
		if !accepts(value) {
			continue
		}
		d.accepted++
		document := value
		for i := len(path) - 1; i >= 0; i-- {
			if path[i] == "[]" {
				document = []any{document}
			} else {
				document = map[string]any{strings.ReplaceAll(path[i], "{}", "key"): document}
			}
		}
		raw, err := json.Marshal(document)
		if err != nil {
			d.t.Fatal(err)
		}
		into, err := d.scheme.New(d.kind)
		if err != nil {
			d.t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			d.t.Errorf("%s %s: %s accepts %v, and decoding fails: %v", d.kind.Kind, d.kind.Version, strings.Join(path, "."), value, err)
		}
	}
}

// acceptor returns whether the schema and the rules of one field accept a value.
func (d *decoder) acceptor(path []string, s *apiextensions.JSONSchemaProps) func(any) bool {
	validator, _, err := apivalidation.NewSchemaValidator(s)
	if err != nil {
		d.t.Fatal(path, err)
	}
	structural, err := structuralschema.NewStructural(s)
	if err != nil {
		d.t.Fatal(path, err)
	}
	rules := cel.NewValidator(structural, false, celconfig.PerCallLimit)
	return func(value any) bool {
		if len(apivalidation.ValidateCustomResource(nil, value, validator)) > 0 {
			return false
		}
		errs, _ := rules.Validate(d.t.Context(), field.NewPath("x"), structural, value, nil, celconfig.RuntimeCELCostBudget)
		return len(errs) == 0
	}
}
