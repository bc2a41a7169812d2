// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/allocation"
)

// selectors match labels that one of them matches.
type selectors []labels.Selector

// compileSelectors reads the selectors of a field. No selector may be given twice, nor a requirement or value within one.
func compileSelectors(field string, given []metav1.LabelSelector) (selectors, *reason.Problem) {
	out := make(selectors, 0, len(given))
	texts := make([]string, 0, len(given))
	for i := range given {
		if p := repeatedWithin(field, &given[i]); p != nil {
			return nil, p
		}
		s, err := metav1.LabelSelectorAsSelector(&given[i])
		if err != nil {
			return nil, reason.New(reason.InvalidSelector, "invalid label selector in %s: %v", field, err)
		}
		out, texts = append(out, s), append(texts, s.String())
	}
	return out, repeated(field, texts)
}

func repeatedWithin(field string, s *metav1.LabelSelector) *reason.Problem {
	texts := make([]string, 0, len(s.MatchExpressions))
	for _, e := range s.MatchExpressions {
		if p := repeated(field+" matchExpressions of "+e.Key, e.Values); p != nil {
			return p
		}
		e.Values = slices.Sorted(slices.Values(e.Values))
		texts = append(texts, e.String())
	}
	return repeated(field+" matchExpressions", texts)
}

// Matches reports whether one of the selectors matches; so without any, nothing matches.
func (s selectors) Matches(of map[string]string) bool {
	return slices.ContainsFunc(s, func(one labels.Selector) bool { return one.Matches(labels.Set(of)) })
}

// matchesOrEmpty reports whether one matches or there is none.
func (s selectors) matchesOrEmpty(of map[string]string) bool { return len(s) == 0 || s.Matches(of) }

// names returns the names whose labels match.
func (s selectors) names(all map[string]map[string]string) []string {
	var out []string
	for name, of := range all {
		if s.Matches(of) {
			out = append(out, name)
		}
	}
	return out
}

// matchers returns nil for no selectors, which matches everything.
func (s selectors) matchers() []allocation.Matcher {
	if len(s) == 0 {
		return nil
	}
	return []allocation.Matcher{s}
}
