// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// source is what the bundle is made of.
type source struct {
	objects []*unstructured.Unstructured
	samples []*unstructured.Unstructured
}

func readSource(install, samples string) (*source, error) {
	objects, err := readObjects(install)
	if err != nil {
		return nil, err
	}
	examples, err := readObjects(samples)
	if err != nil {
		return nil, err
	}
	return &source{objects: objects, samples: examples}, nil
}

func readObjects(path string) ([]*unstructured.Unstructured, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	decoder := kyaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, fmt.Errorf("decoding %s: %w", path, err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// ofKind decodes all objects of one kind, in the order of the manifests. An unknown field is an error: it would be missing in the bundle.
func ofKind[T any](s *source, kind string) ([]T, error) {
	var all []T
	for _, o := range s.objects {
		if o.GetKind() != kind {
			continue
		}
		var typed T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &typed, true); err != nil {
			return nil, fmt.Errorf("decoding %s %s: %w", kind, o.GetName(), err)
		}
		all = append(all, typed)
	}
	return all, nil
}

// permissions are the rules of one service account in the form of a CSV.
type permissions struct {
	ServiceAccountName string              `json:"serviceAccountName"`
	Rules              []rbacv1.PolicyRule `json:"rules"`
}

// clusterPermissions gathers for each service account the rules of the cluster roles that are bound to it, and those of roles in other
// namespaces than its own: OLM puts every namespaced object of a bundle into the operator's namespace, so nothing narrower grants them.
func (s *source) clusterPermissions() ([]permissions, error) {
	roles, err := ofKind[rbacv1.ClusterRole](s, "ClusterRole")
	if err != nil {
		return nil, err
	}
	rules := map[string][]rbacv1.PolicyRule{}
	for _, r := range roles {
		rules[r.Name] = r.Rules
	}
	bindings, err := ofKind[rbacv1.ClusterRoleBinding](s, "ClusterRoleBinding")
	if err != nil {
		return nil, err
	}
	granted := map[string][]rbacv1.PolicyRule{}
	for _, b := range bindings {
		grant(granted, rules[b.RoleRef.Name], b.Subjects)
	}
	if err := s.grantRoles(granted, false); err != nil {
		return nil, err
	}
	return s.sorted(granted)
}

// namespacePermissions does the same for the roles in the namespace of the suite, which is where OLM grants them.
func (s *source) namespacePermissions() ([]permissions, error) {
	granted := map[string][]rbacv1.PolicyRule{}
	if err := s.grantRoles(granted, true); err != nil {
		return nil, err
	}
	return s.sorted(granted)
}

// grantRoles adds the rules of the roles that are bound in the subject's own namespace, or of those that are bound in another.
func (s *source) grantRoles(granted map[string][]rbacv1.PolicyRule, own bool) error {
	roles, err := ofKind[rbacv1.Role](s, "Role")
	if err != nil {
		return err
	}
	rules := map[string][]rbacv1.PolicyRule{}
	for _, r := range roles {
		rules[r.Namespace+"/"+r.Name] = r.Rules
	}
	bindings, err := ofKind[rbacv1.RoleBinding](s, "RoleBinding")
	if err != nil {
		return err
	}
	for _, b := range bindings {
		subjects := slices.DeleteFunc(b.Subjects, func(subject rbacv1.Subject) bool { return (b.Namespace == subject.Namespace) != own })
		grant(granted, rules[b.Namespace+"/"+b.RoleRef.Name], subjects)
	}
	return nil
}

func grant(granted map[string][]rbacv1.PolicyRule, rules []rbacv1.PolicyRule, subjects []rbacv1.Subject) {
	for _, subject := range subjects {
		for _, rule := range rules {
			if !slices.ContainsFunc(granted[subject.Name], func(r rbacv1.PolicyRule) bool { return r.String() == rule.String() }) {
				granted[subject.Name] = append(granted[subject.Name], rule)
			}
		}
	}
}

// sorted lists the service accounts in the order of the manifests; OLM creates each that is listed.
func (s *source) sorted(granted map[string][]rbacv1.PolicyRule) ([]permissions, error) {
	accounts, err := ofKind[corev1.ServiceAccount](s, "ServiceAccount")
	if err != nil {
		return nil, err
	}
	var all []permissions
	for _, account := range accounts {
		if rules := granted[account.Name]; len(rules) > 0 {
			all = append(all, permissions{account.Name, rules})
		}
	}
	return all, nil
}

func (s *source) deployments() ([]appsv1.Deployment, error) {
	return ofKind[appsv1.Deployment](s, "Deployment")
}

func (s *source) definitions() ([]apiextensionsv1.CustomResourceDefinition, error) {
	return ofKind[apiextensionsv1.CustomResourceDefinition](s, "CustomResourceDefinition")
}

// manifests are the files of the bundle beside the CSV: the CRDs, and the cluster roles that are for users and so bound to nobody.
func (s *source) manifests() (map[string][]byte, error) {
	bound, err := s.boundRoles()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, o := range s.objects {
		name := o.GetName() + ".crd.yaml"
		switch {
		case o.GetKind() == "CustomResourceDefinition":
		case o.GetKind() == "ClusterRole" && !slices.Contains(bound, o.GetName()):
			name = o.GetName() + ".clusterrole.yaml"
		default:
			continue
		}
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", o.GetName(), err)
		}
		files[filepath.Join("manifests", name)] = append([]byte(generated), text...)
	}
	return files, nil
}

func (s *source) boundRoles() ([]string, error) {
	bindings, err := ofKind[rbacv1.ClusterRoleBinding](s, "ClusterRoleBinding")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, b := range bindings {
		names = append(names, b.RoleRef.Name)
	}
	return names, nil
}

// sample returns the sample of a kind in the given version, which all versions of a kind can express, or a bare object for kinds that the
// suite writes itself.
func (s *source) sample(group, version, kind string) map[string]any {
	gvk := schema.GroupVersionKind{Group: group, Version: version, Kind: kind}
	for _, o := range s.samples {
		if o.GroupVersionKind().GroupKind() == gvk.GroupKind() {
			o = o.DeepCopy()
			o.SetGroupVersionKind(gvk)
			return o.Object
		}
	}
	bare := &unstructured.Unstructured{}
	bare.SetGroupVersionKind(gvk)
	bare.SetName(strings.ToLower(kind) + "-sample")
	bare.SetNamespace("metallb-system")
	return bare.Object
}
