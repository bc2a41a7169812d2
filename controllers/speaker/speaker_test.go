// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/api/reason"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/membership"
)

// patience bounds how long a test waits for what must happen.
const patience = 10 * time.Second

// observed is an Observer that answers what the test has set.
type observed struct {
	mu    sync.Mutex
	world World
	ready bool
}

func (o *observed) World(context.Context) (World, bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.world, o.ready, nil
}

func (o *observed) set(w World) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.world, o.ready = w, true
}

// rig is a speaker of node n1 with fakes around it.
type rig struct {
	t        *testing.T
	world    *observed
	members  *membership.Fake
	trigger  kube.Trigger
	linked   *atomic.Bool
	outcomes chan Outcome
	speaker  *Speaker
}

func start(t *testing.T, modules ...announcers.Announcer) *rig {
	t.Helper()
	r := &rig{linked: &atomic.Bool{}, t: t, world: &observed{}, members: membership.NewFake("n1"), trigger: kube.NewTrigger(), outcomes: make(chan Outcome, 100)}
	s := New(Options{
		HomeLink: r.linked.Load,
		Node:     "n1", Hold: 20 * time.Millisecond, Observer: r.world, Members: r.members, Modules: modules,
		Trigger: r.trigger, Clock: clock.RealClock{}, Log: logr.Discard(), OnOutcome: func(o Outcome) { r.outcomes <- o },
	})
	r.linked.Store(true)
	r.speaker = s
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running: %v", err)
		}
	})
	return r
}

// until waits for an outcome that the test wants.
func (r *rig) until(what string, wanted func(Outcome) bool) {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case o := <-r.outcomes:
			if wanted(o) {
				return
			}
		case <-deadline:
			r.t.Fatalf("never seen: %s", what)
		}
	}
}

// slow is an Observer that takes a while by its clock.
type slow struct {
	*observed
	clock *clocktesting.FakeClock
	takes time.Duration
	asked atomic.Int64
}

func (o *slow) World(ctx context.Context) (World, bool, error) {
	o.asked.Add(1)
	o.clock.Step(o.takes)
	return o.observed.World(ctx)
}

func TestObjectsWaitAfterALongPassAndSpeakersDoNot(t *testing.T) {
	for name, row := range map[string]struct{ takes, rest time.Duration }{
		"a short pass is followed by the next at once": {time.Millisecond, 0},
		"a longer one by a rest":                       {10 * time.Millisecond, 40 * time.Millisecond},
		"a very long one by no longer rest than this":  {time.Second, longestRest},
	} {
		t.Run(name, func(t *testing.T) {
			now := clocktesting.NewFakeClock(time.Unix(0, 0))
			r := &rig{t: t, members: membership.NewFake("n1"), trigger: kube.NewTrigger(), outcomes: make(chan Outcome, 100)}
			world := &slow{observed: &observed{}, clock: now, takes: row.takes}
			w := base()
			w.Nodes = map[string]Node{"n1": {}}
			world.set(w)
			r.members.Set("n1", membership.State{Fit: true})
			s := New(Options{
				Node: "n1", Observer: world, Members: r.members, Trigger: r.trigger, Clock: now, Log: logr.Discard(),
				OnOutcome: func(o Outcome) { r.outcomes <- o },
			})
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			defer func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}()
			any := func(Outcome) bool { return true }
			r.until("a pass for the first member", any)
			r.until("a pass for the timer, which the first one's duration makes due", any)
			r.trigger.Fire()
			if row.rest > 0 {
				r.members.Set("n2", membership.State{Fit: true})
				r.until("a pass for a speaker that appears", func(o Outcome) bool { return len(o.World.Members) == 2 })
				if world.asked.Load() != 3 {
					t.Fatalf("%d passes, want no more than one for the speaker beside the first two", world.asked.Load())
				}
			}
			// The rest begins when the loop has come round, which nobody can see.
			r.stepping(now, row.rest, "a pass for the changed object")
		})
	}
}

// stepping waits for an outcome while time goes on.
func (r *rig) stepping(now *clocktesting.FakeClock, by time.Duration, what string) {
	r.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.outcomes:
			return
		case <-tick.C:
			now.Step(by)
		case <-deadline:
			r.t.Fatalf("never seen: %s", what)
		}
	}
}

func owns(o Outcome, a string) bool {
	state, ok := o.Reports["fake"].States[netip.MustParseAddr(a)]
	return ok && state.Phase == announcers.Effective
}

func TestTheAddressMovesWhenItsOwnerIsLost(t *testing.T) {
	r := start(t, announcertest.NewFake("fake", announcers.Exclusive))
	for _, n := range []string{"n2", "n3"} {
		r.members.Set(n, membership.State{Fit: true})
	}
	w := base()
	w.Services = []Service{service("web", "192.0.2.10")}
	r.world.set(w)
	r.trigger.Fire()
	var owner string
	r.until("an owner while all are fit", func(o Outcome) bool {
		owner = o.Plan.Verdicts["default/web"].Owner
		return owner != "" && len(o.World.Members) == 3 && othersFit("", o.World.Members) && o.World.Members[0].State.Fit
	})
	if owner == "n1" {
		r.members.Set("n2", membership.State{Fit: true})
	}
	r.members.Remove("n2")
	r.members.Remove("n3")
	r.until("the last node owns the address", func(o Outcome) bool { return owns(o, "192.0.2.10") })
}

func TestNothingIsAnnouncedBeforeEverythingWasRead(t *testing.T) {
	fake := announcertest.NewFake("fake", announcers.Exclusive)
	r := start(t, fake)
	r.members.Set("n2", membership.State{Fit: true})
	r.trigger.Fire()
	w := base()
	w.Services = []Service{service("web", "192.0.2.10")}
	r.world.set(w)
	r.trigger.Fire()
	r.until("the first outcome has the policy", func(o Outcome) bool {
		if o.World.Policy == nil {
			t.Fatal("decided without having read the cluster")
		}
		return true
	})
}

func TestAModuleThatCannotWorkCostsTheOthersNothing(t *testing.T) {
	broken := announcertest.NewFake("broken", announcers.Exclusive)
	broken.FailRun(errors.Join(errors.New("opening a socket"), reason.New(reason.RawSocketDenied, "")))
	r := start(t, broken, announcertest.NewFake("fake", announcers.Exclusive))
	w := base()
	w.Nodes = map[string]Node{"n1": {}}
	w.Services = []Service{service("web", "192.0.2.10")}
	r.world.set(w)
	r.trigger.Fire()
	r.until("the working module announces and the other says why not", func(o Outcome) bool {
		problem := o.Reports["broken"].Problem
		return owns(o, "192.0.2.10") && problem != nil && problem.Reason == reason.RawSocketDenied
	})
}

func TestANodeThatCannotAnnounceSaysWhy(t *testing.T) {
	fake := announcertest.NewFake("fake", announcers.Exclusive)
	fake.SetFit(reason.New(reason.NoUsableInterface, ""))
	s := New(Options{
		Node: "n1", Members: membership.NewFake("n1"), Modules: []announcers.Announcer{fake}, Trigger: kube.NewTrigger(),
		Clock: clock.RealClock{}, Log: logr.Discard(),
	})
	w := World{Self: "n1", Nodes: map[string]Node{"n1": {}}}
	s.publish(&w)
	var why *reason.Problem
	if err := s.Ready(); !errors.As(err, &why) || why.Reason != reason.NoUsableInterface {
		t.Fatalf("got %v, want %s", err, reason.NoUsableInterface)
	}
	fake.SetFit(nil)
	s.publish(&w)
	if err := s.Ready(); err != nil {
		t.Fatalf("the node is able again, got %v", err)
	}
}

func TestANodeThatWasCutOffLeavesTheAddressesToTheOthers(t *testing.T) {
	r := start(t, announcertest.NewFake("fake", announcers.Exclusive))
	for _, n := range []string{"n2", "n3"} {
		r.members.Set(n, membership.State{Fit: true})
	}
	w := base()
	for i := range 8 {
		w.Services = append(w.Services, service(fmt.Sprintf("web%d", i), fmt.Sprintf("192.0.2.%d", 10+i)))
	}
	r.world.set(w)
	r.trigger.Fire()
	r.until("its share of the addresses", func(o Outcome) bool { return len(o.Plan.Exclusive) > 0 && len(o.Plan.Exclusive) < 8 })

	r.linked.Store(false)
	r.members.Remove("n2")
	r.members.Remove("n3")
	r.until("nothing while the link is down", func(o Outcome) bool { return len(o.World.Members) == 1 && len(o.Plan.Exclusive) == 0 })

	r.linked.Store(true)
	r.trigger.Fire()
	first := true
	r.until("everything once the link has been back for a while and nobody is there", func(o Outcome) bool {
		if first && len(o.Plan.Exclusive) > 0 {
			t.Fatal("claimed addresses at once")
		}
		first = false
		return len(o.Plan.Exclusive) == 8
	})
}
