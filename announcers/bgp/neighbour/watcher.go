// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"metalsuite.io/api/reason"
)

// Neighbour is the router on the other side of an interface.
type Neighbour struct {
	// Remote is the link-local address of the router, with the interface as its zone.
	Remote netip.Addr
	// Local is our link-local address on the interface, without zone: the one that the router was told.
	Local netip.Addr
}

// Options configure a Watcher. The zero value of every field is usable.
type Options struct {
	Log logr.Logger
	// Clock is the system's when nil.
	Clock Clock
	// Host is the network that the process sees when nil.
	Host Host
}

// Clock tells the time; the tests bring their own.
type Clock interface {
	Now() time.Time
	// At returns a channel that receives at the given time; at once when that has passed.
	At(t time.Time) <-chan time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time                  { return time.Now() }
func (systemClock) At(t time.Time) <-chan time.Time { return time.After(time.Until(t)) }

// Watcher finds the router on the other side of each wanted interface and makes this node known to it. All methods but Run may be called
// from any goroutine, before, during and after Run, and never block.
type Watcher struct {
	log     logr.Logger
	clock   Clock
	host    Host
	changed chan struct{}
	wake    chan struct{}

	mu       sync.Mutex
	wanted   []string
	findings map[string]finding
}

// finding is what is known of the other side of an interface.
type finding struct {
	neighbour Neighbour
	problem   *reason.Problem
}

func (f finding) equal(o finding) bool {
	if f.problem == nil || o.problem == nil {
		return f == o
	}
	return f.neighbour == o.neighbour && *f.problem == *o.problem
}

// New returns a Watcher that watches nothing yet.
func New(o Options) *Watcher {
	w := &Watcher{log: o.Log, clock: o.Clock, host: o.Host, changed: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	if w.log.GetSink() == nil {
		w.log = logr.Discard()
	}
	if w.clock == nil {
		w.clock = systemClock{}
	}
	if w.host == nil {
		w.host = NewKernel()
	}
	return w
}

// Want makes these the complete set of interfaces, by name, on which a router is looked for. They need not exist yet.
func (w *Watcher) Want(interfaces []string) {
	wanted := slices.Compact(slices.Sorted(slices.Values(interfaces)))
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.Equal(wanted, w.wanted) {
		return
	}
	w.wanted = wanted
	maps.DeleteFunc(w.findings, func(name string, _ finding) bool { return !slices.Contains(wanted, name) })
	notify(w.wake)
}

// Found returns the router on the other side of an interface, or why there is none: InterfaceMissing, NoCarrier, NoLinkLocalAddress,
// NoRouterAdvertisement, RawSocketDenied, or AnnouncerNotRunning while Run does not run or has not looked at the interface yet.
//
// When several routers are heard, the one that was there first is returned for as long as it is heard, together with the problem
// NoRouterAdvertisement: a session that works goes on, a new one does better to wait.
func (w *Watcher) Found(name string) (Neighbour, *reason.Problem) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f, ok := w.findings[name]; ok {
		return f.neighbour, f.problem
	}
	return Neighbour{}, reason.New(reason.AnnouncerNotRunning, "the interface %s is not watched yet", name)
}

// Changed receives a value after Found returns something else for a wanted interface, and after an interface or an address of this node
// has come or gone. The channel has a capacity of one, notifications coalesce, and it is never closed.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

func (w *Watcher) wants() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wanted
}

// publish makes findings what Found returns; what is not wanted any more is left out.
func (w *Watcher) publish(findings map[string]finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(findings, func(name string, _ finding) bool { return !slices.Contains(w.wanted, name) })
	if maps.EqualFunc(findings, w.findings, finding.equal) {
		return
	}
	for name, f := range findings {
		if before := w.findings[name]; !f.equal(before) {
			w.tell(name, f)
		}
	}
	w.findings = findings
	notify(w.changed)
}

func (w *Watcher) tell(name string, f finding) {
	if f.problem != nil {
		w.log.Info("Router on the interface is not known", "interface", name, "reason", f.problem.Reason, "error", f.problem.Detail)
		return
	}
	w.log.Info("Router found on the interface", "interface", name, "address", f.neighbour.Remote)
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
