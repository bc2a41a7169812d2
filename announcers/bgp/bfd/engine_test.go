// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// pair starts two engines and waits until they see each other.
func pair(t *testing.T, n *network, a, b Config) (*side, *side) {
	t.Helper()
	l, r := start(t, n.host(left), to(right, a)), start(t, n.host(right), to(left, b))
	l.until(Up, 5*time.Second)
	r.until(Up, 5*time.Second)
	pass(5 * time.Second)
	l.expect(Up)
	r.expect(Up)
	return l, r
}

// since returns the packets that one side sent.
func (n *network) since(at time.Time, from netip.Addr) (out []sighting) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.log {
		if s.from == from && !s.at.Before(at) {
			out = append(out, s)
		}
	}
	return out
}

func TestDifferentSettingsAgree(t *testing.T) {
	passive := every(100 * ms)
	passive.Passive = true
	tests := []struct {
		name                                         string
		left, right                                  Config
		leftSends, leftWaits, rightSends, rightWaits time.Duration
	}{
		{"same", every(50 * ms), every(50 * ms), 50 * ms, 150 * ms, 50 * ms, 150 * ms},
		{"fast and slow", every(10 * ms), every(300 * ms), 300 * ms, 900 * ms, 300 * ms, 900 * ms},
		{"one way", Config{Transmit: 20 * ms, Receive: 200 * ms, Multiplier: 5}, Config{Transmit: 40 * ms, Receive: 30 * ms, Multiplier: 2}, 30 * ms, 400 * ms, 200 * ms, 150 * ms},
		{"multipliers", Config{Transmit: 50 * ms, Receive: 50 * ms, Multiplier: 1}, Config{Transmit: 50 * ms, Receive: 50 * ms, Multiplier: 255}, 50 * ms, 12750 * ms, 50 * ms, 50 * ms},
		{"slower than a second", every(3 * time.Second), every(50 * ms), 3 * time.Second, 9 * time.Second, 3 * time.Second, 9 * time.Second},
		{"passive left", passive, every(100 * ms), 100 * ms, 300 * ms, 100 * ms, 300 * ms},
		{"passive right", every(100 * ms), passive, 100 * ms, 300 * ms, 100 * ms, 300 * ms},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				a, b := start(t, n.host(left), to(right, test.left)), start(t, n.host(right), to(left, test.right))
				a.until(Up, 10*time.Second)
				b.until(Up, 10*time.Second)
				pass(time.Minute)
				if st := a.expect(Up); st.Transmit != test.leftSends || st.Detection != test.leftWaits || st.Ups != 1 {
					t.Errorf("left: %+v", st)
				}
				if st := b.expect(Up); st.Transmit != test.rightSends || st.Detection != test.rightWaits || st.Ups != 1 {
					t.Errorf("right: %+v", st)
				}
				a.stop()
				b.stop()
			})
		})
	}
}

func TestTwoPassiveSidesStaySilent(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		config := every(50 * ms)
		config.Passive = true
		a, b := start(t, n.host(left), to(right, config)), start(t, n.host(right), to(left, config))
		pass(time.Hour)
		if a.expect(Down); len(n.log) > 0 {
			t.Errorf("%d packets were sent", len(n.log))
		}
		a.stop()
		b.stop()
	})
}

// A lost packet now and then does not matter, nor which one it is: none of the handshake, and no answer to a poll.
func TestEveryPacketMayBeLostOnce(t *testing.T) {
	for lost := range 30 {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				sent := 0
				n.losing(func(netip.Addr, netip.Addr, Packet) bool { sent++; return sent == lost+1 })
				a, b := start(t, n.host(left), to(right, every(50*ms))), start(t, n.host(right), to(left, every(50*ms)))
				pass(time.Minute)
				for _, s := range []*side{a, b} {
					if st := s.expect(Up); st.Ups != 1 || st.Downs != 0 || st.Detection != 150*ms {
						t.Errorf("%+v", st)
					}
				}
				a.stop()
				b.stop()
			})
		})
	}
}

func TestChangedSettingsDoNotEndASession(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := pair(t, n, every(50*ms), every(50*ms))
		for _, c := range []Config{every(200 * ms), every(10 * ms), {Transmit: 300 * ms, Receive: 20 * ms, Multiplier: 7}, every(50 * ms)} {
			a.engine.Set([]Session{to(right, c)})
			pass(10 * time.Second)
			if st := a.expect(Up); st.Ups != 1 || st.Downs != 0 {
				t.Errorf("%+v after %+v", st, c)
			}
			if st := b.expect(Up); st.Ups != 1 || st.Detection != time.Duration(c.Multiplier)*max(c.Transmit, 50*ms) || st.Transmit != max(50*ms, c.Receive) {
				t.Errorf("the peer has %+v after %+v", st, c)
			}
		}
		a.stop()
		b.stop()
	})
}

func TestRepeatedSetChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := pair(t, n, every(50*ms), every(50*ms))
		renamed := to(right, every(50*ms))
		renamed.Name = "other"
		began := time.Now()
		for range 100 {
			a.engine.Set([]Session{to(right, every(50*ms))})
			synctest.Wait()
		}
		a.engine.Set([]Session{renamed})
		synctest.Wait()
		if sent := n.since(began, left); len(sent) > 0 {
			t.Errorf("%d packets were sent", len(sent))
		}
		if _, ok := a.engine.State("peer"); ok {
			t.Error("a name that is no more is known")
		}
		if st, ok := a.engine.State("other"); !ok || st.Phase != Up || st.Ups != 1 {
			t.Errorf("the renamed session has %+v", st)
		}
		a.stop()
		b.stop()
	})
}

func TestTwoNamesOfOnePath(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		second := to(right, every(time.Second))
		second.Name = "second"
		a, b := start(t, n.host(left), second, to(right, every(50*ms))), start(t, n.host(right), to(left, every(50*ms)))
		a.until(Up, 3*time.Second)
		pass(5 * time.Second)
		st, ok := a.engine.State("second")
		if !ok || st != a.state() || st.Transmit != 50*ms {
			t.Errorf("%+v", st)
		}
		a.engine.Set([]Session{second})
		pass(10 * time.Second)
		if st, _ := a.engine.State("second"); st.Phase != Up || st.Ups != 1 || st.Transmit != time.Second {
			t.Errorf("%+v", st)
		}
		a.stop()
		b.stop()
	})
}

func TestRemovedSessionSaysGoodbye(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := pair(t, n, every(50*ms), every(50*ms))
		began := time.Now()
		a.engine.Set(nil)
		pass(10 * ms)
		if st := b.expect(Down); st.Downs != 0 || st.PeerAdminDowns != 1 || st.RemotePhase != AdminDown {
			t.Errorf("the peer has %+v", st)
		}
		// It may come back before it is gone; the peer never hears two sessions at once.
		a.engine.Set([]Session{to(right, every(50*ms))})
		a.until(Up, 3*time.Second)
		b.until(Up, time.Second)
		last := map[uint32]time.Time{}
		var order []uint32
		for _, s := range n.since(began, left) {
			if last[s.packet.Sender].IsZero() {
				order = append(order, s.packet.Sender)
			}
			last[s.packet.Sender] = s.at
		}
		if len(order) != 2 || !last[order[0]].Before(time.Now()) || last[order[0]].Sub(began) < 100*ms || last[order[0]].Sub(began) > 150*ms {
			t.Errorf("goodbye was said until %v, order %v", last[order[0]].Sub(began), order)
		}
		if st := a.state(); st.Ups != 1 {
			t.Errorf("the new session has %+v", st)
		}
		a.stop()
		b.stop()
	})
}

func TestEndOfRunIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		slow := Config{Transmit: 10 * time.Second, Receive: 10 * time.Second, Multiplier: 50}
		a, b := start(t, n.host(left), to(right, slow)), start(t, n.host(right), to(left, slow))
		a.until(Up, time.Minute)
		began := time.Now()
		a.stop()
		if took := time.Since(began); took != farewellTime {
			t.Errorf("Run ended after %v", took)
		}
		b.stop()
	})
}

func TestRestartOfOneSide(t *testing.T) {
	tests := []struct {
		name     string
		detected bool
	}{{"fast", false}, {"slow", true}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				a, b := pair(t, n, every(50*ms), every(50*ms))
				n.losing(func(from, _ netip.Addr, _ Packet) bool { return from == left }) // It ends without a word.
				a.stop()
				if test.detected {
					pass(time.Minute)
				}
				n.losing(func(netip.Addr, netip.Addr, Packet) bool { return false })
				a = start(t, a.host, to(right, every(50*ms)))
				a.until(Up, 3*time.Second)
				b.until(Up, time.Second)
				pass(time.Minute)
				if st := b.expect(Up); st.Ups != 2 || st.Downs != 1 {
					t.Errorf("%+v", st)
				}
				if st := a.expect(Up); st.Ups != 1 || st.Downs != 0 {
					t.Errorf("%+v", st)
				}
				a.stop()
				b.stop()
			})
		})
	}
}

// A passive side that was restarted hears a peer that speaks to a session that is no more.
func TestRestartOfAPassiveSide(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		config := every(50 * ms)
		config.Passive = true
		a, b := pair(t, n, config, every(50*ms))
		n.losing(func(from, _ netip.Addr, _ Packet) bool { return from == left })
		a.stop()
		n.losing(func(netip.Addr, netip.Addr, Packet) bool { return false })
		a = start(t, a.host, to(right, config))
		a.until(Up, 3*time.Second)
		a.stop()
		b.stop()
	})
}

// This process gets no time; when it does, the timer is first to notice. What waits in the socket saves the session.
func TestOwnStallIsNoFailure(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := pair(t, n, every(50*ms), every(50*ms))
		port := a.host.listeners[Port{}]
		port.mu.Lock()
		port.asleep = true
		port.mu.Unlock()
		pass(time.Minute)
		if st := a.expect(Up); st.Ups != 1 || st.Downs != 0 {
			t.Errorf("%+v", st)
		}
		b.host.refuse(func() { b.host.refuseSend = errRefused })
		if took := a.until(Down, time.Second); took < 100*ms || took > 300*ms {
			t.Errorf("silence was noticed after %v", took)
		}
		a.stop()
		b.stop()
	})
}

func TestSessionsDoNotDisturbEachOther(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		h := n.host(left)
		ctx, cancel := context.WithCancel(context.Background())
		e, done := New(Options{Host: h}), make(chan error, 1)
		var all []Session
		var peers []*side
		for i := range 20 {
			addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)})
			all = append(all, Session{Name: fmt.Sprint(i), Path: Path{Remote: addr}, Config: every(50 * ms)})
			peers = append(peers, start(t, n.host(addr), to(left, every(50*ms))))
		}
		e.Set(all)
		go func() { done <- e.Run(ctx) }()
		pass(10 * time.Second)
		n.losing(func(from, _ netip.Addr, _ Packet) bool { return from == all[3].Remote })
		e.Set(append(all[:7:7], all[8:]...))
		pass(10 * time.Second)
		discriminators := map[uint32]bool{}
		for i, s := range all {
			st, ok := e.State(s.Name)
			switch i {
			case 3:
				if st.Phase == Up || st.Downs != 1 {
					t.Errorf("%d: %+v", i, st)
				}
			case 7:
				if ok || peers[7].state().Phase != Down {
					t.Errorf("%d: %+v", i, st)
				}
			default:
				if st.Phase != Up || st.Ups != 1 {
					t.Errorf("%d: %+v", i, st)
				}
			}
			discriminators[st.LocalDiscriminator] = true
		}
		if len(discriminators) != 20 {
			t.Errorf("%d different discriminators", len(discriminators))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, p := range peers {
			p.stop()
		}
	})
}

func TestChangedIsToldOnce(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a, b := pair(t, n, every(50*ms), every(50*ms))
		select {
		case <-a.engine.Changed():
		default:
			t.Fatal("nothing was told")
		}
		pass(time.Minute)
		select {
		case <-a.engine.Changed():
			t.Error("something was told although nothing changed")
		default:
		}
		b.stop()
		synctest.Wait()
		select {
		case <-a.engine.Changed():
		default:
			t.Error("the end of the peer was not told")
		}
		a.stop()
	})
}

func TestRunTwice(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		a := start(t, n.host(left), to(right, every(50*ms)))
		synctest.Wait()
		if err := a.engine.Run(context.Background()); err == nil {
			t.Error("Run ran twice at once")
		}
		a.stop()
		if st := a.state(); st.Phase != Down {
			t.Errorf("after Run: %+v", st)
		}
		ctx, cancel := context.WithCancel(context.Background())
		a.cancel = cancel
		go func() { a.done <- a.engine.Run(ctx) }()
		b := start(t, n.host(right), to(left, every(50*ms)))
		a.until(Up, 3*time.Second)
		a.stop()
		b.stop()
	})
}
