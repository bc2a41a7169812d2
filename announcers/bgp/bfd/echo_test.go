// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"metalsuite.io/api/reason"
)

func TestEchoIsJudgedAfterItWorkedOnce(t *testing.T) {
	e := echo{key: 7}
	now := epoch
	step := func() (bool, bool) {
		payload, send, failed := e.advance(now, 50*ms, 3)
		if send && !echoes(payload[:], 7) || send && echoes(payload[:], 8) {
			t.Fatal("the payload is not recognised")
		}
		return send, failed
	}
	for range 10 {
		if send, failed := step(); !send || failed {
			t.Fatalf("sent %v, failed %v although no packet ever came back", send, failed)
		}
		now = e.sendAt
	}
	if gap := e.sendAt.Sub(epoch); gap < 7*time.Second {
		t.Errorf("a peer that returns nothing gets 10 packets in %v", gap)
	}
	e.returned()
	for range 3 {
		if send, failed := step(); !send || failed {
			t.Fatal("given up too early")
		}
		now = e.sendAt
	}
	if send, failed := step(); send || !failed {
		t.Error("three lost packets in a row do not count")
	}
	e.reset()
	if send, failed := step(); !send || failed {
		t.Error("a session that came up again does not begin afresh")
	}
}

func TestEchoWaitsForItsTime(t *testing.T) {
	e := echo{}
	e.advance(epoch, 50*ms, 3)
	if _, send, _ := e.advance(epoch.Add(49*ms), 50*ms, 3); send {
		t.Error("sent too early")
	}
	// Standing still costs nothing: nothing was sent that could have come back.
	if _, send, failed := e.advance(epoch.Add(time.Hour), 50*ms, 3); !send || failed {
		t.Errorf("sent %v, failed %v after standing still", send, failed)
	}
}

// mirror is a simulated machine whose peers return echo packets.
type mirror struct {
	*simulated
	mu      sync.Mutex
	refused error
	deaf    bool
}

func (m *mirror) Forwards() bool { return true }

func (m *mirror) OpenEcho(Path) (EchoSocket, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &mirrorSocket{mirror: m, back: make(chan []byte, 100), closed: make(chan struct{})}, m.refused
}

func (m *mirror) change(set func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	set()
}

type mirrorSocket struct {
	mirror *mirror
	back   chan []byte
	closed chan struct{}
}

func (s *mirrorSocket) Send(payload []byte) error {
	s.mirror.mu.Lock()
	defer s.mirror.mu.Unlock()
	if !s.mirror.deaf {
		s.back <- append([]byte{}, payload...)
	}
	return nil
}

func (s *mirrorSocket) Serve(deliver func([]byte)) error {
	for {
		select {
		case <-s.closed:
			return net.ErrClosed
		case p := <-s.back:
			deliver(p)
		}
	}
}

func (s *mirrorSocket) Close() error { close(s.closed); return nil }

// mirrors starts two engines whose hosts return echo packets; the left one asks for them.
func mirrors(t *testing.T, n *network, m *mirror, right1 Host) (*side, *side) {
	t.Helper()
	c := every(100 * ms)
	c.Echo = 50 * ms
	a := startAt(t, m.simulated, m, to(right, c))
	b := startAt(t, n.hosts[right], right1, to(left, c))
	a.until(Up, 5*time.Second)
	b.until(Up, 5*time.Second)
	pass(2 * time.Second)
	return a, b
}

func TestLostEchoEndsASession(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		m := &mirror{simulated: n.host(left)}
		a, b := mirrors(t, n, m, &mirror{simulated: n.host(right)})
		if st := a.expect(Up); !st.EchoActive || st.EchoProblem != nil || st.EchoSent == 0 || st.EchoSent-st.EchoReceived > 1 {
			t.Fatalf("%+v", st)
		}
		pass(time.Minute)
		m.change(func() { m.deaf = true })
		if took := a.until(Down, time.Second); took > 210*ms {
			t.Errorf("noticed after %v", took)
		}
		if st := a.state(); st.Diagnostic != EchoFailed || st.Downs != 1 || st.EchoActive {
			t.Errorf("%+v", st)
		}
		// It comes back by its control packets, says why there is no echo, and does not end again.
		a.until(Up, 3*time.Second)
		pass(time.Minute)
		if st := a.expect(Up); st.Downs != 1 || st.EchoProblem == nil || st.EchoProblem.Reason != reason.BFDEchoNotUsed {
			t.Errorf("%+v", st)
		}
		m.change(func() { m.deaf = false })
		pass(2 * time.Second)
		if st := a.expect(Up); !st.EchoActive || st.EchoProblem != nil {
			t.Errorf("%+v", st)
		}
		a.stop()
		b.stop()
	})
}

func TestEchoThatCannotBe(t *testing.T) {
	tests := []struct {
		name string
		host func(*network) (*mirror, Host)
	}{
		{"the peer takes none", func(n *network) (*mirror, Host) { return &mirror{simulated: n.host(left)}, n.host(right) }},
		{"the socket is refused", func(n *network) (*mirror, Host) {
			return &mirror{simulated: n.host(left), refused: errors.New("refused")}, &mirror{simulated: n.host(right)}
		}},
		{"nothing comes back", func(n *network) (*mirror, Host) {
			return &mirror{simulated: n.host(left), deaf: true}, &mirror{simulated: n.host(right)}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				m, other := test.host(n)
				a, b := mirrors(t, n, m, other)
				pass(time.Minute)
				if st := a.expect(Up); st.Ups != 1 || st.EchoActive || st.EchoProblem == nil || st.Problem != nil {
					t.Errorf("%+v", st)
				}
				a.stop()
				b.stop()
			})
		})
	}
}
