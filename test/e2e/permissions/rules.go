// SPDX-License-Identifier: Apache-2.0

package permissions

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Permission is one verb on one resource for one service account.
type Permission struct {
	// Account is the name of the service account.
	Account string
	// Namespace is the namespace of the Role; empty for a ClusterRole, which holds in every namespace.
	Namespace string
	Group     string
	// Resource includes the subresource: "services/status".
	Resource string
	// Name is the one object that the rule names; empty means every object.
	Name string
	Verb string
}

func (p Permission) String() string {
	where, what := "in the cluster", p.Resource
	if p.Namespace != "" {
		where = "in namespace " + p.Namespace
	}
	if p.Group != "" {
		what += "." + p.Group
	}
	if p.Name != "" {
		what += " " + p.Name
	}
	return fmt.Sprintf("%s: %s %s %s", p.Account, p.Verb, what, where)
}

// role is what both kinds of role have in common, and binding what both kinds of binding have.
type role struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Rules             []rbacv1.PolicyRule `json:"rules"`
	RoleRef           rbacv1.RoleRef      `json:"roleRef"`
	Subjects          []rbacv1.Subject    `json:"subjects"`
}

type roleKey struct{ kind, namespace, name string }

// Grants is what manifests grant to service accounts.
type Grants struct {
	// Permissions are in order and without repetition.
	Permissions []Permission
	// Objects are the roles and bindings, as resource/namespace/name.
	Objects map[string]bool
}

// Read returns the grants of the manifests in the folder. A binding to a role that the folder does not have is an error.
func Read(folder fs.FS) (Grants, error) {
	roles, bindings, grants := map[roleKey]role{}, []role{}, Grants{Objects: map[string]bool{}}
	err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		content, err := fs.ReadFile(folder, path)
		if err != nil {
			return err
		}
		objects, err := decode(content)
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		for _, o := range objects {
			switch o.Kind {
			case "Role", "ClusterRole":
				grants.Objects[objectKey(strings.ToLower(o.Kind)+"s", o.Namespace, o.Name)] = true
				roles[roleKey{o.Kind, o.Namespace, o.Name}] = o
			case "RoleBinding", "ClusterRoleBinding":
				grants.Objects[objectKey(strings.ToLower(o.Kind)+"s", o.Namespace, o.Name)] = true
				bindings = append(bindings, o)
			}
		}
		return nil
	})
	if err != nil {
		return Grants{}, err
	}
	all := grants.Permissions
	for _, b := range bindings {
		r, ok := roles[roleKey{b.RoleRef.Kind, b.Namespace, b.RoleRef.Name}]
		if !ok {
			return Grants{}, fmt.Errorf("%s %s refers to %s %s, which is not there", b.Kind, b.Name, b.RoleRef.Kind, b.RoleRef.Name)
		}
		for _, s := range b.Subjects {
			all = append(all, expand(s.Name, r)...)
		}
	}
	slices.SortFunc(all, func(a, b Permission) int { return cmp.Compare(a.String(), b.String()) })
	grants.Permissions = slices.Compact(all)
	return grants, nil
}

func objectKey(resource, namespace, name string) string {
	return resource + "/" + namespace + "/" + name
}

func decode(content []byte) ([]role, error) {
	var objects []role
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		var o role
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
}

// expand lists the permissions of a role. Rules on URLs outside the API are left out: they are for those who read the suite's metrics.
func expand(account string, r role) []Permission {
	var all []Permission
	for _, rule := range r.Rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range names {
					for _, verb := range rule.Verbs {
						all = append(all, Permission{account, r.Namespace, group, resource, name, verb})
					}
				}
			}
		}
	}
	return all
}
