// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"sync"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/api/reason"
)

// Name is the name of this announcer.
const Name = "l2"

// DefaultExcludedInterfaces are the patterns of interfaces that lead to pods, containers and tunnels, not to the network: MetalLB's list.
var DefaultExcludedInterfaces = []string{
	"^docker.*", "^cbr.*", "^dummy.*", "^virbr.*", "^lxcbr.*", "^veth.*", "^lo$", "^cali.*", "^tunl.*", "^flannel.*",
	"^kube-ipvs.*", "^cni.*", "^nodelocaldns.*", "^lxc.*",
}

var (
	_ announcers.Announcer       = (*Announcer)(nil)
	_ announcers.FitnessReporter = (*Announcer)(nil)
	_ announcers.LinkReporter    = (*Announcer)(nil)
	_ announcers.Reannouncer     = (*Announcer)(nil)
)

// Options configure the announcer. The zero value of every field is usable.
type Options struct {
	Log logr.Logger
	// Registerer takes the metrics; nil leaves them unregistered.
	Registerer prometheus.Registerer
	// ExcludeInterfaces are unanchored regular expressions of interface names that are never announced on. Empty excludes none.
	ExcludeInterfaces []string
	// Clock is the system's when nil.
	Clock Clock
	// Links is the network that the process sees when nil.
	Links Links
}

// Announcer is the announcer for Ethernet segments.
type Announcer struct {
	log      logr.Logger
	clock    Clock
	links    Links
	excluded []*regexp.Regexp
	changed  chan struct{}
	wake     chan struct{}

	mu sync.Mutex
	// stopped says why the announcer does not work; nil while Run has interfaces to work with.
	stopped  *reason.Problem
	running  bool
	desired  []announcers.Address
	ports    []port
	open     map[int]*responder
	decided  decision
	schedule schedule
	metrics  *metrics
}

// New returns an announcer that does nothing until Run. It fails on a pattern that is no regular expression and on metrics that are
// registered already.
func New(o Options) (*Announcer, error) {
	excluded, err := compile(o.ExcludeInterfaces)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	a := &Announcer{
		log: o.Log, clock: o.Clock, links: o.Links, excluded: excluded, metrics: m,
		changed: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		stopped: reason.New(reason.AnnouncerNotRunning, ""), open: map[int]*responder{}, schedule: schedule{},
	}
	if a.clock == nil {
		a.clock = systemClock{}
	}
	if a.links == nil {
		a.links = HostLinks(link.NewHost())
	}
	return a, nil
}

func compile(patterns []string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, p := range patterns {
		r, err := regexp.Compile(p)
		if err != nil {
			return nil, fmt.Errorf("reading the pattern %q of excluded interfaces: %w", p, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// Name implements announcers.Announcer.
func (a *Announcer) Name() string { return Name }

// Ownership implements announcers.Announcer: two nodes that answer for one address would fight over it.
func (a *Announcer) Ownership() announcers.Ownership { return announcers.Exclusive }

// Changed implements announcers.Announcer.
func (a *Announcer) Changed() <-chan struct{} { return a.changed }

// Apply implements announcers.Announcer.
func (a *Announcer) Apply(_ context.Context, desired announcers.Desired) announcers.Report {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.desired = slices.Clone(desired.Addresses)
	a.decide()
	return announcers.Report{States: maps.Clone(a.decided.states), Problem: a.stopped}
}

// Reannounce implements announcers.Reannouncer: every claim is sent once, and bursts under way go on.
func (a *Announcer) Reannounce() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	for c := range a.decided.claims {
		a.schedule.once(c, now)
	}
	signal(a.wake)
}

// Fit implements announcers.FitnessReporter: at least one interface can be announced on.
func (a *Announcer) Fit() *reason.Problem {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fit()
}

func (a *Announcer) fit() *reason.Problem {
	if a.stopped != nil {
		return a.stopped
	}
	return fitness(a.ports)
}

// LinkAddresses implements announcers.LinkReporter.
func (a *Announcer) LinkAddresses() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return hardware(a.ports)
}

// Subnets implements announcers.LinkReporter.
func (a *Announcer) Subnets() []netip.Prefix { return nil }

// Uses implements announcers.LinkReporter.
func (a *Announcer) Uses(netip.Addr) *reason.Problem { return nil }

// observe takes note of the interfaces and the sockets on them, and tells the world if that makes a difference.
func (a *Announcer) observe(ports []port, open map[int]*responder, stopped *reason.Problem) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before, fitBefore, macsBefore := a.decided, a.fit(), hardware(a.ports)
	a.ports, a.open, a.stopped = ports, maps.Clone(open), stopped
	a.decide()
	same := reflect.DeepEqual(before.states, a.decided.states) && reflect.DeepEqual(fitBefore, a.fit()) &&
		maps.Equal(macsBefore, hardware(a.ports))
	if !same {
		signal(a.changed)
	}
}

// decide makes the current wishes and interfaces effective. The caller holds the mutex.
func (a *Announcer) decide() {
	next := a.placed()
	a.metrics.keep(func(addr netip.Addr) bool {
		s, ok := next.states[addr]
		return ok && s.Phase != announcers.Refused
	})
	a.publish(next)
	a.reschedule(next)
	a.decided = next
	signal(a.wake)
}

// placed is the decision at hand; without interfaces to work with everything waits.
func (a *Announcer) placed() decision {
	if a.stopped == nil {
		return decide(a.ports, a.desired)
	}
	d := decision{states: make(map[netip.Addr]announcers.State, len(a.desired))}
	for _, w := range a.desired {
		d.states[w.Addr] = announcers.State{Phase: announcers.Waiting, Problem: a.stopped}
	}
	return d
}

// publish gives every responder the addresses that it answers for.
func (a *Announcer) publish(d decision) {
	views := map[int]*view{}
	for _, p := range a.ports {
		views[p.Index] = &view{mac: p.MAC, addresses: map[netip.Addr]*counters{}}
	}
	for c := range d.claims {
		views[c.index].addresses[c.addr] = a.metrics.of(c.addr)
	}
	for index, r := range a.open {
		if v := views[index]; v != nil {
			r.view.Store(v)
		}
	}
}

// reschedule starts a burst for each new claim and ends those of claims that are gone. A claim with another hardware address is new.
func (a *Announcer) reschedule(d decision) {
	now := a.clock.Now()
	for c := range a.decided.claims {
		if _, ok := d.claims[c]; !ok {
			a.schedule.cancel(c)
		}
	}
	for c := range d.claims {
		if _, ok := a.decided.claims[c]; !ok {
			a.schedule.arm(c, now)
		}
	}
}

// signal makes sure that a channel of capacity one holds a value.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
