// SPDX-License-Identifier: Apache-2.0

// Package shipped gives tests the manifests of config/, and creates the objects of these in an API server. Names are paths below config/,
// with slashes. What a kustomization would change in the objects is not changed.
package shipped

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// CRDs is the folder of the CustomResourceDefinitions.
const CRDs = "crd/bases"

// Path returns the path of a file or folder of config/. The test may run in any folder of the module; elsewhere Path panics.
func Path(name string) string {
	folder, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(folder, "PROJECT")); err == nil {
			return filepath.Join(folder, "config", filepath.FromSlash(name))
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			err = errors.New("no folder above this one has a file PROJECT")
		}
		folder = parent
	}
	panic(err)
}

// Objects returns the objects of manifests, in their order.
func Objects(names ...string) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for _, name := range names {
		f, err := os.Open(Path(name))
		if err != nil {
			return nil, err
		}
		objects, err := Decode(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

// Decode returns the objects of a stream of YAML documents.
func Decode(r io.Reader) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(r, 4096); ; {
		o := &unstructured.Unstructured{}
		switch err := decoder.Decode(&o.Object); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		case len(o.Object) > 0:
			all = append(all, o)
		}
	}
}

// Create creates the objects of manifests.
func Create(ctx context.Context, c client.Client, names ...string) error {
	objects, err := Objects(names...)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := c.Create(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// Grant creates the roles of manifests and binds each of them to a user.
func Grant(ctx context.Context, c client.Client, user string, names ...string) error {
	roles, err := Objects(names...)
	if err != nil {
		return err
	}
	for _, role := range roles {
		to := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: role.GetKind(), Name: role.GetName()}
		subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
		meta := metav1.ObjectMeta{Name: role.GetName(), Namespace: role.GetNamespace()}
		var binding client.Object = &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: to, Subjects: subjects}
		if role.GetKind() == "Role" {
			binding = &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: to, Subjects: subjects}
		}
		if err := errors.Join(c.Create(ctx, role), c.Create(ctx, binding)); err != nil {
			return err
		}
	}
	return nil
}
