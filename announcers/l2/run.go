// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/api/reason"
)

// reopenAfter is how long a socket that failed is left alone.
const reopenAfter = 200 * time.Millisecond

// Run implements announcers.Announcer. An error that wraps a *reason.Problem RawSocketDenied says that the permission is missing.
func (a *Announcer) Run(ctx context.Context) error {
	if !a.start() {
		return fmt.Errorf("running the announcer %s: it runs already", Name)
	}
	updates := make(chan []link.Link)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.links.Watch(ctx, updates) })
	group.Go(func() error { return newEngine(a).run(ctx, updates) })
	err := group.Wait()
	a.stop(err)
	if err != nil {
		return fmt.Errorf("running the announcer %s: %w", Name, err)
	}
	return nil
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
	a.observe(nil, nil, why)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = false
}

// engine owns the interfaces, the sockets and the frames that are sent unasked. All its fields belong to the goroutine that runs it.
type engine struct {
	a       *Announcer
	links   []link.Link
	open    map[int]*responder
	failed  map[int]error
	retry   time.Time
	dead    chan death
	readers sync.WaitGroup
}

// death says that a responder cannot read any more.
type death struct {
	index     int
	responder *responder
	err       error
}

func newEngine(a *Announcer) *engine {
	return &engine{a: a, open: map[int]*responder{}, failed: map[int]error{}, dead: make(chan death)}
}

func (e *engine) run(ctx context.Context, updates <-chan []link.Link) error {
	ctx, cancel := context.WithCancel(ctx)
	defer e.readers.Wait()
	defer e.closeAll()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e.links = <-updates:
			e.failed = map[int]error{}
			if err := e.settle(ctx); err != nil {
				return err
			}
		case d := <-e.dead:
			if err := e.bury(ctx, d); err != nil {
				return err
			}
		case <-e.a.wake:
		case <-e.timer():
			if err := e.reopen(ctx); err != nil {
				return err
			}
		}
		e.sendDue()
	}
}

// timer fires when a claim or a failed socket is due; it never fires when nothing is.
func (e *engine) timer() <-chan time.Time {
	e.a.mu.Lock()
	at, ok := e.a.schedule.next()
	e.a.mu.Unlock()
	if !e.retry.IsZero() && (!ok || e.retry.Before(at)) {
		at, ok = e.retry, true
	}
	if !ok {
		return nil
	}
	return e.a.clock.After(at.Sub(e.a.clock.Now()))
}

// settle opens and closes sockets until they fit the interfaces, and makes the result known.
func (e *engine) settle(ctx context.Context) error {
	ports := make([]port, 0, len(e.links))
	wanted := map[int]bool{}
	for _, l := range e.links {
		p := inspect(l, e.a.excluded)
		if p.unfit == nil && l.Up {
			wanted[l.Index] = true
			if err := e.ensure(ctx, l); err != nil {
				return err
			}
		}
		if err := e.failed[l.Index]; err != nil && p.fault == nil {
			p.fault = unreadable(l.Name, err)
		}
		ports = append(ports, p)
	}
	for index := range e.open {
		if !wanted[index] {
			e.close(index)
		}
	}
	e.a.observe(ports, e.open, nil)
	return nil
}

// unreadable says why an interface without socket cannot be used. The socket may notice before the interface list that it went down.
func unreadable(name string, err error) *reason.Problem {
	if errors.Is(err, syscall.ENETDOWN) {
		return reason.New(reason.NoCarrier, "interface %s is switched off", name)
	}
	return reason.New(reason.NoUsableInterface, "interface %s cannot be read: %v", name, err)
}

// ensure opens the socket of an interface. Only a missing permission is an error: no other interface would fare better.
func (e *engine) ensure(ctx context.Context, l link.Link) error {
	if e.open[l.Index] != nil || e.failed[l.Index] != nil {
		return nil
	}
	socket, err := e.a.links.OpenARP(l)
	if errors.Is(err, os.ErrPermission) {
		return reason.New(reason.RawSocketDenied, "the speaker may not open raw sockets: %v", err)
	}
	if err != nil {
		e.fail(l.Index, err)
		return nil
	}
	e.a.log.Info("Using interface", "announcer", Name, "interface", l.Name)
	r := newResponder(socket, e.a.log.WithValues("announcer", Name, "interface", l.Name))
	e.open[l.Index] = r
	e.readers.Go(func() {
		err := r.serve()
		select {
		case e.dead <- death{l.Index, r, err}:
		case <-ctx.Done():
		}
	})
	return nil
}

func (e *engine) fail(index int, err error) {
	e.a.log.V(1).Info("Cannot use interface", "announcer", Name, "interface", e.name(index), "error", err.Error())
	e.failed[index] = err
	e.retry = e.a.clock.Now().Add(reopenAfter)
}

// bury closes the socket of a responder that cannot read any more, unless that was done on purpose.
func (e *engine) bury(ctx context.Context, d death) error {
	if e.open[d.index] != d.responder {
		return nil
	}
	e.close(d.index)
	e.fail(d.index, d.err)
	return e.settle(ctx)
}

// reopen tries the failed sockets again when it is time.
func (e *engine) reopen(ctx context.Context) error {
	if e.retry.IsZero() || e.retry.After(e.a.clock.Now()) {
		return nil
	}
	e.retry, e.failed = time.Time{}, map[int]error{}
	return e.settle(ctx)
}

func (e *engine) close(index int) {
	r := e.open[index]
	delete(e.open, index)
	if err := r.socket.Close(); err != nil {
		r.log.V(1).Info("Did not close a socket cleanly", "error", err.Error())
	}
	e.a.log.Info("Left interface", "announcer", Name, "interface", e.name(index))
}

func (e *engine) closeAll() {
	for index := range e.open {
		e.close(index)
	}
}

func (e *engine) name(index int) string {
	for _, l := range e.links {
		if l.Index == index {
			return l.Name
		}
	}
	return ""
}

// sendDue sends what is due. A claim may be withdrawn meanwhile, so each is looked at again before it is sent. An interface whose queue is
// stuck gets no more of this round: each attempt would wait, and the other interfaces and all news of links with it. The burst repeats
// anyway.
func (e *engine) sendDue() {
	e.a.mu.Lock()
	due := e.a.schedule.due(e.a.clock.Now())
	e.a.mu.Unlock()
	stuck := map[int]bool{}
	for _, c := range due {
		if r := e.open[c.index]; r != nil && !stuck[c.index] && e.a.claims(c) {
			stuck[c.index] = !r.announce(c)
		}
	}
}

func (a *Announcer) claims(c claim) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.decided.claims[c]
	return ok
}
