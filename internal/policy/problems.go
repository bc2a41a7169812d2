// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
)

// findings collects the problems of each object.
type findings map[ObjectRef][]finding

// finding is one problem of an object, and the nodes it concerns.
type finding struct {
	problem *reason.Problem
	scope   scope
}

// add notes a problem that concerns every node.
func (f findings) add(object ObjectRef, problem *reason.Problem) { f.addOn(everyNode, object, problem) }

// addOn notes a problem that concerns some nodes; nil is none.
func (f findings) addOn(nodes scope, object ObjectRef, problem *reason.Problem) {
	if problem != nil {
		f[object] = append(f[object], finding{problem, nodes})
	}
}

// problems makes one problem of all findings on an object: it has the first one's reason and the details of all.
func (f findings) problems() []Problem { return f.where(func(scope) bool { return true }) }

// on returns the problems that concern a node, each made of those findings that do.
func (f findings) on(node string) []Problem {
	return f.where(func(s scope) bool { return s.has(node) })
}

// where makes one problem for each object of the findings whose scope is wanted.
func (f findings) where(wanted func(scope) bool) []Problem {
	refs := slices.SortedFunc(maps.Keys(f), func(a, b ObjectRef) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	out := make([]Problem, 0, len(refs))
	for _, ref := range refs {
		var problems []*reason.Problem
		for _, one := range f[ref] {
			if wanted(one.scope) {
				problems = append(problems, one.problem)
			}
		}
		if len(problems) > 0 {
			out = append(out, Problem{Object: ref, Problem: *join(problems)})
		}
	}
	return out
}

// What is said of one object is bounded, however many entries it has and however long these are: it is repeated in conditions, events and the
// ConfigurationState of each node, and the API server refuses an object that is too large.
const (
	maxDetails = 10
	maxDetail  = 1000
)

// join makes one problem of several: the first one's reason and the first details.
func join(all []*reason.Problem) *reason.Problem {
	details := make([]string, 0, maxDetails)
	for _, p := range all[:min(len(all), maxDetails)] {
		details = append(details, shortened(p.Detail))
	}
	text := strings.Join(details, "; ")
	if rest := len(all) - len(details); rest > 0 {
		text += "; and " + strconv.Itoa(rest) + " more"
	}
	return &reason.Problem{Reason: all[0].Reason, Detail: text}
}

// shortened cuts a text that is longer than maxDetail bytes, between two characters.
func shortened(text string) string {
	if len(text) <= maxDetail {
		return text
	}
	return strings.ToValidUTF8(text[:maxDetail], "") + "…"
}

// maxNamed is how many names a problem lists.
const maxNamed = 3

// quoted lists names as a reader needs them.
func quoted(names []string) string {
	shown := make([]string, 0, maxNamed)
	for _, name := range names[:min(len(names), maxNamed)] {
		shown = append(shown, strconv.Quote(name))
	}
	text := strings.Join(shown, ", ")
	if rest := len(names) - len(shown); rest > 0 {
		text += " and " + strconv.Itoa(rest) + " more"
	}
	return text
}

// counted lists one or several things: "node a", "nodes a, b and 7 more".
func counted(names []string, thing string) string {
	if len(names) > 1 {
		thing += "s"
	}
	return thing + " " + quoted(names)
}

// firstOf returns the first problem that is one.
func firstOf(problems ...*reason.Problem) *reason.Problem {
	for _, p := range problems {
		if p != nil {
			return p
		}
	}
	return nil
}

// byAge returns the objects sorted by creation and name: who comes first is right when two contradict each other.
func byAge[T any, P pointer[T]](objects []T) []P {
	return sortedBy(objects, func(a, b P) int {
		return cmp.Or(a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time), cmp.Compare(a.GetName(), b.GetName()))
	})
}

// byName returns the objects sorted by namespace and name: a cache lists them in any order, and nothing must depend on that.
func byName[T any, P pointer[T]](objects []T) []P {
	return sortedBy(objects, func(a, b P) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
}

// pointer is the pointer to an API object of type T.
type pointer[T any] interface {
	*T
	metav1.Object
}

func sortedBy[T any, P pointer[T]](objects []T, compare func(a, b P) int) []P {
	all := make([]P, len(objects))
	for i := range objects {
		all[i] = &objects[i]
	}
	slices.SortFunc(all, compare)
	return all
}

// repeated returns a problem when an entry of the field is given twice.
func repeated(field string, entries []string) *reason.Problem {
	seen := make(map[string]struct{}, len(entries))
	for _, e := range entries {
		if _, twice := seen[e]; twice {
			return reason.New(reason.DuplicateEntry, "%s has %q twice", field, e)
		}
		seen[e] = struct{}{}
	}
	return nil
}
