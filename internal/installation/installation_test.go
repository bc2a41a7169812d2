// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

func excluding(expressions ...string) v1beta1.MetalLBSpec {
	return v1beta1.MetalLBSpec{Announcers: []v1beta1.Announcer{
		{Name: "bgp"}, {Name: "l2", L2: &v1beta1.L2Announcer{ExcludeInterfaces: expressions}},
	}}
}

func TestExpressionsThatCannotBeUsedAreLeftOutAlone(t *testing.T) {
	const invalid = reason.InvalidInterfacePattern
	for name, c := range map[string]struct {
		given, left []string
		why         reason.Reason
		told        string
	}{
		"all can be used":            {[]string{"^docker.*", "lo", "^eth[0-3]$", "[^e]"}, []string{"^docker.*", "lo", "^eth[0-3]$", "[^e]"}, "", ""},
		"no list":                    {nil, nil, "", ""},
		"an empty list":              {[]string{}, []string{}, "", ""},
		"no expression":              {[]string{"^lo$", "("}, []string{"^lo$"}, invalid, `spec.announcers[l2].l2.excludeInterfaces[1]: "(" is not a regular expression: error parsing regexp`},
		"only one that is none":      {[]string{"("}, nil, invalid, "spec.announcers[l2].l2.excludeInterfaces[0]"},
		"repeated too often":         {[]string{"a{1001}"}, nil, invalid, "is not a regular expression"},
		"a byte that ends arguments": {[]string{"^lo\x00"}, nil, invalid, "control character"},
	} {
		t.Run(name, func(t *testing.T) {
			usable, problems := Usable(excluding(c.given...))
			if diff := cmp.Diff(c.left, usable.Announcers[1].L2.ExcludeInterfaces); diff != "" {
				t.Errorf("left: %s", diff)
			}
			if (len(problems) > 0) != (c.told != "") {
				t.Fatalf("problems %v", problems)
			}
			for _, p := range problems {
				if p.Reason != c.why || !strings.Contains(p.Message(), c.told) {
					t.Errorf("told %v, want %q", p, c.told)
				}
			}
		})
	}
}

// Speakers of former versions obeyed such an expression and announced nowhere. An upgrade must not let them announce everywhere.
func TestExpressionsForEveryInterfaceStayAndAreReported(t *testing.T) {
	for _, given := range [][]string{{""}, {".*"}, {"docker|"}, {"."}, {"^lo$", ".*"}, {"", "^lo$"}} {
		usable, problems := Usable(excluding(given...))
		if diff := cmp.Diff(given, usable.Announcers[1].L2.ExcludeInterfaces); diff != "" {
			t.Errorf("%q, left: %s", given, diff)
		}
		if len(problems) != 1 || problems[0].Reason != reason.AllInterfacesExcluded ||
			!strings.Contains(problems[0].Message(), "matches every interface, so nothing is announced at layer 2") ||
			!strings.Contains(problems[0].Message(), "leave l2 out of spec.announcers") {
			t.Errorf("%q: told %v", given, problems)
		}
	}
	usable, problems := Usable(excluding("(", ".*"))
	if diff := cmp.Diff([]string{".*"}, usable.Announcers[1].L2.ExcludeInterfaces); diff != "" || len(problems) != 2 {
		t.Errorf("beside one that is no expression: left %s, told %v", diff, problems)
	}
}

func TestSettingsThatCannotBeUsed(t *testing.T) {
	every := metav1.Duration{Duration: time.Millisecond}
	spec := v1beta1.MetalLBSpec{
		NodeSelector:          map[string]string{"typo here": "x", "role": "not a value"},
		SpeakerTolerations:    []corev1.Toleration{{Key: "fine", Operator: corev1.TolerationOpExists}, {Key: "a", Operator: "Sometimes"}, {Effect: "NoExecute"}},
		ControllerTolerations: []corev1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists, Value: "x", Effect: "Never"}},
		LoadBalancerClass:     strings.Repeat("x", 64),
		ControllerConfig:      &v1beta1.Config{PriorityClassName: "High Priority", Annotations: map[string]string{"a b": "x", "fine": "y"}},
		SpeakerConfig:         &v1beta1.Config{RuntimeClassName: "UPPER"},
		Announcers:            []v1beta1.Announcer{{Name: "l2", L2: &v1beta1.L2Announcer{RefreshInterval: &every}}},
	}
	before := spec.DeepCopy()
	usable, problems := Usable(spec)
	if diff := cmp.Diff(*before, spec); diff != "" {
		t.Errorf("the argument was changed: %s", diff)
	}
	want := []string{
		"spec.nodeSelector[role]", "spec.nodeSelector", "spec.speakerTolerations[1].operator", "spec.speakerTolerations[2].operator",
		"spec.controllerTolerations[0].value", "spec.controllerTolerations[0].effect", "spec.loadBalancerClass",
		"spec.controllerConfig.priorityClassName", "spec.controllerConfig.annotations", "spec.speakerConfig.runtimeClassName",
		"spec.announcers[l2].l2.refreshInterval",
	}
	if diff := cmp.Diff(want, pathsOf(problems)); diff != "" {
		t.Errorf("paths (-want +got): %s", diff)
	}
	left := v1beta1.MetalLBSpec{
		NodeSelector: spec.NodeSelector, LoadBalancerClass: spec.LoadBalancerClass,
		SpeakerTolerations: spec.SpeakerTolerations[:1],
		ControllerConfig:   &v1beta1.Config{Annotations: map[string]string{"fine": "y"}},
		SpeakerConfig:      &v1beta1.Config{},
		Announcers:         []v1beta1.Announcer{{Name: "l2", L2: &v1beta1.L2Announcer{}}},
	}
	if diff := cmp.Diff(left, usable); diff != "" {
		t.Errorf("restrictions stay, all else that cannot be used goes (-want +got): %s", diff)
	}
	if again := Problems(usable); !slices.Equal(pathsOf(again), []string{"spec.nodeSelector[role]", "spec.nodeSelector", "spec.loadBalancerClass"}) {
		t.Errorf("the usable settings have problems of their own: %v", again)
	}
}

func TestSecondsOfATolerationNeedNoExecute(t *testing.T) {
	seconds := int64(0)
	given := []corev1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists, TolerationSeconds: &seconds}}
	usable, problems := Usable(v1beta1.MetalLBSpec{SpeakerTolerations: given})
	if len(problems) > 0 || usable.SpeakerTolerations[0].TolerationSeconds != nil {
		t.Errorf("Kubernetes refuses the seconds, which mean nothing here: %v, %v", usable.SpeakerTolerations, problems)
	}
}

// pathsOf returns what the problems begin with: the fields.
func pathsOf(problems []reason.Problem) []string {
	var paths []string
	for _, p := range problems {
		path, _, _ := strings.Cut(p.Detail, ": ")
		paths = append(paths, path)
	}
	return paths
}

// Kubernetes accepts the word in a workload, and then schedules no pod.
func TestABoundOfANodeAffinityIsANumber(t *testing.T) {
	term := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "a", Operator: corev1.NodeSelectorOpGt, Values: []string{"many"}}}}
	problems := Problems(v1beta1.MetalLBSpec{SpeakerConfig: &v1beta1.Config{Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{term}},
	}}}})
	want := []string{"spec.speakerConfig.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values[0]"}
	if !slices.Equal(pathsOf(problems), want) {
		t.Errorf("%v", problems)
	}
}

func TestOnlyProblemsThatWereNotThereAreAdded(t *testing.T) {
	tolerating := func(operators ...corev1.TolerationOperator) v1beta1.MetalLBSpec {
		var all []corev1.Toleration
		for _, o := range operators {
			all = append(all, corev1.Toleration{Key: "a", Operator: o})
		}
		return v1beta1.MetalLBSpec{SpeakerTolerations: all}
	}
	moved := tolerating()
	moved.ControllerTolerations = tolerating("Sometimes").SpeakerTolerations
	for name, c := range map[string]struct {
		before, after v1beta1.MetalLBSpec
		added         []string
	}{
		"nothing before":                         {v1beta1.MetalLBSpec{}, tolerating("Exists", "Sometimes"), []string{"spec.speakerTolerations[1].operator"}},
		"the same":                               {tolerating("Sometimes"), tolerating("Sometimes"), nil},
		"its index falls":                        {tolerating("Exists", "Sometimes"), tolerating("Sometimes"), nil},
		"its index rises":                        {tolerating("Sometimes"), tolerating("Exists", "Exists", "Sometimes"), nil},
		"two change places":                      {tolerating("Sometimes", "Never"), tolerating("Never", "Sometimes"), nil},
		"one more of its kind":                   {tolerating("Sometimes"), tolerating("Sometimes", "Sometimes"), []string{"spec.speakerTolerations[1].operator"}},
		"another value":                          {tolerating("Sometimes"), tolerating("Never"), []string{"spec.speakerTolerations[0].operator"}},
		"another list":                           {tolerating("Sometimes"), moved, []string{"spec.controllerTolerations[0].operator"}},
		"an expression moves":                    {excluding("^lo$", "("), excluding("("), nil},
		"an index within the value is the value": {excluding("(a[0]"), excluding("(a[1]"), []string{"spec.announcers[l2].l2.excludeInterfaces[0]"}},
	} {
		if got := pathsOf(Added(c.before, c.after)); !slices.Equal(got, c.added) {
			t.Errorf("%s: got %v, want %v", name, got, c.added)
		}
	}
}
