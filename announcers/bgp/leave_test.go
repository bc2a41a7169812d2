// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// attributesOf returns what the peer was told of an address.
func (w *world) attributesOf(a netip.Addr) announcers.Attributes {
	return w.engine.session("tor").table()[netip.PrefixFrom(a, a.BitLen())].Attributes
}

func TestRestart(t *testing.T) {
	for name, test := range map[string]struct {
		graceful bool
		want     []string
	}{
		"without graceful restart": {false, []string{"tor connect", "tor shutdown"}},
		"with graceful restart":    {true, []string{"tor connect", "tor vanished"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- w.Run(ctx) }()
				s := tor
				s.GracefulRestart = test.graceful
				w.apply(peer("tor", s, first))
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				w.expectHistory(t, test.want...)
			})
		})
	}
}

func TestRestartingIsTold(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		s := tor
		s.GracefulRestart = true
		w.apply(peer("tor", s, first))
		if !w.engine.session("tor").settings.Restarting {
			t.Error("the peer is not told that this may be a restart")
		}
		pass(restartTime)
		s.Port = 1790
		w.apply(peer("tor", s, first))
		if w.engine.session("tor").settings.Restarting {
			t.Error("the peer is told of a restart that is long over")
		}
	})
}

func TestLeave(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		s := tor
		s.GracefulRestart = true
		w.apply(peer("tor", s, first))
		left := make(chan struct{})
		begun := time.Now()
		go func() {
			w.Leave(t.Context())
			close(left)
		}()
		synctest.Wait()
		if got := w.attributesOf(first); !slices.Equal(got.Communities, []uint32{gracefulShutdown}) || got.LocalPref != drainPreference {
			t.Errorf("attributes = %+v", got)
		}
		w.expectHistory(t, "tor connect")
		<-left
		if waited := time.Since(begun); waited != leaveWait {
			t.Errorf("left after %v, want %v", waited, leaveWait)
		}
		w.expectHistory(t, "tor connect", "tor shutdown")
		w.apply(peer("tor", s, first, second))
		pass(time.Hour)
		w.expectHistory(t, "tor connect", "tor shutdown")
	})
}

func TestLeaveWithoutSession(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.engine.silent["tor"] = true
		w.network.problem = reason.New(reason.NoSourceAddress, "")
		other := tor
		other.Port = 1790
		w.apply(peer("tor", tor, first), peer("two", other, first))
		begun := time.Now()
		w.Leave(t.Context())
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("left after %v although there was nobody to leave", waited)
		}
	})
}

func TestDrain(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		p := peer("tor", tor, first)
		p.Routes[0].Communities = []uint32{1, 0xFFFFFF01}
		w.apply(p)
		w.applyAll(announcers.Desired{Peers: []announcers.Peer{p}, Drain: true})
		if got := w.attributesOf(first).Communities; !slices.Equal(got, []uint32{1, gracefulShutdown, 0xFFFFFF01}) {
			t.Errorf("communities = %x", got)
		}
		pass(drainWait)
		report := w.applyAll(announcers.Desired{Peers: []announcers.Peer{p}, Drain: true})
		if got := w.engine.prefixes("tor"); len(got) != 0 {
			t.Errorf("routes = %v, want none", got)
		}
		if s := report.States[first]; s.Phase != announcers.Waiting || s.Problem.Reason != reason.NodeDraining {
			t.Errorf("state = %+v", s)
		}
		w.expectPhase(t, "tor", announcers.Established, reason.NodeDraining)
		if s := w.Peers()[0]; s.Desired != 0 || s.Announced != 0 {
			t.Errorf("state = %+v, want no routes that wait", s)
		}
		w.apply(p)
		w.expectPhase(t, "tor", announcers.Established, "")
		if got := w.attributesOf(first).Communities; !slices.Equal(got, []uint32{1, 0xFFFFFF01}) {
			t.Errorf("communities = %x after the drain", got)
		}
		w.expectHistory(t, "tor connect")
	})
}

func TestLeaveMarksEveryRouteFirst(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		var all []netip.Addr
		for i := range 5 * batch {
			all = append(all, netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)}))
		}
		w.apply(peer("tor", tor, all...))
		go w.Leave(t.Context())
		synctest.Wait()
		for p, r := range w.engine.session("tor").table() {
			if !slices.Contains(r.Communities, gracefulShutdown) {
				t.Fatalf("%v is not marked", p)
			}
		}
		w.expectHistory(t, "tor connect")
		pass(leaveWait)
		w.expectHistory(t, "tor connect", "tor shutdown")
	})
}

func TestDrainedNodeAnnouncesNothingAgain(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		p := peer("tor", tor, first)
		drained := func(p announcers.Peer) { w.applyAll(announcers.Desired{Peers: []announcers.Peer{p}, Drain: true}) }
		drained(p) // as after a restart on a drained node
		w.expectPhase(t, "tor", announcers.Established, reason.NodeDraining)
		p.Port = 1790
		drained(p)
		go w.Leave(t.Context())
		pass(leaveWait)
		if n := w.engine.announced(); n != 0 {
			t.Errorf("%d routes were announced", n)
		}
	})
}
