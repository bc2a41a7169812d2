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
// of another one, that it was valid before and is not after. So what was wrong already blocks nothing.
func judge(changed policy.ObjectRef, before, after *policy.Policy) verdict {
	var v verdict
	for _, p := range after.Problems {
		old, wrongBefore := before.ProblemOf(p.Object)
		if p.Object != changed && wrongBefore {
			continue
		}
		p.Detail = newDetails(old.Detail, p.Detail)
		switch {
		case p.Detail == "":
		case passes(p.Reason):
			v.warn("%s %q: %s", p.Object.Kind, p.Object.Name, p.Detail)
		case p.Object == changed:
			v.refuse("%s %q: %s", p.Object.Kind, p.Object.Name, p.Message())
		default:
			v.refuse("%s %q would become invalid: %s", p.Object.Kind, p.Object.Name, p.Message())
		}
	}
	return v
}

// passes reports whether a problem only says that something is not there yet: objects come in any order.
func passes(why reason.Reason) bool {
	return why == reason.UnknownBFDProfile || why == reason.UnknownCommunity
}

// newDetails returns what of the details of a problem was not among the old ones. A problem joins the details of all that was found.
func newDetails(old, now string) string {
	const separator = "; "
	known := strings.Split(old, separator)
	return strings.Join(slices.DeleteFunc(strings.Split(now, separator), func(d string) bool { return slices.Contains(known, d) }), separator)
}
