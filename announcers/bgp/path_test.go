// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"testing"
	"testing/synctest"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp/bfd"
	"metalsuite.io/api/reason"
)

// watched is a peer with BFD.
func watched() announcers.PeerSettings {
	s := tor
	s.BFD = announcers.BFD{Enabled: true}
	return s
}

func up(s *bfd.State) {
	s.Phase = bfd.Up
	s.Ups++
}

func failed(why bfd.Diagnostic) func(*bfd.State) {
	return func(s *bfd.State) {
		s.Phase, s.Diagnostic = bfd.Down, why
		s.Downs++
	}
}

func TestPathThatFailsEndsTheSession(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply(peer("tor", watched(), first))
		w.detector.put("tor", up)
		pass(grace)
		w.detector.put("tor", failed(bfd.DetectionTimeExpired))
		synctest.Wait()
		w.expectHistory(t, "tor connect", "tor reset")
		w.expectPhase(t, "tor", announcers.Idle, reason.BFDDown)
		w.detector.put("tor", up)
		synctest.Wait()
		w.expectHistory(t, "tor connect", "tor reset", "tor connect")
		w.expectPhase(t, "tor", announcers.Established, "")
	})
}

func TestPeerThatBeginsBFDAfterBGP(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply(peer("tor", watched(), first))
		w.detector.put("tor", up)
		pass(grace)
		w.detector.put("tor", failed(bfd.DetectionTimeExpired))
		pass(pathPatience)
		w.expectPhase(t, "tor", announcers.Established, "") // BFD has not come back, and the session is tried nevertheless
	})
}

func TestWhatBFDSaysThatIsNoFailure(t *testing.T) {
	for name, play := range map[string]func(w *world){
		"it never came up": func(w *world) {
			w.detector.put("tor", func(s *bfd.State) { s.Phase, s.Diagnostic = bfd.Down, bfd.DetectionTimeExpired })
		},
		"the peer stopped it on purpose": func(w *world) {
			w.detector.put("tor", up)
			pass(time.Minute)
			w.detector.put("tor", func(s *bfd.State) {
				s.Phase, s.Diagnostic = bfd.Down, bfd.NeighborSignaledDown
				s.PeerAdminDowns++
			})
		},
		"the peer began it anew with the session": func(w *world) {
			w.detector.put("tor", up)
			w.detector.put("tor", failed(bfd.NeighborSignaledDown))
		},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				w.apply(peer("tor", watched(), first))
				play(w)
				pass(time.Hour)
				w.expectHistory(t, "tor connect")
				w.expectPhase(t, "tor", announcers.Established, "")
			})
		})
	}
}

func TestPeerThatSignalsDownLater(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply(peer("tor", watched(), first))
		w.detector.put("tor", up)
		pass(grace)
		w.detector.put("tor", failed(bfd.NeighborSignaledDown))
		synctest.Wait()
		w.expectHistory(t, "tor connect", "tor reset")
	})
}

// A local route that goes must not take BFD away: it is what ends the session then.
func TestLostWayKeepsBFD(t *testing.T) {
	for name, change := range map[string]struct {
		path    func(*Path)
		problem *reason.Problem
	}{
		"no route":        {func(*Path) {}, reason.New(reason.PeerUnreachable, "")},
		"another gateway": {func(p *Path) { p.OnLink, p.Interface = false, "eth1" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				w.apply(peer("tor", watched(), first))
				w.detector.put("tor", up)
				pass(grace)
				before := w.detector.sessions()
				w.network.put(change.path, change.problem)
				pass(2 * statsInterval)
				if got := w.detector.sessions(); len(got) != 1 || got[0] != before[0] {
					t.Errorf("BFD sessions = %+v, want %+v", got, before)
				}
				w.detector.put("tor", failed(bfd.DetectionTimeExpired))
				synctest.Wait()
				w.expectHistory(t, "tor connect", "tor reset")
			})
		})
	}
}

// The engine dials rarely. When BFD says that the peer is there again, nobody waits for that.
func TestReturnsWithBFDAfterALongOutage(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply(peer("tor", watched(), first))
		w.detector.put("tor", up)
		pass(grace)
		w.engine.silent["tor"] = true
		w.detector.put("tor", failed(bfd.DetectionTimeExpired))
		pass(time.Minute)
		w.expectHistory(t, "tor connect", "tor reset", "tor connect")
		w.engine.silent["tor"] = false
		w.detector.put("tor", up)
		synctest.Wait()
		w.expectHistory(t, "tor connect", "tor reset", "tor connect", "tor reset", "tor connect")
		w.expectPhase(t, "tor", announcers.Established, "")
	})
}

// What BFD has ended is told as that, even if the engine is lost over it.
func TestEngineLostWhileBFDEndsTheSession(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply(peer("tor", watched(), first))
		w.detector.put("tor", up)
		pass(grace)
		w.engine.stuck = true
		w.detector.put("tor", failed(bfd.DetectionTimeExpired))
		synctest.Wait()
		if s := w.Peers()[0]; s.LastError != said(reason.New(reason.BFDDown, "")) {
			t.Errorf("last error = %q", s.LastError)
		}
	})
}

// A router that makes its BFD session anew for the first session must not be met by one that is up already, and one that waits for BFD must
// not wait for ever.
func TestBFDBeginsAfterTheFirstSession(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.engine.silent["tor"] = true
		w.apply(peer("tor", watched(), first))
		pass(watchPatience - time.Second)
		if got := w.detector.sessions(); len(got) != 0 {
			t.Errorf("BFD sessions = %+v before there was a session", got)
		}
		pass(time.Second)
		if got := w.detector.sessions(); len(got) != 1 {
			t.Errorf("BFD sessions = %+v, want one after a while", got)
		}
	})
}
