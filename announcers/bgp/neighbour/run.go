// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"metalsuite.io/api/reason"
)

// retryInterval is the wait after a socket or the watch of interfaces has failed.
const retryInterval = 2 * time.Second

// Run looks for routers until the context ends, and then returns nil: what fails is a problem that Found returns, and is tried again. It
// owns every goroutine and socket and has ended them all when it returns. It may be called again then.
func (w *Watcher) Run(ctx context.Context) error {
	e := &engine{
		Watcher: w, ports: map[string]*port{},
		updates: make(chan []Link), failures: make(chan error), heard: make(chan heard),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		for name := range e.ports {
			e.drop(name)
		}
		e.goroutines.Wait()
		w.publish(map[string]finding{})
	}()
	e.goroutines.Go(func() { e.watch(ctx) })
	for {
		next := e.work(ctx)
		select {
		case <-ctx.Done():
			return nil
		case links := <-e.updates:
			e.see(links)
		case err := <-e.failures:
			e.watchError = err
		case h := <-e.heard:
			e.hear(h)
		case <-w.wake:
		case <-next:
		}
	}
}

// engine is what the goroutine of Run owns.
type engine struct {
	*Watcher
	goroutines sync.WaitGroup
	updates    chan []Link
	failures   chan error
	heard      chan heard

	// links are the interfaces by name; nil before they were read for the first time.
	links      map[string]Link
	addresses  []Link
	watchError error
	ports      map[string]*port
}

// port is a wanted interface that can be used.
type port struct {
	link Link
	// conn is nil while it could not be opened; failure then says why, and retry when it is tried again.
	conn    Conn
	failure *reason.Problem
	retry   time.Time
	routers routers
	cadence cadence
}

// heard is what one socket has received, or why it is of no more use.
type heard struct {
	conn    Conn
	message Message
	err     error
}

// watch follows the interfaces, and begins anew when that fails.
func (e *engine) watch(ctx context.Context) {
	for {
		err := e.host.Watch(ctx, e.updates)
		if ctx.Err() != nil {
			return
		}
		e.log.Error(err, "Watching interfaces failed, will retry")
		select {
		case e.failures <- err:
		case <-ctx.Done():
			return
		}
		select {
		case <-e.clock.At(e.clock.Now().Add(retryInterval)):
		case <-ctx.Done():
			return
		}
	}
}

// see takes over what the interfaces are now.
func (e *engine) see(links []Link) {
	e.watchError = nil
	if e.links != nil && slices.EqualFunc(links, e.addresses, Link.Equal) {
		return
	}
	e.addresses, e.links = links, make(map[string]Link, len(links))
	for _, l := range links {
		e.links[l.Name] = l
	}
	notify(e.changed)
}

// hear takes what a socket has received. What comes from a socket that is closed already is not looked at.
func (e *engine) hear(h heard) {
	now := e.clock.Now()
	for _, p := range e.ports {
		switch {
		case p.conn != h.conn:
		case h.err != nil:
			e.log.V(1).Info("Socket for router advertisements failed, will retry", "interface", p.link.Name, "error", h.err.Error())
			e.closeSocket(p)
			p.fail(now, h.err)
		case h.message.Source == p.link.LinkLocal:
		case h.message.Kind == Solicitation:
			p.cadence.hurry(now)
		case p.routers.hear(now, h.message):
			// A router that has just come does not know us yet.
			p.cadence.hurry(now)
		}
	}
}

// work brings every wanted interface to where it should be, tells what is found, and returns when there is something to do again.
func (e *engine) work(ctx context.Context) <-chan time.Time {
	wanted := e.wants()
	for name := range e.ports {
		if !slices.Contains(wanted, name) {
			e.drop(name)
		}
	}
	findings := make(map[string]finding, len(wanted))
	for _, name := range wanted {
		findings[name] = e.attend(ctx, name)
	}
	e.publish(findings)
	return e.timer()
}

// timer fires when the first port has something to do; it is nil when none has.
func (e *engine) timer() <-chan time.Time {
	var next time.Time
	for _, p := range e.ports {
		at := p.cadence.next
		if p.conn == nil {
			at = p.retry
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if next.IsZero() {
		return nil
	}
	return e.clock.At(next)
}

// attend does what is due on an interface and returns what is found there.
func (e *engine) attend(ctx context.Context, name string) finding {
	link, problem := e.usable(name)
	if problem != nil {
		e.drop(name)
		return finding{problem: problem}
	}
	p := e.ports[name]
	if p == nil {
		p = &port{link: link}
		e.ports[name] = p
	}
	e.follow(ctx, p, link)
	if p.conn == nil {
		return finding{problem: p.failure}
	}
	now := e.clock.Now()
	if !now.Before(p.cadence.next) {
		e.speak(p, now)
	}
	return p.finding(now)
}

// usable returns the interface, or why it cannot be used.
func (e *engine) usable(name string) (Link, *reason.Problem) {
	link, exists := e.links[name]
	switch {
	case e.links == nil && e.watchError != nil:
		return link, reason.New(reason.AnnouncerNotRunning, "listing the interfaces of this node failed: %v", e.watchError)
	case e.links == nil:
		return link, reason.New(reason.AnnouncerNotRunning, "the interfaces of this node have not been read yet")
	case !exists:
		return link, reason.New(reason.InterfaceMissing, "the interface %s does not exist on this node", name)
	case !link.Carrier:
		return link, reason.New(reason.NoCarrier, "the interface %s has no carrier", name)
	case !link.LinkLocal.IsValid():
		return link, reason.New(reason.NoLinkLocalAddress, "the interface %s has no IPv6 link-local address", name)
	}
	return link, nil
}

// follow gives a port a socket that fits the interface as it is now. Another interface under the same name leads to another router.
func (e *engine) follow(ctx context.Context, p *port, link Link) {
	if link.Index != p.link.Index {
		p.routers = routers{}
	}
	if !link.sameSocket(p.link) {
		e.closeSocket(p)
		p.retry = time.Time{}
	}
	p.link = link
	now := e.clock.Now()
	if p.conn != nil || now.Before(p.retry) {
		return
	}
	conn, err := e.host.Open(link)
	if err != nil {
		p.fail(now, err)
		return
	}
	p.conn, p.failure, p.cadence = conn, nil, cadence{}
	e.goroutines.Go(func() { e.receive(ctx, conn) })
}

// receive passes on what a socket receives, until that fails or the context ends.
func (e *engine) receive(ctx context.Context, conn Conn) {
	for {
		m, err := conn.Receive()
		select {
		case e.heard <- heard{conn: conn, message: m, err: err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// speak advertises this node, and asks for routers as long as it is not clear which one is there.
func (e *engine) speak(p *port, now time.Time) {
	p.cadence.tick(now, rand.Float64())
	e.send(p, Advertisement)
	if len(p.routers.heard) == 1 {
		return
	}
	e.send(p, Solicitation)
	if len(p.routers.heard) > 0 {
		return
	}
	known, err := e.host.Routers(p.link.Index)
	if err != nil {
		e.log.V(1).Info("Reading the neighbours of an interface failed", "interface", p.link.Name, "error", err.Error())
		return
	}
	p.routers.known = slices.DeleteFunc(known, p.isOwn)
}

// send sends what it can: a message that is lost is followed by others.
func (e *engine) send(p *port, k Kind) {
	if err := p.conn.Send(k); err != nil {
		e.log.V(1).Info("Sending a Neighbor Discovery message failed", "interface", p.link.Name, "error", err.Error())
	}
}

func (e *engine) drop(name string) {
	if p := e.ports[name]; p != nil {
		e.closeSocket(p)
		delete(e.ports, name)
	}
}

func (e *engine) closeSocket(p *port) {
	if p.conn == nil {
		return
	}
	if err := p.conn.Close(); err != nil {
		e.log.V(1).Info("Closing a socket failed", "interface", p.link.Name, "error", err.Error())
	}
	p.conn = nil
}

// fail notes why there is no socket, and tries again after a while.
func (p *port) fail(now time.Time, err error) {
	p.retry = now.Add(retryInterval)
	if errors.Is(err, os.ErrPermission) {
		p.failure = reason.New(reason.RawSocketDenied, "the speaker may not send router advertisements on the interface %s", p.link.Name)
		return
	}
	p.failure = reason.New(reason.NoRouterAdvertisement, "receiving on the interface %s failed: %v", p.link.Name, err)
}
