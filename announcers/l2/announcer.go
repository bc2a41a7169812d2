// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/api/reason"
)

// Name is the name of this announcer.
const Name = "l2"

var (
	_ announcers.Announcer        = (*Announcer)(nil)
	_ announcers.FitnessReporter  = (*Announcer)(nil)
	_ announcers.LinkReporter     = (*Announcer)(nil)
	_ announcers.ConflictReporter = (*Announcer)(nil)
	_ announcers.Reannouncer      = (*Announcer)(nil)
)

// Options configure the announcer. The zero value of every field is usable.
type Options struct {
	Log logr.Logger
	// Registerer takes the metrics; nil leaves them unregistered.
	Registerer prometheus.Registerer
	// ExcludeInterfaces are unanchored regular expressions of interface names that are never announced on. Empty excludes none. One that
	// cannot be used is left out and reported; if none can, the built-in list is used.
	ExcludeInterfaces []string
	// RefreshInterval is how often a claim is repeated unasked for as long as the address is announced; 0 means never after the first
	// seconds.
	RefreshInterval time.Duration
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
	// unusable names the patterns of excluded interfaces that were left out, or the one that excludes every interface; nil for neither.
	unusable *reason.Problem
	changed  chan struct{}
	wake     chan struct{}

	mu sync.Mutex
	// stopped says why the announcer does not work; nil while Run has interfaces to work with.
	stopped  *reason.Problem
	running  bool
	desired  announcers.Desired
	wishes   map[netip.Addr]announcers.Address
	needed   needs
	allies   map[link.MAC]struct{}
	ports    []port
	nextHops map[netip.Addr]struct{}
	local    map[netip.Addr]holding
	inside   inside
	// edges and unsuitable are replaced as a whole.
	edges, unsuitable map[netip.Addr]*reason.Problem
	open              map[socketKey]*responder
	decided           decision
	// generation counts the decisions, from 1.
	generation uint64
	schedule   schedule
	disputes   disputes
	metrics    *metrics
}

// socketKey names the socket of a protocol on an interface.
type socketKey struct {
	index    int
	protocol link.Protocol
}

// New returns an announcer that does nothing until Run. It fails on metrics that are registered already. A pattern that is no regular
// expression is left out and reported.
func New(o Options) (*Announcer, error) {
	excluded, unusable := compile(o.ExcludeInterfaces)
	if unusable != nil {
		o.Log.Info("Patterns of excluded interfaces have a problem", "reason", unusable.Reason, "error", unusable.Message())
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	a := &Announcer{
		log: o.Log, clock: o.Clock, links: o.Links, excluded: excluded, unusable: unusable, metrics: m,
		changed: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		stopped: reason.New(reason.AnnouncerNotRunning, ""), open: map[socketKey]*responder{},
		schedule: newSchedule(o.RefreshInterval), disputes: newDisputes(),
	}
	if a.clock == nil {
		a.clock = systemClock{}
	}
	if a.links == nil {
		a.links = HostLinks(link.NewHost())
	}
	return a, nil
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
	if a.take(desired) {
		a.decide()
	}
	return announcers.Report{States: a.decided.states, Problem: cmp.Or(a.stopped, a.unusable)}
}

// take makes other wishes the present ones and says whether they are: fresh addresses are put on trial, disputes about addresses that are
// gone are forgotten.
func (a *Announcer) take(desired announcers.Desired) (news bool) {
	wishes := make(map[netip.Addr]announcers.Address, len(desired.Addresses))
	news = a.generation == 0 || len(desired.Addresses) != len(a.wishes)
	for _, w := range desired.Addresses {
		wishes[w.Addr] = w
		before, known := a.wishes[w.Addr]
		if !known && w.Fresh {
			a.disputes.begin(w.Addr)
		}
		news = news || !known || !slices.Equal(before.Interfaces, w.Interfaces)
	}
	a.wishes = wishes
	a.disputes.keep(a.clock.Now(), func(addr netip.Addr) bool { _, still := wishes[addr]; return still })
	if a.allies == nil || !slices.Equal(a.desired.Allies, desired.Allies) {
		a.allies, news = parseMACs(desired.Allies), true
		a.disputes.absolve(a.clock.Now(), func(mac string) bool { return slices.Contains(desired.Allies, mac) })
	}
	samePrefixes := slices.Equal(a.desired.Prefixes, desired.Prefixes)
	if news || !samePrefixes {
		a.desired = announcers.Desired{
			Addresses: slices.Clone(desired.Addresses), Prefixes: slices.Clone(desired.Prefixes), Allies: slices.Clone(desired.Allies),
			Proxied: a.desired.Proxied,
		}
		a.needed = needsOf(a.desired)
		signal(a.wake)
	}
	if !samePrefixes || !slices.Equal(a.desired.Proxied, desired.Proxied) {
		a.desired.Proxied = slices.Clone(desired.Proxied)
		a.lookAgain()
	}
	return news
}

// parseMACs leaves out what is no Ethernet address.
func parseMACs(texts []string) map[link.MAC]struct{} {
	out := make(map[link.MAC]struct{}, len(texts))
	for _, text := range texts {
		if mac, err := net.ParseMAC(text); err == nil && len(mac) == len(link.MAC{}) {
			out[link.MAC(mac)] = struct{}{}
		}
	}
	return out
}

// Reannounce implements announcers.Reannouncer: every claim is sent once, and bursts under way go on.
func (a *Announcer) Reannounce() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	for c, stands := range a.decided.claims {
		if stands == settled {
			a.schedule.once(c, now)
		}
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
func (a *Announcer) Subnets() []netip.Prefix {
	a.mu.Lock()
	defer a.mu.Unlock()
	return subnets(a.ports)
}

// Uses implements announcers.LinkReporter.
func (a *Announcer) Uses(addr netip.Addr) announcers.Use {
	a.mu.Lock()
	defer a.mu.Unlock()
	return use(addr, a.local, a.nextHops)
}

// Unsuitable implements announcers.LinkReporter.
func (a *Announcer) Unsuitable() map[netip.Addr]*reason.Problem {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.unsuitable
}

// Conflicts implements announcers.ConflictReporter.
func (a *Announcer) Conflicts() []announcers.Conflict {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.disputes.known(a.clock.Now(), func(addr netip.Addr) bool { _, desired := a.decided.states[addr]; return desired })
	for i := range known {
		if c := &known[i]; c.Withdrawn {
			c.AnnouncedOn = slices.Clone(a.decided.states[c.Addr].Interfaces)
		}
	}
	return known
}

// signal makes sure that a channel of capacity one holds a value.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
