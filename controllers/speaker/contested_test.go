// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/internal/membership"
)

func TestWhatIsDisputed(t *testing.T) {
	a, now := netip.MustParseAddr("192.0.2.10"), time.Unix(1000, 0)
	says := func(known bool, strangers ...netip.Addr) []membership.Member {
		return []membership.Member{{Name: "n1"}, {Name: "n2", Known: known, State: membership.State{Strangers: strangers}}}
	}
	nobody := []membership.Member{{Name: "n1", Known: true}}
	type pass struct {
		after   time.Duration
		members []membership.Member
		want    bool
	}
	for name, passes := range map[string][]pass{
		"what nobody says is not":                      {{0, says(true), false}},
		"what a speaker says is":                       {{0, says(true, a), true}, {time.Hour, says(true, a), true}},
		"what it says no more is not":                  {{0, says(true, a), true}, {time.Second, says(true), false}},
		"what a lost speaker said is, for ten minutes": {{0, says(true, a), true}, {announcers.ConflictTTL - 1, nobody, true}, {1, nobody, false}},
		"a speaker that is back and has not told yet":  {{0, says(true, a), true}, {time.Second, says(false), true}, {time.Second, says(true), false}},
	} {
		t.Run(name, func(t *testing.T) {
			d, at := contested{}, now
			for i, p := range passes {
				at = at.Add(p.after)
				if d.see(at, p.members); d.has(a) != p.want {
					t.Fatalf("pass %d: contested is %t", i, d.has(a))
				}
			}
		})
	}
}

func TestWhatThisNodeHasLeft(t *testing.T) {
	a, now := netip.MustParseAddr("192.0.2.10"), time.Unix(1000, 0)
	conflict := func(withdrawn bool) []announcers.Conflict {
		return []announcers.Conflict{{Addr: a, Withdrawn: withdrawn}}
	}
	type pass struct {
		after     time.Duration
		conflicts []announcers.Conflict
		announced bool
		want      bool
	}
	for name, passes := range map[string][]pass{
		"an address that is withdrawn":                   {{0, conflict(true), true, true}, {time.Hour, conflict(true), true, true}},
		"one that is given back":                         {{0, conflict(true), true, true}, {time.Second, conflict(false), true, false}},
		"one that is defended":                           {{0, conflict(false), true, false}},
		"one that went to another node, for ten minutes": {{0, conflict(true), true, true}, {time.Minute, nil, false, true}, {announcers.ConflictTTL, nil, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			l, at := left{}, now
			for i, p := range passes {
				at = at.Add(p.after)
				l.see(at, p.conflicts, func(netip.Addr) bool { return p.announced })
				if got := slices.Contains(l.told(), a); got != p.want {
					t.Fatalf("pass %d: left is %t", i, got)
				}
			}
		})
	}
}
