// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"
	clocktesting "k8s.io/utils/clock/testing"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/membership"
)

func TestWhenClaimsAreRepeated(t *testing.T) {
	type ask struct {
		after  time.Duration
		joined bool
		due    bool
		again  time.Duration
	}
	for name, asks := range map[string][]ask{
		"never by itself": {{0, false, false, 0}, {time.Hour, false, false, 0}},
		"at once and twice more": {
			{0, true, true, firstRepeat}, {time.Millisecond, false, false, firstRepeat - time.Millisecond},
			{firstRepeat, false, true, secondRepeat - firstRepeat - time.Millisecond}, {time.Second, false, true, 0}, {time.Second, false, false, 0},
		},
		"late, all that is due at once": {{0, true, true, firstRepeat}, {time.Hour, false, true, 0}},
		"another speaker starts anew":   {{0, true, true, firstRepeat}, {1500 * time.Millisecond, true, true, firstRepeat}},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1000, 0)
			var r repeats
			for i, a := range asks {
				now = now.Add(a.after)
				if due, again := r.ask(now, a.joined); due != a.due || again != a.again {
					t.Fatalf("question %d: got %v and %v, want %v and %v", i, due, again, a.due, a.again)
				}
			}
		})
	}
}

// What a pass hands to the announcers beside the addresses.
func TestWhatAnnouncersAreGiven(t *testing.T) {
	now := clocktesting.NewFakeClock(time.Unix(1000, 0))
	owner, everywhere := announcertest.NewFake("fake", announcers.Exclusive), announcertest.NewFake("other", announcers.Shared)
	members, world := membership.NewFake("n1"), &observed{}
	s := New(Options{
		Node: "n1", Observer: world, Members: members, Modules: []announcers.Announcer{owner, everywhere},
		Trigger: kube.NewTrigger(), Clock: now, Log: logr.Discard(),
	})
	pass := func(services ...Service) (announcers.Desired, time.Duration) {
		t.Helper()
		w := base()
		w.Services = services
		w.Nodes = map[string]Node{"n1": {}, "n2": {NetworkUnavailable: true}}
		world.set(w)
		again := s.step(context.Background())
		return owner.Last(), again
	}
	members.Set("n2", membership.State{Links: map[string]string{"eth0": "02:00:00:00:00:0B"}})

	got, again := pass(service("web", "192.0.2.10"))
	if len(got.Addresses) != 1 || got.Addresses[0].Fresh {
		t.Errorf("the first pass: %+v", got.Addresses)
	}
	if len(got.Prefixes) != 2 || len(everywhere.Last().Prefixes) != 2 || len(got.Allies) != 1 || got.Allies[0] != "02:00:00:00:00:0b" {
		t.Errorf("prefixes %v and %v, allies %v", got.Prefixes, everywhere.Last().Prefixes, got.Allies)
	}
	if again != 0 || owner.Reannounced() != 0 {
		t.Errorf("nothing is pending: again after %v, %d claims repeated", again, owner.Reannounced())
	}

	got, _ = pass(service("web", "192.0.2.10"), service("api", "192.0.2.11"))
	fresh := map[string]bool{}
	for _, a := range got.Addresses {
		fresh[a.Addr.String()] = a.Fresh
	}
	if fresh["192.0.2.10"] || !fresh["192.0.2.11"] || len(fresh) != 2 {
		t.Errorf("fresh are %v", fresh)
	}

	now.Step(settleTime)
	members.Remove("n2")
	got, again = pass(service("web", "192.0.2.10"))
	if len(got.Allies) != 1 || again != remembered {
		t.Errorf("a lost speaker: allies %v, again after %v", got.Allies, again)
	}
	now.Step(remembered)
	members.Set("n3", membership.State{})
	got, again = pass(service("web", "192.0.2.10"))
	if len(got.Allies) != 0 || owner.Reannounced() != 1 || again != firstRepeat {
		t.Errorf("later, with another one: allies %v, %d claims repeated, again after %v", got.Allies, owner.Reannounced(), again)
	}
	now.Step(firstRepeat)
	_, again = pass(service("web", "192.0.2.10"))
	if owner.Reannounced() != 2 || again != secondRepeat-firstRepeat {
		t.Errorf("after a second: %d claims repeated, again after %v", owner.Reannounced(), again)
	}
	now.Step(secondRepeat - firstRepeat)
	if _, again = pass(service("web", "192.0.2.10")); owner.Reannounced() != 3 || again != 0 {
		t.Errorf("after two: %d claims repeated, again after %v", owner.Reannounced(), again)
	}
}
