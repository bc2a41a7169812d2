// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// ownedDefinitions describes every served version of every kind, from its schema.
func ownedDefinitions(definitions []apiextensionsv1.CustomResourceDefinition) []object {
	var owned []object
	for _, d := range definitions {
		for _, v := range d.Spec.Versions {
			owned = append(owned, ownedDefinition(d, v))
		}
	}
	return owned
}

func ownedDefinition(d apiextensionsv1.CustomResourceDefinition, v apiextensionsv1.CustomResourceDefinitionVersion) object {
	schema := v.Schema.OpenAPIV3Schema
	owned := object{
		"name":        d.Name,
		"version":     v.Name,
		"kind":        d.Spec.Names.Kind,
		"displayName": words(d.Spec.Names.Kind),
		"description": firstSentence(schema.Description),
		"resources":   resourcesOf(d.Spec.Names.Kind),
	}
	if descriptors := descriptorsOf(schema.Properties["spec"]); len(descriptors) > 0 {
		owned["specDescriptors"] = descriptors
	}
	if descriptors := descriptorsOf(schema.Properties["status"]); len(descriptors) > 0 {
		owned["statusDescriptors"] = descriptors
	}
	return owned
}

// resourcesOf names what a resource of the kind leads to, or itself.
func resourcesOf(kind string) []object {
	if kind == "MetalLB" {
		return []object{
			{"kind": "Deployment", "version": "v1", "name": "controller"},
			{"kind": "DaemonSet", "version": "v1", "name": "speaker"},
			{"kind": "Deployment", "version": "v1", "name": "endpoint-copier"},
		}
	}
	return []object{{"kind": "Service", "version": "v1", "name": ""}}
}

func descriptorsOf(schema apiextensionsv1.JSONSchemaProps) []object {
	var descriptors []object
	for _, path := range slices.Sorted(maps.Keys(schema.Properties)) {
		descriptor := object{
			"path":        path,
			"displayName": words(path),
			"description": firstSentence(schema.Properties[path].Description),
		}
		if path == "conditions" {
			descriptor["x-descriptors"] = []string{"urn:alm:descriptor:io.kubernetes.conditions"}
		}
		descriptors = append(descriptors, descriptor)
	}
	return descriptors
}

// words splits a name in camel case: "ipAddressPools" is "Ip Address Pools", "BGPPeer" is "BGP Peer".
func words(name string) string {
	runes := []rune(name)
	var out strings.Builder
	for i, r := range runes {
		startsWord := i > 0 && unicode.IsUpper(r) && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if startsWord {
			out.WriteByte(' ')
		}
		if i == 0 {
			r = unicode.ToUpper(r)
		}
		out.WriteRune(r)
	}
	return out.String()
}

func firstSentence(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if before, _, found := strings.Cut(text, ". "); found {
		return before + "."
	}
	return text
}
