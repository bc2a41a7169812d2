// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

func TestAPatternThatCannotBeUsedIsLeftOutAlone(t *testing.T) {
	for name, c := range map[string]struct {
		patterns []string
		excluded []string
		used     []string
		told     string
	}{
		"none":                            {nil, nil, []string{"lo", "eth0"}, ""},
		"all can be used":                 {[]string{"^lo$", "^mgmt"}, []string{"lo", "mgmt0"}, []string{"eth0"}, ""},
		"one is no expression":            {[]string{"^mgmt", "("}, []string{"mgmt0"}, []string{"lo", "eth0"}, `"(" is not a regular expression: `},
		"none can be used: built-in list": {[]string{"(", "["}, []string{"lo", "veth12"}, []string{"eth0"}, "the built-in list is used"},
		"one is left, for everything":     {[]string{"(", ""}, []string{"lo", "eth0"}, nil, `"(" is not a regular expression: `},
	} {
		t.Run(name, func(t *testing.T) {
			usable, problem := compile(c.patterns)
			matches := func(name string) bool {
				return slices.ContainsFunc(usable, func(p *regexp.Regexp) bool { return p.MatchString(name) })
			}
			for _, i := range c.excluded {
				if !matches(i) {
					t.Errorf("%s is not excluded", i)
				}
			}
			if i := slices.IndexFunc(c.used, matches); i >= 0 {
				t.Errorf("%s is excluded", c.used[i])
			}
			if (problem != nil) != (c.told != "") {
				t.Fatalf("problem %v", problem)
			}
			if problem != nil && (problem.Reason != reason.InvalidInterfacePattern || !strings.Contains(problem.Message(), c.told)) {
				t.Errorf("problem %v, want %s", problem, c.told)
			}
		})
	}
}

func TestTheEmptyPatternExcludesEveryInterfaceAndIsReported(t *testing.T) {
	for _, patterns := range [][]string{{""}, {"", "^mgmt"}} {
		usable, problem := compile(patterns)
		if len(usable) != len(patterns) || !usable[0].MatchString("eth0") {
			t.Errorf("%q: eth0 is not excluded", patterns)
		}
		if problem == nil || problem.Reason != reason.AllInterfacesExcluded || !strings.Contains(problem.Message(), `"" matches every interface`) {
			t.Errorf("%q: told %v", patterns, problem)
		}
	}
}

func TestAPatternThatCannotBeUsedIsReportedWithEachApply(t *testing.T) {
	a, err := New(Options{ExcludeInterfaces: []string{"^ok$", "("}})
	if err != nil {
		t.Fatal(err)
	}
	if p := a.Apply(t.Context(), announcers.Desired{}).Problem; p == nil || p.Reason != reason.AnnouncerNotRunning {
		t.Errorf("before Run the announcer does not work at all: %v", p)
	}
	a.stopped = nil
	if p := a.Apply(t.Context(), announcers.Desired{}).Problem; p == nil || p.Reason != reason.InvalidInterfacePattern {
		t.Errorf("reported %v", p)
	}
}

func TestDefaultExclusionsMatchWhatTheyMean(t *testing.T) {
	patterns, problem := compile(DefaultExcludedInterfaces)
	if problem != nil {
		t.Fatal(problem)
	}
	for name, want := range map[string]bool{
		"lo": true, "cali12ab": true, "veth0": true, "kube-ipvs0": true, "lxc_health": true,
		"eth0": false, "enp3s0": false, "lo1": false, "bond0": false, "br-lan": false,
	} {
		got := slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(name) })
		if got != want {
			t.Errorf("%s excluded: %t, want %t", name, got, want)
		}
	}
}
