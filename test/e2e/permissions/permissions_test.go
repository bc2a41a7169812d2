// SPDX-License-Identifier: Apache-2.0

package permissions

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const manifests = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
  - {apiGroups: [""], resources: [services, services/status], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, name: one}, {kind: ServiceAccount, name: two}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: keys, namespace: metallb-system}
rules:
  - {apiGroups: [""], resources: [secrets], resourceNames: [memberlist], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: keys, namespace: metallb-system}
roleRef: {kind: Role, name: keys}
subjects: [{kind: ServiceAccount, name: one}]
`

func grants(t *testing.T) Grants {
	t.Helper()
	g, err := Read(fstest.MapFS{"one/role.yaml": {Data: []byte(manifests)}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestRulesOfEveryBoundAccountAreRead(t *testing.T) {
	var got []string
	for _, p := range grants(t).Permissions {
		got = append(got, p.String())
	}
	want := []string{
		"one: get secrets memberlist in namespace metallb-system", "one: get services in the cluster", "one: get services/status in the cluster",
		"two: get services in the cluster", "two: get services/status in the cluster",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestABindingWithoutItsRoleIsAnError(t *testing.T) {
	_, err := Read(fstest.MapFS{"a.yaml": {Data: []byte("kind: RoleBinding\nmetadata: {name: lost}\nroleRef: {kind: Role, name: absent}\n")}})
	if err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("got %v, want an error that names the role", err)
	}
}

// request is a line of the log at a second after the minute.
func request(second int, account, verb, resource, namespace, name string, code int) string {
	resource, sub, _ := strings.Cut(resource, "/")
	return fmt.Sprintf(`{"verb":%q,"stageTimestamp":"2026-11-30T12:00:%02d.000000Z","user":{"username":"system:serviceaccount:metallb-system:%s"},`+
		`"objectRef":{"resource":%q,"subresource":%q,"namespace":%q,"name":%q},"responseStatus":{"code":%d}}`,
		verb, second, account, resource, sub, namespace, name, code)
}

func bindings(second int, verb string) string {
	return fmt.Sprintf(`{"verb":%q,"stageTimestamp":"2026-11-30T12:00:%02d.000000Z","user":{"username":"admin"},`+
		`"objectRef":{"apiGroup":"rbac.authorization.k8s.io","resource":"clusterrolebindings","name":"reader"}}`, verb, second)
}

// unmapped is a write that the API server refuses as long as it does not know the kind of the owner.
func unmapped(second int) string {
	return strings.Replace(request(second, "one", "create", "secrets", "metallb-system", "memberlist", 403), `"code":403`,
		`"code":403,"message":"cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion metallb.io/v1beta1"`, 1)
}

func TestComparison(t *testing.T) {
	all := []string{
		request(10, "one", "get", "services", "default", "a", 200), request(10, "one", "get", "services/status", "", "", 200),
		request(10, "one", "get", "secrets", "metallb-system", "memberlist", 404), request(10, "two", "get", "services", "", "", 200),
		request(10, "two", "get", "services/status", "x", "y", 200),
	}
	for name, c := range map[string]struct {
		log               []string
		unused, forbidden int
	}{
		"every rule is used":                                            {all, 0, 0},
		"nothing is asked":                                              {nil, 5, 0},
		"another account's request is no use":                           {slices.Replace(slices.Clone(all), 0, 1, request(10, "three", "get", "services", "", "", 200)), 1, 0},
		"a subresource is another resource":                             {slices.Delete(slices.Clone(all), 1, 2), 1, 0},
		"another object than the named one is no use":                   {slices.Replace(slices.Clone(all), 2, 3, request(10, "one", "get", "secrets", "metallb-system", "other", 200)), 1, 0},
		"another namespace than the role's is no use":                   {slices.Replace(slices.Clone(all), 2, 3, request(10, "one", "get", "secrets", "default", "memberlist", 200)), 1, 0},
		"a forbidden request":                                           {append(slices.Clone(all), request(30, "one", "list", "pods", "", "", 403)), 0, 1},
		"an owner of a kind that the API server has not discovered yet": {append(slices.Clone(all), unmapped(30)), 0, 0},
		"a forbidden request uses no rule":                              {slices.Replace(slices.Clone(all), 0, 1, request(30, "one", "get", "services", "", "", 403)), 1, 1},
		"a refusal while a binding is gone":                             {append(slices.Clone(all), bindings(20, "delete"), request(40, "one", "get", "services", "", "", 403)), 0, 0},
		"a refusal just after the binding is back":                      {append(slices.Clone(all), bindings(20, "delete"), bindings(40, "patch"), request(44, "one", "get", "services", "", "", 403)), 0, 0},
		"a refusal long after the binding is back":                      {append(slices.Clone(all), bindings(20, "delete"), bindings(40, "patch"), request(46, "one", "get", "services", "", "", 403)), 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := Compare(strings.NewReader(strings.Join(c.log, "\n")), grants(t))
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Unused) != c.unused || len(report.Forbidden) != c.forbidden {
				t.Errorf("unused %v, forbidden %v; want %d and %d", report.Unused, report.Forbidden, c.unused, c.forbidden)
			}
		})
	}
}

func TestADamagedLogIsAnError(t *testing.T) {
	if _, err := Compare(strings.NewReader("{\n"), Grants{}); err == nil {
		t.Error("want an error")
	}
}
