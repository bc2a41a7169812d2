// SPDX-License-Identifier: Apache-2.0

// Package crd checks the generated CustomResourceDefinitions as files, without an API server: size, rules and their cost for the oldest
// Kubernetes we support, and stability of the Go types' JSON.
package crd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

// maxSize keeps every definition, and the copy of it in kubectl's last-applied annotation, below the 256 KiB that annotations may have.
const maxSize = 200_000

func TestEveryKindHasADefinition(t *testing.T) {
	want := []string{
		"addressconflicts", "bfdprofiles", "bgpadvertisements", "bgppeers", "bgpsessionstatuses", "communities", "configurationstates", "ipaddresspools", "ipreservations",
		"l2advertisements", "metallbs", "servicebgpstatuses", "servicel2statuses",
	}
	found := definitions(t)
	for _, plural := range want {
		if _, ok := found[plural+".metallb.io"]; !ok {
			t.Errorf("no definition of %s", plural)
		}
	}
	if len(found) != len(want) {
		t.Errorf("%d definitions, want %d", len(found), len(want))
	}
}

func TestDefinitionsAreSmall(t *testing.T) {
	for name, crd := range definitions(t) {
		raw, err := json.Marshal(crd)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) >= maxSize {
			t.Errorf("%s has %d bytes as JSON, the limit is %d", name, len(raw), maxSize)
		}
	}
}

func TestBGPPeerVersions(t *testing.T) {
	crd := definitions(t)["bgppeers.metallb.io"]
	if c := crd.Spec.Conversion; c != nil && c.Strategy != apiextensionsv1.NoneConverter {
		t.Errorf("conversion strategy is %s, want none", c.Strategy)
	}
	for _, v := range crd.Spec.Versions {
		old := v.Name == "v1beta1"
		if !v.Served || v.Storage == old || v.Deprecated != old {
			t.Errorf("%s: served %t, stored %t, deprecated %t", v.Name, v.Served, v.Storage, v.Deprecated)
		}
		if old && (v.DeprecationWarning == nil || *v.DeprecationWarning != "v1beta1 is deprecated, please use v1beta2") {
			t.Errorf("%s: warning %v", v.Name, v.DeprecationWarning)
		}
	}
}

// TestRulesCompileOnOldestKubernetes does what the API server does on creation of a definition: it compiles each rule with the CEL
// libraries of that version and estimates its cost.
func TestRulesCompileOnOldestKubernetes(t *testing.T) {
	rules := 0
	for name, crd := range definitions(t) {
		for _, v := range crd.Spec.Versions {
			var schema apiextensions.JSONSchemaProps
			if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &schema, nil); err != nil {
				t.Fatal(err)
			}
			c := &compiler{t: t, env: environment.MustBaseEnvSet(version.MajorMinor(1, 31)), root: validation.RootCELContext(&schema)}
			c.walk(field.NewPath(name, v.Name), &schema, c.root)
			if c.root.TotalCost.Total > validation.StaticEstimatedCRDCostLimit {
				t.Errorf("%s %s: the rules cost %d together, the limit is %d", name, v.Name, c.root.TotalCost.Total, validation.StaticEstimatedCRDCostLimit)
			}
			rules += c.rules
		}
	}
	if rules < 20 {
		t.Errorf("met only %d rules", rules)
	}
}

type compiler struct {
	t     *testing.T
	env   *environment.EnvSet
	root  *validation.CELSchemaContext
	rules int
}

func (c *compiler) walk(path *field.Path, schema *apiextensions.JSONSchemaProps, context *validation.CELSchemaContext) {
	if len(schema.XValidations) > 0 {
		c.compile(path, context)
	}
	for name, property := range schema.Properties {
		c.walk(path.Child(name), &property, context.ChildPropertyContext(&property, name))
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		c.walk(path.Child("items"), schema.Items.Schema, context.ChildItemsContext(schema.Items.Schema))
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		more := schema.AdditionalProperties.Schema
		c.walk(path.Child("values"), more, context.ChildAdditionalPropertiesContext(more))
	}
}

func (c *compiler) compile(path *field.Path, context *validation.CELSchemaContext) {
	info, err := context.TypeInfo()
	if err != nil {
		c.t.Fatalf("%s: %v", path, err)
	}
	results, err := cel.Compile(info.Schema, info.DeclType, celconfig.PerCallLimit, c.env, cel.NewExpressionsEnvLoader())
	if err != nil {
		c.t.Fatalf("%s: %v", path, err)
	}
	for i, r := range results {
		c.rules++
		at := path.Index(i)
		if r.Error != nil {
			c.t.Errorf("%s: %s", at, r.Error.Detail)
		}
		cost := expressionCost(r, context)
		c.root.TotalCost.ObserveExpressionCost(at, cost)
		if cost > validation.StaticEstimatedCostLimit {
			c.t.Errorf("%s: costs %d, the limit is %d", at, cost, validation.StaticEstimatedCostLimit)
		}
		c.t.Logf("%s: costs %d", at, cost)
	}
}

func expressionCost(r cel.CompilationResult, context *validation.CELSchemaContext) uint64 {
	if context.MaxCardinality != nil {
		return r.MaxCost * *context.MaxCardinality
	}
	return r.MaxCost * r.MaxCardinality
}

func definitions(t *testing.T) map[string]*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	files, err := filepath.Glob("../../config/crd/bases/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*apiextensionsv1.CustomResourceDefinition{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(raw, crd); err != nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		found[crd.Name] = crd
	}
	return found
}
