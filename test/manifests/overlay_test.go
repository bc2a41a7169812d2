// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"metalsuite.io/test/shipped"
)

const root = "../.."

// digest is that of an image in a registry of a user.
const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// overlay builds a kustomization that stands in a folder of its own beside config/.
func overlay(t *testing.T, kustomization string) []*unstructured.Unstructured {
	t.Helper()
	folder, err := os.MkdirTemp(filepath.Join(root, "config"), "overlay-of-a-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n" + kustomization
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return build(t, folder)
}

func build(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	path, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "tool", "-modfile=hack/tools/go.mod", "kustomize", "build", path)
	command.Dir = root
	var complaints bytes.Buffer
	command.Stderr = &complaints
	text, err := command.Output()
	if err != nil {
		t.Fatalf("kustomize: %v\n%s", err, complaints.String())
	}
	objects, err := shipped.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// images returns the images of all containers, and the environment variables that name one.
func images(t *testing.T, objects []*unstructured.Unstructured) []string {
	t.Helper()
	var all []string
	for _, o := range objects {
		if o.GetKind() != "Deployment" {
			continue
		}
		var d appsv1.Deployment
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &d); err != nil {
			t.Fatal(err)
		}
		for _, c := range d.Spec.Template.Spec.Containers {
			all = append(all, c.Image)
			for _, e := range c.Env {
				if strings.Contains(e.Value, "metalsuite") {
					t.Errorf("%s: the variable %s repeats the image: %s", d.Name, e.Name, e.Value)
				}
			}
		}
	}
	return all
}

func TestOneEntrySetsTheImageEverywhere(t *testing.T) {
	resources := "resources: [../default, ../overlays/annotated-services]\n"
	for name, c := range map[string]struct{ entry, want string }{
		"as shipped": {"", "metalsuite.io/metalsuite:v0.1.0"},
		"a registry": {"images: [{name: metalsuite.io/metalsuite, newName: registry.example/m}]", "registry.example/m:v0.1.0"},
		"a tag":      {"images: [{name: metalsuite.io/metalsuite, newTag: v9}]", "metalsuite.io/metalsuite:v9"},
		"a digest":   {"images: [{name: metalsuite.io/metalsuite, newName: registry.example/m, digest: '" + digest + "'}]", "registry.example/m@" + digest},
	} {
		t.Run(name, func(t *testing.T) {
			got := images(t, overlay(t, resources+c.entry))
			// A digest leaves the tag beside it, which has no meaning then (OCI distribution: references).
			for i := range got {
				got[i] = strings.Replace(got[i], ":v0.1.0@", "@", 1)
			}
			if !slices.Equal(got, []string{c.want, c.want}) {
				t.Errorf("images %v, want twice %s", got, c.want)
			}
		})
	}
}

// TestAnotherNamespace builds the overlay that ships for that, and a plain one.
func TestAnotherNamespace(t *testing.T) {
	const fixed = "config/overlays/namespace keeps the Roles for the endpoints of the Kubernetes API in default"
	objects := build(t, filepath.Join(root, "config", "overlays", "namespace"))
	kept := map[string]bool{}
	for _, o := range objects {
		switch namespace := o.GetNamespace(); {
		case namespace == "default":
			kept[o.GetKind()+" "+o.GetName()] = true
		case namespace != "" && namespace != "my-lb", o.GetKind() == "Namespace" && o.GetName() != "my-lb":
			t.Errorf("%s %s is in namespace %s", o.GetKind(), o.GetName(), namespace)
		}
		text, err := o.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if o.GetKind() != "CustomResourceDefinition" && bytes.Contains(text, []byte("metallb-system")) {
			t.Errorf("%s %s still names metallb-system", o.GetKind(), o.GetName())
		}
	}
	for _, want := range []string{
		"Role metallb-controller-default", "RoleBinding metallb-controller-default",
		"Role metallb-endpoint-copier-default", "RoleBinding metallb-endpoint-copier-default",
	} {
		if !kept[want] {
			t.Errorf("%s is not in namespace default: %s", want, fixed)
		}
	}
	if len(kept) != 4 {
		t.Errorf("in namespace default: %v", kept)
	}
	granted(t, objects)
}

func TestAPlainNamespaceBuilds(t *testing.T) {
	granted(t, overlay(t, "resources: [../default]\nnamespace: my-lb\n"))
}

// granted checks that every binding refers to a Role beside it and to the account of a role in the namespace.
func granted(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	exists := map[string]bool{}
	for _, o := range objects {
		exists[o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName()] = true
	}
	for _, o := range objects {
		if o.GetKind() != "RoleBinding" {
			continue
		}
		var b rbacv1.RoleBinding
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &b); err != nil {
			t.Fatal(err)
		}
		if !exists["Role "+b.Namespace+"/"+b.RoleRef.Name] {
			t.Errorf("RoleBinding %s/%s refers to no Role: %s", b.Namespace, b.Name, b.RoleRef.Name)
		}
		for _, s := range b.Subjects {
			if s.Namespace != "my-lb" || !exists["ServiceAccount my-lb/"+s.Name] {
				t.Errorf("RoleBinding %s/%s grants to %s/%s", b.Namespace, b.Name, s.Namespace, s.Name)
			}
		}
	}
}
