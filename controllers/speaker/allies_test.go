// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"slices"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"metalsuite.io/internal/membership"
)

func TestAllies(t *testing.T) {
	const own, b, c, later = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c", "02:00:00:00:00:0d"
	with := func(name string, addresses ...string) membership.Member {
		m := membership.Member{Name: name, Known: true, State: membership.State{Links: map[string]string{}}}
		for _, a := range addresses {
			m.State.Links["eth"+a] = a
		}
		return m
	}
	type pass struct {
		after   time.Duration
		members []membership.Member
		want    string
		again   time.Duration
	}
	for name, passes := range map[string][]pass{
		"this node is none":        {{0, []membership.Member{with("n1", own)}, "", 0}},
		"sorted and in lower case": {{0, []membership.Member{with("n1", own), with("n2", strings.ToUpper(c), b), with("n3", b)}, b + " " + c, 0}},
		"a lost one is remembered for a while after it was missed": {
			{0, []membership.Member{with("n2", b)}, b, 0},
			{24 * time.Hour, nil, b, remembered},
			{remembered - time.Second, nil, b, time.Second},
			{time.Second, nil, "", 0},
		},
		"one that comes back in time is an ally as before": {
			{0, []membership.Member{with("n2", b)}, b, 0}, {time.Second, nil, b, remembered},
			{time.Second, []membership.Member{with("n2", b)}, b, 0}, {time.Hour, []membership.Member{with("n2", b)}, b, 0},
		},
		"an interface without carrier counts too": {{0, []membership.Member{{Name: "n2", Known: true, State: membership.State{MACs: []string{c, b}}}}, b + " " + c, 0}},
		"an address that a speaker has exchanged is remembered too": {
			{0, []membership.Member{with("n2", b)}, b, 0}, {time.Second, []membership.Member{with("n2", later)}, b + " " + later, remembered},
			{remembered, []membership.Member{with("n2", later)}, later, 0},
		},
		"the next to be forgotten sets the time": {
			{0, []membership.Member{with("n2", b), with("n3", c)}, b + " " + c, 0},
			{0, []membership.Member{with("n3", c)}, b + " " + c, remembered},
			{10 * time.Second, nil, b + " " + c, remembered - 10*time.Second},
			{remembered - 10*time.Second, nil, c, 10 * time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
			var a allies
			for i, p := range passes {
				clock.SetTime(clock.Now().Add(p.after))
				got, again := a.see(clock.Now(), "n1", p.members)
				if !slices.Equal(got, strings.Fields(p.want)) || again != p.again {
					t.Fatalf("pass %d: got %v for %v, want %s for %v", i, got, again, p.want, p.again)
				}
			}
		})
	}
}
