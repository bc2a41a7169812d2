// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// farewellTime is how long the end of Run waits for goodbyes.
const farewellTime = time.Second

// runner is one run of an engine. Only its own goroutine uses it.
type runner struct {
	engine   *Engine
	watchers map[Path]*watcher
	// leaving have a path each that no new watcher may have until they are gone: the peer would take both for one.
	leaving   map[Path]*watcher
	listeners map[Port]*listener
	// ended gets a value when a watcher may be gone.
	ended chan struct{}
	// cut ends when there is no more time for goodbyes.
	cut   context.Context
	group sync.WaitGroup
	// hastened is whether the host was asked to let this process wake soon.
	hastened bool
}

func newRunner(e *Engine) *runner {
	return &runner{
		engine: e, watchers: map[Path]*watcher{}, leaving: map[Path]*watcher{}, listeners: map[Port]*listener{}, ended: make(chan struct{}, 1),
	}
}

func (r *runner) run(ctx context.Context) {
	cut, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cut = cut
	for ctx.Err() == nil {
		r.reconcile(r.engine.snapshot())
		select {
		case <-ctx.Done():
		case <-r.engine.wake:
		case <-r.ended:
		}
	}
	r.reconcile(nil)
	r.awaitFarewell()
	cancel()
	for _, l := range r.listeners {
		l.cancel()
	}
	r.group.Wait()
}

// awaitFarewell waits until everybody has said goodbye, or for farewellTime.
func (r *runner) awaitFarewell() {
	timer := time.NewTimer(farewellTime)
	defer timer.Stop()
	for r.bury(); len(r.leaving) > 0; r.bury() {
		select {
		case <-r.ended:
		case <-timer.C:
			return
		}
	}
}

// reconcile makes what there is like what is wanted.
func (r *runner) reconcile(wanted map[Path]Session) {
	r.bury()
	for path, w := range r.watchers {
		if s, ok := wanted[path]; !ok {
			delete(r.watchers, path)
			r.leaving[path] = w
			w.leave()
		} else if *w.config.Load() != s.Config {
			w.configure(s.Config)
		}
	}
	var fresh []*watcher
	for path, s := range wanted {
		if r.watchers[path] == nil && r.leaving[path] == nil {
			w := newWatcher(r.engine, r.cut, s, r.discriminator())
			r.watchers[path] = w
			fresh = append(fresh, w)
		}
	}
	if len(fresh) > 0 {
		r.hasten()
	}
	r.listen()
	r.engine.publish(r.watchers)
	for _, w := range fresh {
		r.start(w)
	}
}

// hasten is done once; sessions work without it.
func (r *runner) hasten() {
	h, ok := r.engine.host.(hastener)
	if !ok || r.hastened {
		return
	}
	r.hastened = true
	if err := h.Hasten(); err != nil {
		r.engine.log.V(1).Info("BFD threads did not get short time slices, packets may be sent late under load", "error", err.Error())
	}
}

func (r *runner) start(w *watcher) {
	r.group.Go(func() {
		w.run()
		signal(r.ended)
	})
}

// bury forgets watchers that are gone.
func (r *runner) bury() {
	for path, w := range r.leaving {
		select {
		case <-w.done:
			delete(r.leaving, path)
		default:
		}
	}
}

// discriminator returns one that no session has (RFC 5880 6.8.1). It is random, so that packets for a session of an earlier run find none.
func (r *runner) discriminator() uint32 {
	for {
		d := rand.Uint32()
		if d != 0 && !slices.ContainsFunc(r.all(), func(w *watcher) bool { return w.discriminator == d }) {
			return d
		}
	}
}

// all returns every watcher, in an order that only depends on their paths.
func (r *runner) all() []*watcher {
	all := make([]*watcher, 0, len(r.watchers)+len(r.leaving))
	for _, set := range [...]map[Path]*watcher{r.watchers, r.leaving} {
		for _, w := range set {
			all = append(all, w)
		}
	}
	slices.SortFunc(all, func(a, b *watcher) int { return a.path.compare(b.path) })
	return all
}

// listen opens and closes ports as the watchers need, and tells each port whom it serves.
func (r *runner) listen() {
	served := map[Port][]*watcher{}
	for _, w := range r.all() {
		port := Port{IPv6: w.path.Remote.Is6(), MultiHop: w.path.MultiHop}
		if w.path.Interface != "" {
			port.Domain = r.engine.host.Domain(w.path.Interface)
		}
		served[port] = append(served[port], w)
	}
	for port, l := range r.listeners {
		if served[port] == nil {
			l.cancel()
			delete(r.listeners, port)
		}
	}
	for port, watchers := range served {
		l := r.listeners[port]
		known := newIndex(watchers)
		if l == nil {
			l = r.open(port, known)
		}
		l.index.Store(known)
		for _, w := range watchers {
			w.port.Store(l)
		}
	}
}

func (r *runner) open(port Port, known *index) *listener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &listener{engine: r.engine, port: port, cancel: cancel}
	l.index.Store(known)
	r.listeners[port] = l
	r.group.Go(func() { l.run(ctx) })
	return l
}
