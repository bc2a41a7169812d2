// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
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
	// Changed receives a value after Members or Problems would answer otherwise.
	Changed() <-chan struct{}
	// Publish tells the others the state of this node.
	Publish(membership.State)
	// SetPeers says at which addresses speakers are expected.
	SetPeers([]netip.Addr)
	// Problems returns the problems of the speakers with each other that this one knows, the worst first.
	Problems() []*reason.Problem
}

// PasswordReader is where the loop gets the passwords of sessions from.
type PasswordReader interface {
	// Read returns what is known of the Secrets of these names; the trigger fires when that has changed. Others are forgotten. It never
	// blocks. Nil when nothing is known.
	Read(secrets []string) map[string]Password
}

// Options are what a speaker is made of.
type Options struct {
	// Node is the name of this node.
	Node string
	// Version is told to the other speakers.
	Version            string
	IgnoreExcludeLabel bool
	// DrainOnCordon takes the traffic away from this node, as far as no owner announces it, while it is cordoned.
	DrainOnCordon bool
	// Hold is how long a returning node must be able to announce before it counts in elections, and an interface that comes up must be up.
	Hold time.Duration
	// HomeLink says whether the interface with this node's address has carrier; nil when nobody knows. It must not block.
	HomeLink  func() bool
	Observer  Observer
	Passwords PasswordReader
	Members   Membership
	Modules   []announcers.Announcer
	Trigger   kube.Trigger
	Clock     clock.Clock
	Log       logr.Logger
	OnOutcome func(Outcome)
}

// Speaker is the loop of one node.
type Speaker struct {
	Options
	modules []*module
	fitness fitness
	grants  grants
	// contested are the addresses that any speaker has left to a stranger, left those that this one has.
	contested contested
	left      left
	lingering lingering
	allies    allies
	// attachment is what was told of this node's interfaces; spoken is whether anything was told at all.
	attachment attachment
	spoken     bool
	pools      coverage
	// started is when the other speakers were looked for first.
	started time.Time
	// met is whether another speaker was ever seen.
	met bool
	// members are the names of the live speakers at the last decision.
	members []string
	// strangers are the speakers whose state is not known yet, with the time they appeared.
	strangers map[string]time.Time
	// used are the addresses of Services that this node uses itself.
	used map[netip.Addr]announcers.Use
	// unsuited says why this node's own interfaces and routes make addresses of pools unsuitable for Services.
	unsuited map[netip.Addr]*reason.Problem
	repeats  repeats
	ready    atomic.Bool
	// unable says why this node cannot announce; nil when it can.
	unable atomic.Pointer[reason.Problem]
	// departing says why this node is to serve nobody any more; nil before anything is known.
	departing atomic.Pointer[reason.Reason]
}

// New returns a speaker that does nothing until Run.
func New(o Options) *Speaker {
	s := &Speaker{Options: o, fitness: fitness{hold: o.Hold}, contested: contested{}, left: left{}, lingering: lingering{}}
	s.attachment = attachment{links: steady[string]{}, subnets: steady[netip.Prefix]{}}
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

// Ready is nil once this node takes part: everything was read and it counts in elections. Else it says why not.
func (s *Speaker) Ready() error {
	if s.ready.Load() {
		return nil
	}
	if why := s.unable.Load(); why != nil {
		return fmt.Errorf("node %s cannot announce: %w", s.Node, why)
	}
	return fmt.Errorf("node %s has not joined the membership yet", s.Node)
}

func (s *Speaker) loop(ctx context.Context) error {
	timer := s.Clock.NewTimer(0)
	defer timer.Stop()
	changed := s.Trigger.C()
	var rested <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-rested:
			changed, rested = s.Trigger.C(), nil
			continue
		case <-changed:
		case <-s.Members.Changed():
		case <-timer.C():
		}
		began := s.Clock.Now()
		if again := s.step(ctx); again > 0 {
			timer.Reset(again)
		}
		changed, rested = s.Trigger.C(), nil
		if rest := rest(s.Clock.Since(began)); rest > 0 {
			changed, rested = nil, s.Clock.After(rest)
		}
	}
}

// Every pass looks at all Services, and while many are being made each of them asks for one. So changed objects wait after a pass for
// restFactor times as long as it took, at most longestRest; with few Services that is less than shortestRest, and nothing waits. What
// cannot wait, a speaker that was lost or has appeared, does not.
const (
	restFactor   = 4
	shortestRest = 5 * time.Millisecond
	longestRest  = 250 * time.Millisecond
)

// rest is how long changed objects wait after a pass that took so long.
func rest(pass time.Duration) time.Duration {
	if pause := min(restFactor*pass, longestRest); pause >= shortestRest {
		return pause
	}
	return 0
}

// step observes, decides and applies once. It returns after how long it wants to be called again, zero when nothing is pending.
func (s *Speaker) step(ctx context.Context) time.Duration {
	world, ok, err := s.Observer.World(ctx)
	if err != nil {
		s.Log.Error(err, "Reading the cluster state failed, will retry")
		return firstRestart
	}
	if !ok {
		return 0
	}
	s.grants.see(world.Services)
	s.complete(&world)
	why := world.departure()
	s.departing.Store(&why)
	world.Members = s.Members.Members()
	s.Members.SetPeers(peers(world))
	if wait := max(s.settling(world), s.acquainting(world.Members)); wait > 0 {
		return wait
	}
	s.pools.update(world.Policy)
	again := s.publish(&world)
	lost, linger := s.lingering.see(s.Clock.Now(), world.Members)
	world.Lost = lost
	plan := Decide(world)
	s.contested.see(s.Clock.Now(), world.Members)
	parted := s.left.elected(plan.Verdicts)
	s.markFresh(plan)
	allies, forget := s.allies.see(s.Clock.Now(), s.Node, world.Members)
	outcome := Outcome{
		Node: s.Node, World: world, Plan: plan, Reports: s.apply(ctx, world, plan, allies), Ownership: s.ownership(), Unable: s.unable.Load(),
		Membership: s.Members.Problems(), Conflicts: s.conflicts(), Uses: world.reported(s.used), Unsuitable: s.unsuited, Routers: s.routers(), Sessions: s.sessions(),
	}
	repeat := s.repeatClaims(world.Members)
	if s.OnOutcome != nil {
		s.OnOutcome(outcome)
	}
	return soonest(again, linger, parted, forget, repeat)
}

// complete adds to the world what does not come from the cluster's objects.
func (s *Speaker) complete(w *World) {
	w.Self, w.IgnoreExcludeLabel, w.DrainOnCordon = s.Node, s.IgnoreExcludeLabel, s.DrainOnCordon
	w.Ownerless, w.Routed = s.ownerless(), len(s.routers()) > 0
	if s.Passwords != nil {
		w.Passwords = s.Passwords.Read(w.secrets())
	}
}

// markFresh notes in the plan which addresses no node has announced before, or a stranger had.
func (s *Speaker) markFresh(plan Plan) {
	s.grants.elected(s.Clock.Now(), plan.Verdicts)
	for i := range plan.Exclusive {
		a := plan.Exclusive[i].Addr
		plan.Exclusive[i].Fresh = s.grants.fresh(a) || s.contested.has(a) || s.left.has(a)
	}
}

// settling returns how long to wait for the other speakers before the first decision.
func (s *Speaker) settling(w World) time.Duration {
	if s.started.IsZero() {
		s.started = s.Clock.Now()
	}
	if len(w.Members) > 1 || len(w.Nodes) <= 1 {
		return 0
	}
	return s.started.Add(settleTime).Sub(s.Clock.Now())
}

// acquainting returns how long to wait for the state of a speaker that has just appeared: a decision before that would move its addresses
// for a moment. Nobody waits while a speaker was lost; its addresses are more urgent.
func (s *Speaker) acquainting(members []membership.Member) time.Duration {
	now := s.Clock.Now()
	strangers := map[string]time.Time{}
	wait := time.Duration(0)
	for _, m := range members {
		if m.Known || m.Name == s.Node {
			continue
		}
		since, seen := s.strangers[m.Name]
		if !seen {
			since = now
		}
		strangers[m.Name] = since
		wait = max(wait, since.Add(acquaintTime).Sub(now))
	}
	s.strangers = strangers
	lost := slices.ContainsFunc(s.members, func(name string) bool {
		return !slices.ContainsFunc(members, func(m membership.Member) bool { return m.Name == name })
	})
	if lost {
		return 0
	}
	return wait
}

// publish tells the others whether this node is fit, and lets the decision see the same.
func (s *Speaker) publish(w *World) time.Duration {
	s.met = s.met || len(w.Members) > 1
	alone := s.met && len(w.Members) == 1 && len(w.Nodes) > 1
	now, others := s.Clock.Now(), othersFit(s.Node, w.Members)
	unable := s.inability(*w)
	s.unable.Store(unable)
	answer := s.fitness.ask(now, condition{
		able: unable == nil, others: others, alone: alone, minority: alone && len(w.Nodes) > 2,
	})
	s.used = s.uses(*w)
	if !s.spoken {
		s.left.restore(now, w.Withdrawn)
	}
	settled := s.left.see(now, s.Node, s.conflicts(), w.Members)
	state := membership.State{Fit: answer.fit, Uses: told(s.used), Strangers: s.left.told(), Version: s.Version}
	state.UsesCut = len(state.Uses) < len(s.used)
	state.Unsuitable, s.unsuited = s.unsuitable(*w)
	attached := s.attach(now, others, &state)
	state = state.Fitting(s.Node)
	s.Members.Publish(state)
	s.spoken = true
	s.ready.Store(answer.fit || alone)
	w.Isolated = answer.isolated
	w.Members = slices.Clone(w.Members)
	for i := range w.Members {
		if w.Members[i].Name == s.Node {
			w.Members[i].State, w.Members[i].Known = state, true
		}
	}
	return soonest(answer.again, settled, attached)
}

// inability says why this node could not announce, nil when its network, its link and its announcers work.
func (s *Speaker) inability(w World) *reason.Problem {
	if w.Nodes[s.Node].NetworkUnavailable {
		return reason.New(reason.NodeNetworkUnavailable, "the network of node %s is not available", s.Node)
	}
	if s.HomeLink != nil && !s.HomeLink() {
		return reason.New(reason.NoCarrier, "the interface with the address of node %s has no carrier", s.Node)
	}
	for _, m := range s.modules {
		if f, ok := m.Announcer.(announcers.FitnessReporter); ok {
			if problem := f.Fit(); problem != nil {
				return problem
			}
		}
	}
	return nil
}

func (s *Speaker) ownership() map[string]announcers.Ownership {
	out := make(map[string]announcers.Ownership, len(s.modules))
	for _, m := range s.modules {
		out[m.Name()] = m.Ownership()
	}
	return out
}

func (s *Speaker) ownerless() bool {
	return !slices.ContainsFunc(s.modules, func(m *module) bool { return m.Ownership() == announcers.Exclusive })
}

// routers are the announcers that speak with routers.
func (s *Speaker) routers() []announcers.PeerReporter {
	var all []announcers.PeerReporter
	for _, m := range s.modules {
		if r, ok := m.Announcer.(announcers.PeerReporter); ok && m.Ownership() == announcers.Shared {
			all = append(all, r)
		}
	}
	return all
}

// sessions returns how the sessions of the announcers that speak with routers are.
func (s *Speaker) sessions() []announcers.PeerState {
	var all []announcers.PeerState
	for _, r := range s.routers() {
		all = append(all, r.Peers()...)
	}
	return all
}

func (s *Speaker) apply(ctx context.Context, w World, plan Plan, allies []string) map[string]announcers.Report {
	reports := make(map[string]announcers.Report, len(s.modules))
	for _, m := range s.modules {
		desired := announcers.Desired{Addresses: plan.Exclusive, Allies: allies, Proxied: w.ClusterIPs}
		if m.Ownership() == announcers.Shared {
			desired.Addresses, desired.Peers, desired.Drain = plan.Shared, plan.Peers, plan.Drain
		}
		desired.Prefixes = s.pools.including(desired.Addresses, w.Services)
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
