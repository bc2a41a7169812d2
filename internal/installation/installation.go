// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// The limits of refreshInterval, beside 0 for never.
const (
	ShortestRefresh = time.Second
	LongestRefresh  = 24 * time.Hour
)

// Problems returns a problem for each setting that cannot be used, in the order of the fields.
func Problems(spec v1beta1.MetalLBSpec) []reason.Problem {
	_, problems := Usable(spec)
	return problems
}

// Added returns the problems of a spec that the spec before it did not have. A position in a list tells no problem from another, since entries
// move when one before them is removed; the same problem twice is new where it was there once.
func Added(before, after v1beta1.MetalLBSpec) []reason.Problem {
	known := map[reason.Problem]int{}
	for _, p := range Problems(before) {
		known[unplaced(p)]++
	}
	var added []reason.Problem
	for _, p := range Problems(after) {
		if known[unplaced(p)] > 0 {
			known[unplaced(p)]--
			continue
		}
		added = append(added, p)
	}
	return added
}

// position is an index in the path of a field.
var position = regexp.MustCompile(`\[[0-9]+\]`)

// unplaced returns a problem without the indexes in its path.
func unplaced(p reason.Problem) reason.Problem {
	path, text, _ := strings.Cut(p.Detail, ": ")
	p.Detail = position.ReplaceAllString(path, "[]") + ": " + text
	return p
}

// Usable returns the settings that can be used, and a problem for each of the others. The argument is not changed.
//
// A setting is left out only where that is the safe side: an expression, an interval, a toleration, an annotation, a class name, resources.
// Settings that restrict the nodes or Services which are served (node selectors, affinity, loadBalancerClass) stay as they are: Kubernetes
// refuses them, and workloads that run go on as they were. An expression that excludes every interface stays as well, and is obeyed. Without
// them the suite would serve more than the user wants.
func Usable(spec v1beta1.MetalLBSpec) (v1beta1.MetalLBSpec, []reason.Problem) {
	out := *spec.DeepCopy()
	c := &checker{}
	root := field.NewPath("spec")
	c.labels(root.Child("nodeSelector"), out.NodeSelector)
	out.SpeakerTolerations = c.tolerations(root.Child("speakerTolerations"), out.SpeakerTolerations)
	c.labels(root.Child("controllerNodeSelector"), out.ControllerNodeSelector)
	out.ControllerTolerations = c.tolerations(root.Child("controllerTolerations"), out.ControllerTolerations)
	if class := out.LoadBalancerClass; class != "" {
		c.names(root.Child("loadBalancerClass"), class, validation.IsQualifiedName(class))
	}
	c.config(root.Child("controllerConfig"), out.ControllerConfig)
	c.config(root.Child("speakerConfig"), out.SpeakerConfig)
	for i := range out.Announcers {
		if a := &out.Announcers[i]; a.L2 != nil {
			c.l2(root.Child("announcers").Key(a.Name).Child("l2"), a.L2)
		}
	}
	return out, c.problems
}

// checker gathers problems.
type checker struct{ problems []reason.Problem }

func (c *checker) refuse(at *field.Path, format string, args ...any) {
	c.add(reason.InvalidSetting, at, format, args...)
}

func (c *checker) add(why reason.Reason, at *field.Path, format string, args ...any) {
	c.problems = append(c.problems, *reason.New(why, "%s: %s", at, fmt.Sprintf(format, args...)))
}

// names adds a problem for a value if a validation of apimachinery had something against it, and reports whether it had nothing.
func (c *checker) names(at *field.Path, value string, against []string) bool {
	if len(against) > 0 {
		c.refuse(at, "%q: %s", value, against[0])
	}
	return len(against) == 0
}

func (c *checker) l2(at *field.Path, l2 *v1beta1.L2Announcer) {
	l2.ExcludeInterfaces = c.patterns(at.Child("excludeInterfaces"), l2.ExcludeInterfaces)
	if l2.RefreshInterval == nil {
		return
	}
	if every := l2.RefreshInterval.Duration; every != 0 && (every < ShortestRefresh || every > LongestRefresh) {
		c.refuse(at.Child("refreshInterval"), "%v is neither 0 nor from %v to %v", every, ShortestRefresh, LongestRefresh)
		l2.RefreshInterval = nil
	}
}
