// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"metalsuite.io/api/reason"
)

// listener owns one receiving socket, and opens it again when it fails.
type listener struct {
	engine *Engine
	port   Port
	index  atomic.Pointer[index]
	// socket is the open one, nil while there is none; problem says why there is none.
	socket  atomic.Pointer[Listener]
	problem atomic.Pointer[reason.Problem]
	cancel  context.CancelFunc
	// discarded counts packets that belong to no session.
	discarded atomic.Uint64
}

// run ends when the context does.
func (l *listener) run(ctx context.Context) {
	for wait := newBackoff(); ctx.Err() == nil; {
		began := time.Now()
		err := l.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		l.report(problemOf(err))
		if time.Since(began) > longestRetry {
			wait = newBackoff()
		}
		wait.pause(ctx)
	}
}

// serve opens the socket and reads it until it fails or the context ends.
func (l *listener) serve(ctx context.Context) error {
	socket, err := l.engine.host.Listen(l.port)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() })
	defer stop()
	l.socket.Store(&socket)
	l.report(nil)
	err = socket.Serve(l.deliver)
	l.socket.Store(nil)
	return errors.Join(err, socket.Close())
}

func (l *listener) report(p *reason.Problem) {
	before := l.problem.Swap(p)
	if p != nil && (before == nil || *before != *p) {
		l.engine.log.Info("Receiving BFD packets failed, will retry", "reason", p.Reason, "error", p.Message())
	}
	if (p == nil) != (before == nil) || p != nil && *p != *before {
		signal(l.engine.changed)
	}
}

// drain delivers what has arrived.
func (l *listener) drain() {
	if socket := l.socket.Load(); socket != nil {
		(*socket).Drain()
	}
}

// deliver hands a packet to its session, or discards it. It neither waits nor allocates, whatever the packet is.
func (l *listener) deliver(d Datagram) {
	now := time.Now()
	known := l.index.Load()
	p, err := Parse(d.Payload)
	if err != nil || !l.port.MultiHop && d.TTL != ttl {
		l.discard(known.from(d))
		return
	}
	w := known.find(p, d)
	if w == nil {
		l.knock(known.from(d))
		return
	}
	if l.port.MultiHop && d.TTL < w.minimumTTL() {
		l.discard(w)
		return
	}
	w.inbox.put(arrival{at: now, packet: p})
}

// knock discards a packet for a session that is no more, and lets the one that is there now know that its peer is.
func (l *listener) knock(w *watcher) {
	l.discard(w)
	if w != nil && w.config.Load().Passive {
		w.knocked.Store(true)
		signal(w.inbox.C)
	}
}

func (l *listener) discard(w *watcher) {
	if w == nil {
		l.discarded.Add(1)
		return
	}
	w.discarded.Add(1)
}
