// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"metalsuite.io/api/reason"
)

// watcher is the goroutine of one session. Only it uses the machine, the timer and the sender; the rest is safe for others.
type watcher struct {
	engine        *Engine
	path          Path
	discriminator uint32
	inbox         *inbox
	// port is where packets for it arrive; the engine changes it when the device is moved to another VRF.
	port atomic.Pointer[listener]
	// scope is the index of the interface of the path, 0 when it is bound to none or that is not there.
	scope     atomic.Int64
	discarded atomic.Uint64
	// knocked is whether the peer has spoken to a session that is no more.
	knocked atomic.Bool
	// echoReceived counts echo packets that came back, echoBack those since the watcher looked last.
	echoReceived, echoBack atomic.Uint64
	// config is what is wanted; wake says that it has changed.
	config     atomic.Pointer[Config]
	configured *Config
	wake       chan struct{}
	// farewell ends when the session is to say goodbye, cut when there is no more time for that.
	farewell, cut context.Context
	leave         context.CancelFunc
	done          chan struct{}

	machine machine
	timer   *time.Timer
	armed   time.Time
	sender  Sender
	redial  backoff
	dialAt  time.Time
	sent    uint64
	problem *reason.Problem
	buffer  [packetLength]byte
	echo    echoState

	mu    sync.Mutex
	state State
}

func newWatcher(e *Engine, cut context.Context, s Session, discriminator uint32) *watcher {
	w := &watcher{
		engine: e, path: s.Path, discriminator: discriminator, inbox: newInbox(), wake: make(chan struct{}, 1), cut: cut,
		done: make(chan struct{}), redial: newBackoff(),
	}
	w.farewell, w.leave = context.WithCancel(context.Background())
	w.config.Store(&s.Config)
	w.machine = newMachine(time.Now(), s.Config, discriminator, e.seed())
	w.echo.echo.key, w.echo.retry = e.seed(), newBackoff()
	w.leaveState()
	return w
}

func (w *watcher) leaving() bool        { return w.farewell.Err() != nil }
func (w *watcher) minimumTTL() uint8    { return w.config.Load().MinimumTTL }
func (w *watcher) configure(c Config)   { w.config.Store(&c); signal(w.wake) }
func (w *watcher) now() time.Time       { return time.Now() }
func (w *watcher) due(t time.Time) bool { return !t.IsZero() && !w.now().Before(t) }

// run ends when goodbye has been said, or cut.
func (w *watcher) run() {
	defer close(w.done)
	defer w.hangUp()
	defer w.endEcho(nil)
	w.timer = time.NewTimer(0)
	defer w.timer.Stop()
	farewell := w.farewell.Done()
	for !w.machine.stopped(w.now()) {
		select {
		case <-w.cut.Done():
			return
		case <-farewell:
			farewell = nil
			w.dial()
			w.send(w.machine.stop(w.now()))
		case <-w.wake:
		case <-w.inbox.C:
		case <-w.timer.C:
			w.armed = time.Time{}
		}
		w.step()
	}
}

// step does all that there is to do now.
func (w *watcher) step() {
	w.dial()
	w.read()
	if w.due(w.machine.deadline()) {
		// Perhaps this process stood still, and what the peer sent meanwhile waits in the socket.
		if port := w.port.Load(); port != nil {
			port.drain()
		}
		w.read()
	}
	if w.knocked.Swap(false) {
		w.send(w.machine.knock(w.now()))
	}
	if config := w.config.Load(); config != w.configured {
		w.configured = config
		w.offerEcho()
		w.send(w.machine.configure(w.now(), *config))
	}
	w.send(w.machine.advance(w.now()))
	w.stepEcho()
	w.leaveState()
	w.arm()
}

func (w *watcher) read() {
	for a, ok := w.inbox.take(); ok; a, ok = w.inbox.take() {
		w.send(w.machine.receive(w.now(), a.at, a.packet))
	}
}

// arm sets the timer to when there is something to do.
func (w *watcher) arm() {
	next := earliest(earliest(w.machine.next(), w.dialAt), w.nextEcho())
	if next.Equal(w.armed) {
		return
	}
	if w.armed = next; next.IsZero() {
		w.timer.Stop()
		return
	}
	w.timer.Reset(time.Until(next))
}

// dial opens the sender when there is none and it is time to try.
func (w *watcher) dial() {
	if w.sender != nil || !w.dialAt.IsZero() && !w.due(w.dialAt) {
		return
	}
	sender, err := w.engine.host.Dial(w.path)
	if err != nil {
		w.fail(err)
		return
	}
	w.sender, w.dialAt, w.problem = sender, time.Time{}, nil
	w.offerEcho()
	if scope := int64(sender.Scope()); w.scope.Swap(scope) != scope {
		w.engine.poke()
	}
}

// fail takes note of why nothing can be sent, and gives the socket up: another one may find the interface or the address again.
func (w *watcher) fail(err error) {
	w.hangUp()
	p := problemOf(err)
	if w.problem == nil || *w.problem != *p {
		w.engine.log.Info("Sending BFD packets failed, will retry", "address", w.path.Remote.String(), "reason", p.Reason, "error", p.Message())
	}
	w.problem, w.dialAt = p, w.now().Add(w.redial.step())
}

func (w *watcher) hangUp() {
	if w.sender == nil {
		return
	}
	if err := w.sender.Close(); err != nil {
		w.engine.log.V(1).Info("Closing a BFD socket failed", "address", w.path.Remote.String(), "error", err.Error())
	}
	w.sender = nil
}

func (w *watcher) send(out outgoing) {
	for _, p := range out.packets[:out.count] {
		if w.sender == nil {
			return
		}
		if err := w.sender.Send(p.Append(w.buffer[:0])); err != nil {
			w.fail(err)
			return
		}
		w.sent++
		w.redial = newBackoff()
	}
}

// leaveState leaves a copy of how the session is for others, and says so when it has changed.
func (w *watcher) leaveState() {
	m := &w.machine
	s := State{
		Phase: m.phase, Since: m.since, RemotePhase: m.remotePhase, RemoteDiagnostic: m.remoteReason, Diagnostic: m.lastDown,
		Transmit: m.interval(), LocalDiscriminator: m.local, RemoteDiscriminator: m.remote, EverUp: m.everUp, Ups: m.ups, Downs: m.downs,
		PeerAdminDowns: m.peerAdminDowns, ControlSent: w.sent, ControlReceived: m.controlReceived, Problem: w.problem,
		EchoSent: w.echo.sent, EchoActive: w.echo.socket != nil && w.echo.echo.proven, EchoProblem: w.echo.problem,
	}
	if m.remoteReceive == 0 {
		s.Transmit = 0
	}
	if !m.heard.IsZero() {
		s.Detection = m.detection()
	}
	w.mu.Lock()
	before := w.state
	w.state = s
	w.mu.Unlock()
	if before.differs(s) {
		w.tell(before, s)
	}
}

// tell says that something has changed that somebody may wait for.
func (w *watcher) tell(before, s State) {
	if before.Phase != s.Phase && (before.Phase == Up || s.Phase == Up) {
		w.engine.log.Info("BFD session changed state", "address", w.path.Remote.String(), "phase", s.Phase.String(), "reason", s.Diagnostic.String())
	}
	signal(w.engine.changed)
}

// differs is whether a change is worth being told.
func (s State) differs(t State) bool {
	return s.Phase != t.Phase || s.RemotePhase != t.RemotePhase || s.Ups != t.Ups || s.Downs != t.Downs || s.PeerAdminDowns != t.PeerAdminDowns ||
		!same(s.Problem, t.Problem) || !same(s.EchoProblem, t.EchoProblem) || s.EchoActive != t.EchoActive
}

func same(a, b *reason.Problem) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// snapshot returns how the session is.
func (w *watcher) snapshot() State {
	w.mu.Lock()
	s := w.state
	w.mu.Unlock()
	s.ControlDiscarded, s.EchoReceived = w.discarded.Load(), w.echoReceived.Load()
	if port := w.port.Load(); port != nil && s.Problem == nil {
		s.Problem = port.problem.Load()
	}
	return s
}
