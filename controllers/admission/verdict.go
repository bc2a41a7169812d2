// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"slices"
	"strings"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/policy"
)

// verdict is what is said to a change: with a refusal it does not happen, else the warnings are told.
type verdict struct {
	refusals, warnings []string
}

func (v *verdict) refuse(format string, args ...any) {
	v.refusals = append(v.refusals, fmt.Sprintf(format, args...))
}

func (v *verdict) warn(format string, args ...any) {
	v.warnings = append(v.warnings, fmt.Sprintf(format, args...))
}

// judge compares the policies before and after a change of one object. Of that object every problem counts that it did not have before;
// of another one, that it was valid before and is not after. So what was wrong already blocks nothing. What only waits for something that
// is not there yet is told and stops nothing, as is what a valid object does not do.
func judge(changed policy.ObjectRef, before, after *policy.Policy) verdict {
	var v verdict
	for _, p := range after.Problems {
		old := before.ProblemsOf(p.Object)
		if p.Object != changed && slices.ContainsFunc(old, stops) {
			continue
		}
		var refused []reason.Problem
		for _, news := range after.ProblemsOf(p.Object) {
			switch {
			case slices.Contains(old, news):
			case stops(news):
				refused = append(refused, news)
			default:
				v.warn("%s %q: %s", p.Object.Kind, p.Object.Name, news.Detail)
			}
		}
		if len(refused) == 0 {
			continue
		}
		why := joined(refused)
		if p.Object == changed {
			v.refuse("%s %q: %s", p.Object.Kind, p.Object.Name, why.Message())
		} else {
			v.refuse("%s %q would become invalid: %s", p.Object.Kind, p.Object.Name, why.Message())
		}
	}
	v.remark(before, after)
	return v
}

// remark tells what valid objects do not do any more although they say so.
func (v *verdict) remark(before, after *policy.Policy) {
	for _, n := range after.Notes {
		if !slices.Contains(before.Notes, n) {
			v.warn("%s %q: %s", n.Object.Kind, n.Object.Name, n.Detail)
		}
	}
}

// stops reports whether a problem says more than that something is not there yet: objects come in any order.
func stops(p reason.Problem) bool {
	return p.Reason != reason.UnknownBFDProfile && p.Reason != reason.UnknownCommunity
}

// joined makes one problem of several: it has the first one's reason and the details of all.
func joined(all []reason.Problem) reason.Problem {
	details := make([]string, len(all))
	for i, p := range all {
		details[i] = p.Detail
	}
	return reason.Problem{Reason: all[0].Reason, Detail: strings.Join(details, "; ")}
}
