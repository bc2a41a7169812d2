// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	apivalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// questionable are values that a schema may accept and that mean nothing, something extreme or something else than they seem to, beside the
// candidates: addresses and ranges, communities, labels, names of objects, nodes and devices, expressions, secrets.
var questionable = []any{
	"192.0.2.9-192.0.2.1", "192.0.2.1-2001:db8::1", "192.0.2.1 - 192.0.2.9", "192.0.2.1-192.0.2.2-192.0.2.3", "-", "0.0.0.0/0", "::/0",
	"0.0.0.0-255.255.255.255", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "255.255.255.255/32", "192.0.2.77/8", "192.0.2.7", "192.0.2.0/30", "127.0.0.1", "0.0.0.0", "::",
	"255.255.255.255", "224.0.0.1", "ff02::1", "fe80::1", "fe80::/10", "::ffff:192.0.2.1", "169.254.0.1", "2001:db8::7", "203.0.113.0/24",
	"65000:1", "65536:1", "1:2:3", "large:1:2", "large:1:2:3", "large:4294967296:1:1", "large:a:b:c", ":", ":::", "no-export", "0:0",
	"a b", "a/b", "a/b/c", "_", "In", "NotIn", "Exists", "DoesNotExist", "Near", "good", "bad", "eth0", "../etc", "..", ".", "%s%d", "a\u0000b", "a\nb", "é",
	"$(HOME)", "$$", "(", "[", ".*", "^$", "a,b", "\"", "--help", "internal", "external", "Equal", "NoSchedule", "Never", strings.Repeat("x", 64), strings.Repeat("x", 300), strings.Repeat("é", 41),
	int64(2), int64(3), int64(10), int64(32), int64(33), int64(100), int64(128), int64(129), int64(254), int64(255), int64(256), int64(23456), int64(60000), int64(60001), false,
}

// fields are the fields of one kind's spec, with the means to ask whether the API server accepts a spec.
type fields struct {
	t          *testing.T
	schema     *apiextensions.JSONSchemaProps
	structural *structuralschema.Structural
	validator  apivalidation.SchemaValidator
	rules      *cel.Validator
}

// fieldsOf returns the fields of the spec of a definition's version.
func fieldsOf(t *testing.T, name, version string) *fields {
	t.Helper()
	crd := definitions(t)[name]
	if crd == nil {
		t.Fatalf("no definition of %s", name)
	}
	for _, v := range crd.Spec.Versions {
		if v.Name != version {
			continue
		}
		var all apiextensions.JSONSchemaProps
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &all, nil); err != nil {
			t.Fatal(err)
		}
		spec := all.Properties["spec"]
		f := &fields{t: t, schema: &spec}
		var err error
		if f.validator, _, err = apivalidation.NewSchemaValidator(&spec); err != nil {
			t.Fatal(err)
		}
		if f.structural, err = structuralschema.NewStructural(&spec); err != nil {
			t.Fatal(err)
		}
		f.rules = cel.NewValidator(f.structural, false, celconfig.PerCallLimit)
		return f
	}
	t.Fatalf("no version %s of %s", version, name)
	return nil
}

// accepts says whether the API server would store a spec.
func (f *fields) accepts(spec map[string]any) bool {
	if len(apivalidation.ValidateCustomResource(nil, spec, f.validator)) > 0 {
		return false
	}
	errs, _ := f.rules.Validate(f.t.Context(), field.NewPath("spec"), f.structural, spec, nil, celconfig.RuntimeCELCostBudget)
	return len(errs) == 0
}

// decode reads a spec as it is stored, with its defaults.
func (f *fields) decode(spec map[string]any, into any) {
	f.t.Helper()
	stored := runtime.DeepCopyJSON(spec)
	defaulting.Default(stored, f.structural)
	raw, err := json.Marshal(stored)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		f.t.Fatalf("decoding %v: %v", spec, err)
	}
}

// vary calls try with each accepted spec that differs from a base in one field, once for each value. It returns the paths of the fields, and
// those for which no value was accepted. "[]" in a path is the first element of a list, "{}" a value of a map and "{key}" its key.
//
// Fields below one of the names in without are left out.
func (f *fields) vary(bases []map[string]any, try func(path string, value any, spec map[string]any), without ...string) (paths, rejected []string) {
	for _, base := range bases {
		if !f.accepts(base) {
			f.t.Fatalf("the schema does not accept the base %v", base)
		}
	}
	for _, s := range scalars(nil, f.schema) {
		path, accepted := s.path, 0
		if slices.ContainsFunc(without, func(name string) bool { return slices.Contains(path, name) }) {
			continue
		}
		for _, value := range slices.Concat(candidates, questionable) {
			if !s.mayBe(value) {
				continue
			}
			for _, base := range bases {
				spec := runtime.DeepCopyJSON(base)
				changed, ok := set(spec, path, value)
				if !ok {
					continue
				}
				if spec = changed.(map[string]any); f.accepts(spec) {
					accepted++
					try(strings.Join(path, "."), value, spec)
				}
			}
		}
		paths = append(paths, strings.Join(path, "."))
		if accepted == 0 {
			rejected = append(rejected, strings.Join(path, "."))
		}
	}
	return paths, rejected
}

// scalar is one value of a document.
type scalar struct {
	path []string
	// kind is its type in the schema; empty when the schema names none.
	kind string
}

// mayBe is false for values that are of another type than the schema asks for: nobody need ask whether it accepts them.
func (s scalar) mayBe(value any) bool {
	switch value.(type) {
	case string:
		return s.kind == "" || s.kind == "string"
	case bool:
		return s.kind == "" || s.kind == "boolean"
	default:
		return s.kind == "" || s.kind == "integer" || s.kind == "number"
	}
}

// scalars returns the values below a path, and the keys of maps.
func scalars(path []string, s *apiextensions.JSONSchemaProps) (all []scalar) {
	below := func(step string, s *apiextensions.JSONSchemaProps) []scalar {
		return scalars(append(slices.Clip(slices.Clone(path)), step), s)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		all = append(all, below(name, &property)...)
	}
	if s.Items != nil && s.Items.Schema != nil {
		all = append(all, below("[]", s.Items.Schema)...)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		all = append(all, below("{}", s.AdditionalProperties.Schema)...)
		all = append(all, below("{key}", &apiextensions.JSONSchemaProps{Type: "string"})...)
	}
	if len(s.Properties) == 0 && s.Items == nil && s.AdditionalProperties == nil {
		all = append(all, scalar{path, s.Type})
	}
	return all
}

// set returns a document with a value at a path. What is missing on the way is made. It is false for a key that is no text.
func set(document any, path []string, value any) (any, bool) {
	if len(path) == 0 {
		return value, true
	}
	switch step := path[0]; step {
	case "[]":
		list, _ := document.([]any)
		if len(list) == 0 {
			list = []any{nil}
		}
		next, ok := set(list[0], path[1:], value)
		list[0] = next
		return list, ok
	case "{key}":
		key, ok := value.(string)
		return map[string]any{key: "x"}, ok
	default:
		object, _ := document.(map[string]any)
		if object == nil {
			object = map[string]any{}
		}
		if step == "{}" {
			if step = "key"; len(object) > 0 {
				step = slices.Sorted(maps.Keys(object))[0]
			}
		}
		next, ok := set(object[step], path[1:], value)
		object[step] = next
		return object, ok
	}
}

// document reads YAML as the API server holds it.
func document(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return integers(out).(map[string]any)
}

// integers turns whole numbers into integers, as the API server decodes them.
func integers(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = integers(v[key])
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case float64:
		return int64(v)
	}
	return value
}
