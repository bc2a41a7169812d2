// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"metalsuite.io/api/reason"
)

var (
	left  = netip.MustParseAddr("192.0.2.1")
	right = netip.MustParseAddr("192.0.2.2")
)

// network is a segment in memory. Packets take a moment, on the clock of the bubble that a test runs in.
type network struct {
	mu    sync.Mutex
	hosts map[netip.Addr]*simulated
	// lose tells of packets that get lost.
	lose func(from, to netip.Addr, p Packet) bool
	// log holds every packet that was sent.
	log   []sighting
	delay time.Duration
}

type sighting struct {
	at       time.Time
	from, to netip.Addr
	packet   Packet
}

func newNetwork() *network {
	return &network{hosts: map[netip.Addr]*simulated{}, delay: time.Millisecond, lose: func(netip.Addr, netip.Addr, Packet) bool { return false }}
}

// losing says which packets get lost from now on.
func (n *network) losing(lose func(from, to netip.Addr, p Packet) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lose = lose
}

// simulated is a machine with one address on a network.
type simulated struct {
	network *network
	addr    netip.Addr

	mu        sync.Mutex
	listeners map[Port]*memoryListener
	// refuse is why sockets cannot be opened, or why nothing can be sent.
	refuseListen, refuseDial, refuseSend error
	dialled                              int
}

func (n *network) host(addr netip.Addr) *simulated {
	h := &simulated{network: n, addr: addr, listeners: map[Port]*memoryListener{}}
	n.mu.Lock()
	n.hosts[addr] = h
	n.mu.Unlock()
	return h
}

func (h *simulated) Domain(string) string { return "" }

func (h *simulated) Listen(port Port) (Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuseListen != nil {
		return nil, h.refuseListen
	}
	l := &memoryListener{closed: make(chan struct{}), more: make(chan struct{}, 1)}
	h.listeners[port] = l
	return l, nil
}

func (h *simulated) Dial(path Path) (Sender, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dialled++
	if h.refuseDial != nil {
		return nil, h.refuseDial
	}
	return &memorySender{host: h, path: path}, nil
}

func (h *simulated) refuse(set func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	set()
}

type memorySender struct {
	host *simulated
	path Path
}

func (s *memorySender) Scope() int   { return 0 }
func (s *memorySender) Close() error { return nil }

func (s *memorySender) Send(payload []byte) error {
	s.host.mu.Lock()
	refused := s.host.refuseSend
	s.host.mu.Unlock()
	if refused != nil {
		return refused
	}
	p, err := Parse(payload)
	if err != nil {
		return err
	}
	n := s.host.network
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = append(n.log, sighting{time.Now(), s.host.addr, s.path.Remote, p})
	to := n.hosts[s.path.Remote]
	if to == nil || n.lose(s.host.addr, s.path.Remote, p) {
		return nil
	}
	d := Datagram{Payload: slices.Clone(payload), From: s.host.addr, To: s.path.Remote, TTL: ttl, Interface: 1}
	time.AfterFunc(n.delay, func() { to.arrive(Port{IPv6: d.From.Is6(), MultiHop: s.path.MultiHop}, d) })
	return nil
}

func (h *simulated) arrive(port Port, d Datagram) {
	h.mu.Lock()
	l := h.listeners[port]
	h.mu.Unlock()
	if l != nil {
		l.arrive(d)
	}
}

// memoryListener is a socket with an endless buffer.
type memoryListener struct {
	closing sync.Once
	closed  chan struct{}
	more    chan struct{}

	mu      sync.Mutex
	waiting []Datagram
	deliver func(Datagram)
	// asleep keeps Serve from reading, as a process that gets no time does.
	asleep bool
}

func (l *memoryListener) arrive(d Datagram) {
	l.mu.Lock()
	l.waiting = append(l.waiting, d)
	l.mu.Unlock()
	signal(l.more)
}

func (l *memoryListener) Serve(deliver func(Datagram)) error {
	l.mu.Lock()
	l.deliver = deliver
	l.mu.Unlock()
	for {
		select {
		case <-l.closed:
			return net.ErrClosed
		case <-l.more:
			l.read(false)
		}
	}
}

func (l *memoryListener) Drain() { l.read(true) }

func (l *memoryListener) read(drain bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deliver == nil || l.asleep && !drain {
		return
	}
	for _, d := range l.waiting {
		l.deliver(d)
	}
	l.waiting = nil
}

func (l *memoryListener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return nil
}

// side is an engine that runs.
type side struct {
	t      *testing.T
	engine *Engine
	host   *simulated
	cancel context.CancelFunc
	done   chan error
}

func start(t *testing.T, host *simulated, sessions ...Session) *side {
	t.Helper()
	return startAt(t, host, host, sessions...)
}

// startAt starts an engine on a Host that can do more than the simulated one.
func startAt(t *testing.T, host *simulated, as Host, sessions ...Session) *side {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &side{t: t, engine: New(Options{Host: as}), host: host, cancel: cancel, done: make(chan error, 1)}
	s.engine.Set(sessions)
	go func() { s.done <- s.engine.Run(ctx) }()
	t.Cleanup(cancel)
	return s
}

// stop ends the engine as planned.
func (s *side) stop() {
	s.t.Helper()
	s.cancel()
	if err := <-s.done; err != nil {
		s.t.Errorf("Run ended with %v", err)
	}
}

func (s *side) state() State {
	s.t.Helper()
	st, ok := s.engine.State("peer")
	if !ok {
		s.t.Fatal("the session is not known")
	}
	return st
}

func (s *side) expect(phase Phase) State {
	s.t.Helper()
	synctest.Wait()
	st := s.state()
	if st.Phase != phase {
		s.t.Fatalf("the session of %v is %v, want %v: %+v", s.host.addr, st.Phase, phase, st)
	}
	return st
}

// until lets time pass until the session is in a phase, and returns how long that took.
func (s *side) until(phase Phase, most time.Duration) time.Duration {
	s.t.Helper()
	began := time.Now()
	for s.state().Phase != phase {
		if time.Since(began) > most {
			s.t.Fatalf("the session of %v is not %v after %v: %+v", s.host.addr, phase, most, s.state())
		}
		pass(100 * time.Microsecond)
	}
	return time.Since(began)
}

// pass lets time pass in the bubble, where it costs none.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func to(remote netip.Addr, c Config) Session {
	return Session{Name: "peer", Path: Path{Remote: remote}, Config: c}
}

func every(d time.Duration) Config { return Config{Transmit: d, Receive: d, Multiplier: 3} }

// bubble runs a test with a clock of its own, which ends with the engines that it started.
func bubble(t *testing.T, test func(*testing.T, *network)) {
	synctest.Test(t, func(t *testing.T) { test(t, newNetwork()) })
}

func TestTwoEnginesComeUpAndStay(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := start(t, n.host(left), to(right, every(50*time.Millisecond))), start(t, n.host(right), to(left, every(50*time.Millisecond)))
		a.until(Up, 1500*time.Millisecond)
		b.until(Up, 100*time.Millisecond)
		pass(10 * time.Minute)
		for _, s := range []*side{a, b} {
			if st := s.expect(Up); st.Ups != 1 || st.Downs != 0 || !st.EverUp || st.Transmit != 50*time.Millisecond || st.Detection != 150*time.Millisecond {
				t.Errorf("state = %+v", st)
			}
		}
		a.stop()
		b.expect(Down)
		if st := b.state(); st.Downs != 0 || st.PeerAdminDowns != 1 || st.RemotePhase != AdminDown || st.RemoteDiagnostic != AdministrativelyDown {
			t.Errorf("after a planned stop the peer has %+v", st)
		}
		b.stop()
	})
}

func TestSilenceIsNoticedInTime(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := start(t, n.host(left), to(right, every(50*time.Millisecond))), start(t, n.host(right), to(left, every(50*time.Millisecond)))
		a.until(Up, 2*time.Second)
		pass(time.Second)
		n.losing(func(from, _ netip.Addr, _ Packet) bool { return from == right })
		took := a.until(Down, time.Second)
		if took < 100*time.Millisecond || took > 151*time.Millisecond {
			t.Errorf("noticed after %v", took)
		}
		if st := a.state(); st.Downs != 1 || st.Diagnostic != DetectionTimeExpired {
			t.Errorf("state = %+v", st)
		}
		if took := b.until(Down, time.Second); took > 2*time.Millisecond {
			t.Errorf("the other side heard of it after %v", took)
		}
		if st := b.state(); st.Downs != 1 || st.Diagnostic != NeighborSignaledDown {
			t.Errorf("state = %+v", st)
		}
		n.losing(func(netip.Addr, netip.Addr, Packet) bool { return false })
		a.until(Up, 3*time.Second)
		b.until(Up, time.Second)
		a.stop()
		b.stop()
	})
}

var errRefused = errors.New("refused")

func TestProblemsAreToldAndHeal(t *testing.T) {
	tests := []struct {
		name   string
		refuse func(*simulated, error)
	}{
		{"receiving socket", func(h *simulated, err error) { h.refuseListen = err }},
		{"sending socket", func(h *simulated, err error) { h.refuseDial = err }},
		{"sending", func(h *simulated, err error) { h.refuseSend = err }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				h := n.host(left)
				test.refuse(h, errRefused)
				a, b := start(t, h, to(right, every(50*time.Millisecond))), start(t, n.host(right), to(left, every(50*time.Millisecond)))
				pass(time.Minute)
				if st := a.state(); st.Phase == Up || st.Problem == nil || st.Problem.Reason != reason.BFDNotAvailable || st.Problem.Detail != errRefused.Error() {
					t.Errorf("problem = %v", st.Problem)
				}
				h.mu.Lock()
				if h.dialled > 20 {
					t.Errorf("dialled %d times in a minute", h.dialled)
				}
				h.mu.Unlock()
				h.refuse(func() { test.refuse(h, nil) })
				a.until(Up, longestRetry+3*time.Second)
				if st := a.state(); st.Problem != nil {
					t.Errorf("problem = %v after it was mended", st.Problem)
				}
				a.stop()
				b.stop()
			})
		})
	}
}
