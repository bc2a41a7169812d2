// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/membership"
)

// settleTime is how long a starting speaker waits for the others before it believes that it is alone.
const settleTime = 1500 * time.Millisecond

// acquaintTime is how long the state of a speaker that has appeared may take to arrive; usually it takes milliseconds.
const acquaintTime = 500 * time.Millisecond

// Observer is where the loop gets the objects from; false until they were all read once. It is called by one goroutine and must answer
// from memory.
type Observer interface {
	World(ctx context.Context) (World, bool, error)
}

// Membership is how the loop sees the other speakers. None of its methods blocks.
type Membership interface {
	// Members returns the live speakers, this one included.
	Members() []membership.Member
	// Changed receives a value after Members would answer otherwise.
	Changed() <-chan struct{}
	// Publish tells the others the state of this node.
	Publish(membership.State)
	// SetPeers says at which addresses speakers are expected.
	SetPeers([]netip.Addr)
}

// Options are what a speaker is made of.
type Options struct {
	// Node is the name of this node.
	Node string
	// Version is told to the other speakers.
	Version            string
	IgnoreExcludeLabel bool
	// Hold is how long a returning node must be able to announce before it counts in elections.
	Hold      time.Duration
	Observer  Observer
	Members   Membership
	Modules   []announcers.Announcer
	Trigger   kube.Trigger
	Clock     clock.Clock
	Log       logr.Logger
	OnOutcome func(Outcome)
}

// Outcome is what one pass of the loop has led to: the input of everything that writes status.
type Outcome struct {
	Node  string
	World World
	Plan  Plan
	// Reports are what the announcers answered, by name.
	Reports map[string]announcers.Report
}

// Speaker is the loop of one node.
type Speaker struct {
	Options
	modules []*module
	fitness fitness
	started time.Time
	members []string
	strange time.Time
	ready   atomic.Bool
}

// New returns a speaker that does nothing until Run.
func New(o Options) *Speaker {
	s := &Speaker{Options: o, fitness: fitness{hold: o.Hold}}
	for _, a := range o.Modules {
		s.modules = append(s.modules, &module{Announcer: a, log: o.Log, clock: o.Clock, trigger: o.Trigger})
	}
	return s
}

// Run works until the context ends; every announcer has stopped when it returns.
func (s *Speaker) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, m := range s.modules {
		group.Go(func() error { return m.run(ctx) })
		group.Go(func() error { return m.forward(ctx) })
	}
	group.Go(func() error { return s.loop(ctx) })
	return group.Wait()
}

// Ready is nil once this node takes part: everything was read and it counts in elections.
func (s *Speaker) Ready() error {
	if !s.ready.Load() {
		return fmt.Errorf("node %s does not take part yet", s.Node)
	}
	return nil
}

func (s *Speaker) loop(ctx context.Context) error {
	s.started = s.Clock.Now()
	timer := s.Clock.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.Trigger.C():
		case <-s.Members.Changed():
		case <-timer.C():
		}
		if again := s.step(ctx); again > 0 {
			timer.Reset(again)
		}
	}
}

// step observes, decides and applies once. It returns after how long it wants to be called again, zero when nothing is pending.
func (s *Speaker) step(ctx context.Context) time.Duration {
	world, ok, err := s.Observer.World(ctx)
	if err != nil {
		s.Log.Error(err, "Observing failed, will be tried again")
		return firstRestart
	}
	if !ok {
		return 0
	}
	world.Self, world.IgnoreExcludeLabel, world.Members = s.Node, s.IgnoreExcludeLabel, s.Members.Members()
	s.Members.SetPeers(peers(world))
	if wait := s.settling(world); wait > 0 {
		return wait
	}
	if wait := s.acquainting(world.Members); wait > 0 {
		return wait
	}
	again := s.publish(&world)
	plan := Decide(world)
	outcome := Outcome{Node: s.Node, World: world, Plan: plan, Reports: s.apply(ctx, plan)}
	s.repeatClaims(world.Members)
	if s.OnOutcome != nil {
		s.OnOutcome(outcome)
	}
	s.ready.Store(s.fitness.fit)
	return again
}

// settling returns how long to wait for the other speakers before the first decision.
func (s *Speaker) settling(w World) time.Duration {
	if len(w.Members) > 1 || len(w.Nodes) <= 1 {
		return 0
	}
	return s.started.Add(settleTime).Sub(s.Clock.Now())
}

// acquainting returns how long to wait for the state of a speaker that has just appeared. A decision before that would take it for unfit
// and move its addresses for a moment.
func (s *Speaker) acquainting(members []membership.Member) time.Duration {
	strangers := slices.ContainsFunc(members, func(m membership.Member) bool { return !m.Known && m.Name != s.Node })
	if !strangers {
		s.strange = time.Time{}
		return 0
	}
	if s.strange.IsZero() {
		s.strange = s.Clock.Now()
	}
	return s.strange.Add(acquaintTime).Sub(s.Clock.Now())
}

// publish tells the others whether this node is fit, and lets the decision see the same.
func (s *Speaker) publish(w *World) time.Duration {
	able := !w.Nodes[s.Node].NetworkUnavailable
	links := map[string]string{}
	for _, m := range s.modules {
		if f, ok := m.Announcer.(announcers.FitnessReporter); ok && f.Fit() != nil {
			able = false
		}
		if l, ok := m.Announcer.(announcers.LinkReporter); ok {
			links = l.LinkAddresses()
		}
	}
	fit, again := s.fitness.update(s.Clock.Now(), able, othersFit(s.Node, w.Members))
	state := membership.State{Fit: fit, Links: links, Version: s.Version}
	s.Members.Publish(state)
	w.Members = slices.Clone(w.Members)
	for i := range w.Members {
		if w.Members[i].Name == s.Node {
			w.Members[i].State = state
		}
	}
	return again
}

// repeatClaims has the announcers repeat their claims when a speaker has joined: while it was away, another node may have claimed what
// is announced here, and the neighbours may still believe it.
func (s *Speaker) repeatClaims(members []membership.Member) {
	names := make([]string, 0, len(members))
	joined := false
	for _, m := range members {
		names = append(names, m.Name)
		joined = joined || (s.members != nil && !slices.Contains(s.members, m.Name))
	}
	s.members = names
	if !joined {
		return
	}
	for _, m := range s.modules {
		if r, ok := m.Announcer.(announcers.Reannouncer); ok {
			r.Reannounce()
		}
	}
}

func (s *Speaker) apply(ctx context.Context, plan Plan) map[string]announcers.Report {
	reports := make(map[string]announcers.Report, len(s.modules))
	for _, m := range s.modules {
		desired := announcers.Desired{Addresses: plan.Exclusive}
		if m.Ownership() == announcers.Shared {
			desired.Addresses = plan.Shared
		}
		report := m.Apply(ctx, desired)
		if failure := m.failure.Load(); failure != nil && report.Problem != nil {
			report.Problem = failure
		}
		reports[m.Name()] = report
	}
	return reports
}

// peers returns where the speakers of the other nodes are expected: at the nodes' internal addresses.
func peers(w World) []netip.Addr {
	var out []netip.Addr
	for name, n := range w.Nodes {
		if name != w.Self && len(n.Addresses) > 0 {
			out = append(out, n.Addresses[0])
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// problems returns what is wrong with the announcers, by name.
func (o Outcome) problems() map[string]*reason.Problem {
	out := map[string]*reason.Problem{}
	for name, r := range o.Reports {
		if r.Problem != nil {
			out[name] = r.Problem
		}
	}
	return out
}

// latest hands the newest outcome from the loop to those who write status.
type latest struct {
	mu      sync.Mutex
	outcome Outcome
}

func (l *latest) swap(o Outcome) Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.outcome
	l.outcome = o
	return old
}

func (l *latest) get() Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outcome
}
