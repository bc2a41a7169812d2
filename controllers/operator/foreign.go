// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
)

// foreignNamed is how many foreign fields the condition names.
const foreignNamed = 3

// harmlessFields are prefixes of fields that others may set: pods are started anew by an annotation (kubectl rollout restart).
var harmlessFields = []string{"spec.template.metadata."}

// foreignFields returns, sorted, the fields in the spec of a workload that others have set and this operator does not: it undoes changes
// of its own fields, and the API server gives no owner the right to remove another's. Each is a text such as
// "Deployment controller: spec.paused (set by kubectl-edit)".
func foreignFields(kind string, live client.Object) ([]string, error) {
	own, others := map[string]bool{}, map[string]string{}
	for _, entry := range live.GetManagedFields() {
		if entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		fields, err := leaves(entry.FieldsV1)
		if err != nil {
			return nil, fmt.Errorf("reading the fields that %s set in %s: %w", entry.Manager, live.GetName(), err)
		}
		for _, field := range fields {
			if entry.Manager == FieldOwner {
				own[field] = true
			} else if strings.HasPrefix(field, "spec.") {
				others[field] = entry.Manager
			}
		}
	}
	maps.DeleteFunc(others, func(field, _ string) bool {
		return own[field] || slices.ContainsFunc(harmlessFields, func(prefix string) bool { return strings.HasPrefix(field, prefix) })
	})
	var found []string
	for _, field := range topmost(slices.Sorted(maps.Keys(others))) {
		found = append(found, fmt.Sprintf("%s %s: %s (set by %s)", kind, live.GetName(), field, others[field]))
	}
	return found, nil
}

// topmost leaves out of a sorted list what is inside an item of a list that is itself foreign.
func topmost(fields []string) []string {
	var out []string
	for _, field := range fields {
		if len(out) == 0 || !strings.HasSuffix(out[len(out)-1], "]") || !strings.HasPrefix(field, out[len(out)-1]+".") {
			out = append(out, field)
		}
	}
	return out
}

// leaves returns the fields of a managed field set as paths such as spec.template.spec.containers[name=speaker].args (Kubernetes: FieldsV1).
// An item of a list that was set as a whole is a path of its own.
func leaves(fields *metav1.FieldsV1) ([]string, error) {
	var tree map[string]any
	if err := json.Unmarshal(fields.GetRawBytes(), &tree); err != nil {
		return nil, err
	}
	var found []string
	walk("", tree, func(path string) { found = append(found, path) })
	return found, nil
}

func walk(path string, tree map[string]any, found func(string)) {
	for key, below := range tree {
		kind, name, _ := strings.Cut(key, ":")
		var at string
		switch kind {
		case ".":
			if strings.HasSuffix(path, "]") {
				found(path)
			}
			continue
		case "f":
			at = strings.TrimPrefix(path+"."+name, ".")
		default: // a key, a value or an index of an item
			at = path + "[" + item(name) + "]"
		}
		if children, ok := below.(map[string]any); ok && len(children) > 0 {
			walk(at, children, found)
		} else {
			found(at)
		}
	}
}

// item writes {"name":"x"} as name=x.
func item(key string) string {
	var fields map[string]any
	if json.Unmarshal([]byte(key), &fields) != nil {
		return key
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, fmt.Sprintf("%s=%v", name, fields[name]))
	}
	return strings.Join(parts, ",")
}

// foreignProblem names the first foreign fields; nil when there are none.
func foreignProblem(found []string) *reason.Problem {
	if len(found) == 0 {
		return nil
	}
	text := strings.Join(found[:min(len(found), foreignNamed)], ", ")
	if more := len(found) - foreignNamed; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return reason.New(reason.ForeignFields, "%s", text)
}
