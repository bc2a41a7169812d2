// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"maps"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FuzzSelectors checks that selectors which are accepted match what a reader of them would say, in any order, and that none match nothing.
func FuzzSelectors(f *testing.F) {
	f.Add("app", "web", "In", "tier", "gold", "iron")
	f.Add("app", "web", "NotIn", "app", "web", "db")
	f.Add("app", "", "Exists", "tier", "", "")
	f.Add("a b", "web", "DoesNotExist", "tier", "gold", "")
	f.Add("app", "web", "Near", "tier", "gold", "gold")
	f.Fuzz(func(t *testing.T, key, value, operator, other, x, y string) {
		expression := metav1.LabelSelectorRequirement{Key: other, Operator: metav1.LabelSelectorOperator(operator)}
		if operator == "In" || operator == "NotIn" {
			expression.Values = []string{x, y}
		}
		given := []metav1.LabelSelector{
			{MatchLabels: map[string]string{key: value}},
			{MatchExpressions: []metav1.LabelSelectorRequirement{expression}},
		}
		s, problem := compileSelectors("field", given)
		slices.Reverse(given)
		back, problemBack := compileSelectors("field", given)
		if (problem == nil) != (problemBack == nil) {
			t.Fatalf("%v, read backwards %v", problem, problemBack)
		}
		if problem != nil {
			if s != nil && s.Matches(nil) {
				t.Fatalf("refused for %v, and matches", problem)
			}
			return
		}
		for _, of := range []map[string]string{nil, {key: value}, {key: x}, {other: x}, {other: y}, {key: value, other: x}, {other: value}} {
			v, there := of[key]
			want := there && v == value || holds(expression, of)
			if got := s.Matches(of); got != want || back.Matches(of) != want {
				t.Fatalf("%v on %v: %t and backwards %t, want %t", given, of, got, back.Matches(of), want)
			}
		}
		if none := (selectors{}); none.Matches(maps.Clone(given[0].MatchLabels)) || !none.matchesOrEmpty(nil) {
			t.Fatal("no selectors match nothing")
		}
	})
}

func holds(e metav1.LabelSelectorRequirement, of map[string]string) bool {
	v, there := of[e.Key]
	switch e.Operator {
	case metav1.LabelSelectorOpIn:
		return there && slices.Contains(e.Values, v)
	case metav1.LabelSelectorOpNotIn:
		return !there || !slices.Contains(e.Values, v)
	case metav1.LabelSelectorOpExists:
		return there
	case metav1.LabelSelectorOpDoesNotExist:
		return !there
	}
	return false
}
