// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/internal/membership"
)

func TestWhatIsDisputed(t *testing.T) {
	a, now := netip.MustParseAddr("192.0.2.10"), time.Unix(1000, 0)
	says := func(known bool, strangers ...netip.Addr) []membership.Member {
		return []membership.Member{{Name: "n1"}, {Name: "n2", Known: known, State: membership.State{Strangers: strangers}}}
	}
	anew := func(strangers ...netip.Addr) []membership.Member {
		members := says(true, strangers...)
		members[1].Life++
		return members
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
		"what a lost speaker said is, for ten minutes": {{0, says(true, a), true}, {1, nobody, true}, {announcers.ConflictTTL - 1, nobody, true}, {1, nobody, false}},
		"however long there was no pass before":        {{0, says(true, a), true}, {time.Hour, nobody, true}, {announcers.ConflictTTL, nobody, false}},
		"a speaker that is back and lost again": {
			{0, says(true, a), true}, {time.Second, nobody, true}, {time.Second, says(true, a), true}, {announcers.ConflictTTL, nobody, true},
		},
		"a speaker that is back and has not told yet": {{0, says(true, a), true}, {time.Second, says(false), true}, {time.Second, says(true), false}},
		"a speaker of a new node with the same name, which knows nothing": {
			{0, says(true, a), true}, {time.Second, anew(), true}, {announcers.ConflictTTL - 1, anew(), true}, {1, anew(), false},
		},
		"a speaker that was started anew, finds its conflict, and later nobody": {
			{0, says(true, a), true}, {time.Second, anew(a), true}, {time.Second, anew(), false},
		},
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
	const soon = settledAfter - time.Second
	a, now := netip.MustParseAddr("192.0.2.10"), time.Unix(1000, 0)
	conflict := func(withdrawn bool) []announcers.Conflict {
		return []announcers.Conflict{{Addr: a, Withdrawn: withdrawn}}
	}
	partly := []announcers.Conflict{{Addr: a, Interface: "eth0", Withdrawn: true, AnnouncedOn: []string{"eth1"}}, {Addr: a, Interface: "eth1"}}
	// The members are this node and n2, which has or has not told its state, and strangers in it.
	silent, unknown := []membership.Member{{Name: "n1", Known: true}, {Name: "n2", Known: true}}, []membership.Member{{Name: "n1", Known: true}, {Name: "n2"}}
	telling := []membership.Member{{Name: "n1", Known: true}, {Name: "n2", Known: true, State: membership.State{Strangers: []netip.Addr{a}}}}
	type pass struct {
		after     time.Duration
		conflicts []announcers.Conflict
		members   []membership.Member
		owner     string
		want      bool
		again     time.Duration
	}
	for name, passes := range map[string][]pass{
		"an address that is withdrawn": {{0, conflict(true), silent, "n1", true, 0}, {time.Hour, conflict(true), silent, "n1", true, 0}},
		"one that is given back":       {{0, conflict(true), silent, "n1", true, 0}, {time.Second, conflict(false), silent, "n1", false, 0}},
		"one that is defended":         {{0, conflict(false), silent, "n1", false, 0}},
		"one that is withdrawn on one of two interfaces": {
			{0, partly, silent, "n1", true, 0}, {time.Hour, partly, silent, "n2", true, 0}, {time.Second, nil, silent, "n2", true, settledAfter},
			{settledAfter, nil, silent, "n2", false, 0},
		},
		"one that nobody owns any more, for ten minutes": {
			{0, conflict(true), silent, "", true, 0}, {time.Minute, nil, silent, "", true, announcers.ConflictTTL - time.Minute}, {announcers.ConflictTTL, nil, silent, "", false, 0},
		},
		"one whose new owner finds nobody there": {
			{0, conflict(true), silent, "n2", true, 0}, {time.Minute, nil, silent, "n2", true, settledAfter}, {soon, nil, silent, "n2", true, time.Second},
			{time.Second, nil, silent, "n2", false, 0},
		},
		"one whose new owner finds somebody, and the owner after it nobody": {
			{0, conflict(true), silent, "n2", true, 0}, {time.Second, nil, silent, "n2", true, settledAfter},
			{soon, nil, telling, "n2", true, announcers.ConflictTTL - time.Second - soon}, {time.Minute, nil, silent, "n2", true, settledAfter},
			{settledAfter, nil, silent, "n2", false, 0},
		},
		"one whose new owner has told nothing yet": {
			{0, conflict(true), unknown, "n2", true, 0}, {time.Minute, nil, unknown, "n2", true, announcers.ConflictTTL - time.Minute},
		},
		"one whose new owner is lost in time": {
			{0, conflict(true), silent, "n2", true, 0}, {time.Second, nil, silent, "n2", true, settledAfter},
			{time.Second, nil, silent[:1], "n1", true, announcers.ConflictTTL - 2*time.Second}, {time.Second, nil, silent[:1], "n1", false, 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, at := left{}, now
			for i, p := range passes {
				at = at.Add(p.after)
				again := l.see(at, "n1", p.conflicts, p.members)
				if got := slices.Contains(l.told(), a); got != p.want || l.has(a) != p.want || again != p.again {
					t.Fatalf("pass %d: left is %t, again after %v", i, got, again)
				}
				moved := l.has(a) && l[a].owner != p.owner
				if wake := l.elected(map[string]Verdict{"default/web": {Owner: p.owner, Addresses: []netip.Addr{a}}}); (wake > 0) != moved {
					t.Fatalf("pass %d: after the election again after %v", i, wake)
				}
			}
		})
	}
}

func TestTheNextOwnerLooksForAStrangerThatHasTheAddressOnOneInterface(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.10")
	module := announcertest.NewFake("fake", announcers.Exclusive)
	r := start(t, module)
	w := base()
	w.Nodes = map[string]Node{"n1": {}}
	w.Services = []Service{service("web", "192.0.2.10")}
	r.world.set(w)
	r.trigger.Fire()
	r.until("the address", func(o Outcome) bool { return owns(o, "192.0.2.10") })
	module.SetConflicts(announcers.Conflict{Addr: a, Interface: "eth0", Withdrawn: true, AnnouncedOn: []string{"eth1"}})
	var told membership.State
	r.until("the other speakers are told", func(o Outcome) bool {
		told = o.World.Members[0].State
		return slices.Equal(told.Strangers, []netip.Addr{a})
	})
	next := New(Options{Node: "n2", Clock: clocktesting.NewFakeClock(time.Unix(1000, 0))})
	next.contested.see(next.Clock.Now(), []membership.Member{{Name: "n1", Known: true, State: told}})
	plan := Plan{Exclusive: []announcers.Address{{Addr: a}}}
	if next.markFresh(plan); !plan.Exclusive[0].Fresh {
		t.Error("the next owner takes the address without a probe")
	}
}

func TestASpeakerThatStartsLooksForTheStrangersItLeftAddressesTo(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.11")
	r := start(t, announcertest.NewFake("fake", announcers.Exclusive))
	w := base()
	w.Nodes, w.Withdrawn = map[string]Node{"n1": {}}, []netip.Addr{a}
	waiting := service("web", "192.0.2.10", "192.0.2.11")
	waiting.ServingNodes = nil
	w.Services = []Service{waiting}
	r.world.set(w)
	r.trigger.Fire()
	r.until("what it tells while nobody owns the address", func(o Outcome) bool { return slices.Equal(o.World.Members[0].State.Strangers, w.Withdrawn) })
	w.Services = []Service{service("web", "192.0.2.10", "192.0.2.11")}
	r.world.set(w)
	r.trigger.Fire()
	r.until("the first announcement", func(o Outcome) bool {
		fresh := map[netip.Addr]bool{}
		for _, x := range o.Plan.Exclusive {
			fresh[x.Addr] = x.Fresh
		}
		if len(fresh) > 0 && (!fresh[a] || fresh[b]) {
			t.Errorf("fresh are %v", fresh)
		}
		return len(fresh) == 2
	})
	r.trigger.Fire()
	r.until("nothing is told of it any more", func(o Outcome) bool {
		r.trigger.Fire()
		return len(o.World.Members[0].State.Strangers) == 0
	})
}
