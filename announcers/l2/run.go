// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/api/reason"
)

// stuckFor is how long an interface that takes no frame is left alone.
const stuckFor = 10 * time.Millisecond

// Run implements announcers.Announcer. An error that wraps a *reason.Problem RawSocketDenied says that the permission is missing.
func (a *Announcer) Run(ctx context.Context) error {
	if !a.start() {
		return fmt.Errorf("running the announcer %s: it is already running", Name)
	}
	e := newEngine(a)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.links.Watch(ctx, e.links) })
	group.Go(func() error { return a.watchRoutes(ctx, e.routes) })
	group.Go(func() error { return e.run(ctx) })
	err := group.Wait()
	a.stop(err)
	if err != nil {
		return fmt.Errorf("running the announcer %s: %w", Name, err)
	}
	return nil
}

// rerouteAfter is how long routes that could not be read are left alone.
const rerouteAfter = time.Second

// watchRoutes goes on when the routes cannot be read: what they say is of use, and nothing that announcing depends on.
func (a *Announcer) watchRoutes(ctx context.Context, updates chan<- link.Routes) error {
	for {
		err := a.links.WatchRoutes(ctx, updates)
		if ctx.Err() != nil {
			return nil
		}
		a.log.Info("Listing routes failed, will retry", "announcer", Name, "error", fmt.Sprint(err))
		select {
		case <-ctx.Done():
			return nil
		case <-a.clock.At(a.clock.Now().Add(rerouteAfter)):
		}
	}
}

func (a *Announcer) start() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.running
	a.running = true
	return !was
}

// stop withdraws everything; what is desired is kept for the next Run.
func (a *Announcer) stop(err error) {
	why := reason.New(reason.AnnouncerNotRunning, "")
	if err != nil && !errors.As(err, &why) {
		why = reason.New(reason.AnnouncerNotRunning, "the announcer stopped: %v", err)
	}
	a.observe(observation{stopped: why})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = false
}

// engine owns the interfaces, the sockets and the frames that are sent unasked. Its fields belong to the goroutine that runs it, but for
// the channels.
type engine struct {
	a      *Announcer
	links  chan []link.Link
	routes chan link.Routes
	heard  *mailbox
	sockets

	seen   []link.Link
	routed link.Routes
	// needs is what the sockets have to serve, generation the decision whose groups they listen to.
	needs      needs
	generation uint64
	// observed is what the announcer was told last.
	observed *observation
}

func newEngine(a *Announcer) *engine {
	e := &engine{a: a, links: make(chan []link.Link), routes: make(chan link.Routes), heard: newMailbox(), needs: a.needs()}
	e.sockets = newSockets(a.links, a.clock, e.heard, a.log)
	return e
}

func (e *engine) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer e.readers.Wait()
	defer e.closeAll()
	defer cancel()
	for {
		if err := e.next(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		// What was said before this moment comes first: it may end a trial.
		e.a.hear(e.heard.take())
		if err := e.send(ctx); err != nil {
			return err
		}
	}
}

// next waits for something to happen and takes note of it.
func (e *engine) next(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case e.seen = <-e.links:
		e.relist(e.seen)
		return e.settle(ctx)
	case e.routed = <-e.routes:
		return e.settle(ctx)
	case d := <-e.dead:
		if e.bury(d) {
			return e.settle(ctx)
		}
	case <-e.heard.C:
	case <-e.a.wake:
	case <-e.timer():
		if e.retryDue() {
			return e.settle(ctx)
		}
	}
	return nil
}

// timer fires when a claim, a probe or a failed socket is due; it never fires when nothing is.
func (e *engine) timer() <-chan time.Time {
	at, ok := e.a.next()
	if !e.retry.IsZero() && (!ok || e.retry.Before(at)) {
		at, ok = e.retry, true
	}
	if !ok {
		return nil
	}
	return e.a.clock.At(at)
}

// serve lets the sockets follow what is desired.
func (e *engine) serve(ctx context.Context) error {
	before := e.needs
	if e.needs = e.a.needs(); before.six != e.needs.six {
		return e.settle(ctx)
	}
	e.filter(e.needs.prefixes)
	if groups, generation := e.a.groups(e.generation); generation != e.generation {
		e.generation = generation
		e.join(groups, false)
	}
	return nil
}

// settle opens and closes sockets until they fit the interfaces and the needs, and makes the result known.
func (e *engine) settle(ctx context.Context) error {
	ports := make([]port, 0, len(e.seen))
	wanted := map[socketKey]bool{}
	for _, l := range e.seen {
		p := inspect(l, e.a.excluded)
		p.onLink = e.routed.OnLink[l.Index]
		if err := e.openOn(ctx, &p, wanted); err != nil {
			return err
		}
		p.mend()
		ports = append(ports, p)
	}
	// A socket may say while it is opened that its interface does not exist any more.
	ports = slices.DeleteFunc(ports, func(p port) bool { return e.missing[p.Index] })
	maps.DeleteFunc(wanted, func(key socketKey, _ bool) bool { return e.missing[key.index] })
	e.closeUnless(wanted)
	e.filter(e.needs.prefixes)
	e.observe(observation{ports: ports, nextHops: e.routed.NextHops, open: maps.Clone(e.open)})
	groups, generation := e.a.groups(0)
	e.generation = generation
	e.join(groups, true)
	return nil
}

// openOn opens the sockets that an interface needs, adds them to the wanted ones, and notes on the interface which of them failed.
func (e *engine) openOn(ctx context.Context, p *port, wanted map[socketKey]bool) error {
	if p.unfit != nil || !p.Up || e.missing[p.Index] {
		return nil
	}
	for _, protocol := range protocols {
		if !e.needs.serves(protocol, p.Link) {
			continue
		}
		key := socketKey{p.Index, protocol.kind()}
		wanted[key] = true
		if err := e.ensure(ctx, p.Link, protocol, e.needs.prefixes); err != nil {
			return err
		}
		p.blame(protocol, e.failed[key])
	}
	return nil
}

// observe tells the announcer of the host, unless it knows all that: interfaces of pods come and go all the time.
func (e *engine) observe(o observation) {
	if e.observed == nil || !e.observed.equal(o) {
		e.observed = &o
		e.a.observe(o)
	}
}

// send sends what is due. A claim may be withdrawn meanwhile, so each is looked at again before it is sent. What an interface does not
// take is tried again a little later, and the other interfaces and all news of links do not wait for it.
func (e *engine) send(ctx context.Context) error {
	claims, probes := e.a.due()
	// The sockets follow at least what was desired when these became due, whatever it was that woke us: the first address of a family needs
	// one that was not there before.
	if err := e.serve(ctx); err != nil {
		return err
	}
	for _, p := range probes {
		r, now := e.responder(p.claim), e.a.clock.Now()
		e.a.probed(p, r != nil && r.probe(p.claim), now)
	}
	stuck := map[int]bool{}
	for _, c := range claims {
		r := e.responder(c)
		if !e.a.current(c) {
			continue
		}
		if r == nil || stuck[c.index] || !r.announce(c) {
			stuck[c.index] = stuck[c.index] || r != nil
			e.a.postpone(c)
		}
	}
	return nil
}

func (e *engine) responder(c claim) *responder {
	return e.open[socketKey{c.index, protocolOf(c.addr).kind()}]
}
