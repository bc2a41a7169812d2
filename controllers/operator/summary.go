// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/kube"
)

const (
	// patience is how long a component may be unavailable before that counts as degraded. Pulling an image and starting fit into it.
	patience = 2 * time.Minute
	// lookAgain is how often refused pods, and nodes, are looked for while a DaemonSet lacks some: neither wakes the operator.
	lookAgain = 10 * time.Second
)

// component is one workload with the condition that tells of it.
type component struct {
	name      string
	condition string
	enabled   bool
	health    health
}

// observation is everything that the conditions of a MetalLB resource are made of.
type observation struct {
	// misplaced is set when the resource is not the one that is served; then nothing else is.
	misplaced *reason.Problem
	// problems are what is wrong beside the components.
	problems   []reason.Problem
	components []component
	// native is set when the resource asks for another BGP backend than the one there is.
	native string
	// strays says which objects are in the wrong place; nil when none is. Unknown is set while more may turn up.
	strays        *reason.Problem
	straysUnknown bool
	// foreign are the fields that others have set in the workloads.
	foreign []string
	// keyMissing says why the Secret that the speakers mount is not known to exist; nil when it exists.
	keyMissing *reason.Problem
	// uncreatable says why a missing workload must not be created now; nil if it may be.
	uncreatable error
	// incomplete is set when a DaemonSet lacks pods or nodes to run them on.
	incomplete bool
}

// summarise writes what was observed into the conditions and returns after how long they would change by time alone; 0 means never.
func summarise(conditions *[]metav1.Condition, o observation, generation int64, now time.Time) time.Duration {
	s := summary{conditions: conditions, generation: generation, now: now}
	if o.misplaced != nil {
		s.refuse(*o.misplaced)
		return 0
	}
	s.problems = append(s.problems, o.problems...)
	for _, c := range o.components {
		s.add(c)
	}
	s.conclude()
	s.native(o.native)
	s.strays(o.strays, o.straysUnknown)
	s.foreign(foreignProblem(o.foreign))
	if o.incomplete {
		s.wake(lookAgain)
	}
	return s.after
}

// summary gathers over the components what the conditions of the whole say.
type summary struct {
	conditions  *[]metav1.Condition
	generation  int64
	now         time.Time
	problems    []reason.Problem
	unavailable []reason.Problem
	rolling     []reason.Problem
	after       time.Duration
}

func (s *summary) set(kind string, status metav1.ConditionStatus, why reason.Reason, message string) {
	kube.SetCondition(s.conditions, kind, status, why, message, s.generation)
}

// setFrom sets a condition to a status when there are problems, with all of them in its message, and to the opposite status when there are none.
func (s *summary) setFrom(kind string, when metav1.ConditionStatus, problems []reason.Problem) {
	if len(problems) == 0 {
		s.set(kind, opposite(when), reason.AsExpected, "")
		return
	}
	messages := make([]string, len(problems))
	for i, p := range problems {
		messages[i] = p.Message()
	}
	s.set(kind, when, problems[0].Reason, strings.Join(messages, "; "))
}

func opposite(status metav1.ConditionStatus) metav1.ConditionStatus {
	if status == metav1.ConditionTrue {
		return metav1.ConditionFalse
	}
	return metav1.ConditionTrue
}

// refuse is for a resource that is not served: it says so everywhere, and nothing of components that do not exist.
func (s *summary) refuse(p reason.Problem) {
	s.set(v1beta1.ConditionAvailable, metav1.ConditionFalse, p.Reason, p.Message())
	s.set(v1beta1.ConditionDegraded, metav1.ConditionTrue, p.Reason, p.Message())
	s.set(v1beta1.ConditionProgressing, metav1.ConditionFalse, p.Reason, p.Message())
	s.set(v1beta1.ConditionUpgradeable, metav1.ConditionTrue, reason.AsExpected, "")
}

func (s *summary) add(c component) {
	if !c.enabled {
		s.set(c.condition, metav1.ConditionTrue, reason.ComponentDisabled, "")
		return
	}
	switch h := c.health; {
	case h.complete:
		s.set(c.condition, metav1.ConditionTrue, cmp.Or(h.note, reason.AsExpected), "")
		return
	case h.available:
		s.set(c.condition, metav1.ConditionTrue, h.problem.Reason, h.problem.Message())
	default:
		s.set(c.condition, metav1.ConditionFalse, h.problem.Reason, h.problem.Message())
		s.unavailable = append(s.unavailable, *h.problem)
	}
	if c.health.stuck || s.overdue(c.condition) {
		if !slices.Contains(s.problems, *c.health.problem) {
			s.problems = append(s.problems, *c.health.problem)
		}
	} else {
		s.rolling = append(s.rolling, *c.health.problem)
	}
}

// overdue reports whether a component has been unavailable for longer than starting takes, and if not, when to look again.
func (s *summary) overdue(kind string) bool {
	c := meta.FindStatusCondition(*s.conditions, kind)
	if c.Status == metav1.ConditionTrue {
		return false
	}
	left := patience - s.now.Sub(c.LastTransitionTime.Time)
	if left > 0 {
		s.wake(left)
	}
	return left <= 0
}

func (s *summary) wake(after time.Duration) {
	if s.after == 0 || after < s.after {
		s.after = after
	}
}

func (s *summary) conclude() {
	s.setFrom(v1beta1.ConditionAvailable, metav1.ConditionFalse, s.unavailable)
	s.setFrom(v1beta1.ConditionProgressing, metav1.ConditionTrue, s.rolling)
	s.setFrom(v1beta1.ConditionUpgradeable, metav1.ConditionFalse, s.rolling)
	s.setFrom(v1beta1.ConditionDegraded, metav1.ConditionTrue, s.problems)
}

// native says, only where an old resource asks for another backend, who serves it.
func (s *summary) native(asked string) {
	if asked == "" || asked == "native" {
		meta.RemoveStatusCondition(s.conditions, v1beta1.ConditionNativeBackend)
		return
	}
	s.set(v1beta1.ConditionNativeBackend, metav1.ConditionTrue, reason.NativeBackendServes,
		fmt.Sprintf("spec.bgpBackend %q is accepted; the native backend serves it", asked))
}

// strays says, only where there are any, which objects are in the wrong place. What was said before stands until all were looked for.
func (s *summary) strays(found *reason.Problem, unknown bool) {
	switch {
	case found != nil:
		s.set(v1beta1.ConditionStrayObjects, metav1.ConditionTrue, found.Reason, found.Message())
	case !unknown:
		meta.RemoveStatusCondition(s.conditions, v1beta1.ConditionStrayObjects)
	}
}

// foreign says, only where there are any, which fields of the workloads others have set.
func (s *summary) foreign(found *reason.Problem) {
	if found == nil {
		meta.RemoveStatusCondition(s.conditions, v1beta1.ConditionForeignFields)
		return
	}
	s.set(v1beta1.ConditionForeignFields, metav1.ConditionTrue, found.Reason, found.Message())
}
