// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/announcers/bgp/bfd"
	"metalsuite.io/api/reason"
)

var (
	first  = netip.MustParseAddr("198.18.64.1")
	second = netip.MustParseAddr("2001:db8:64::2")
	tor    = announcers.PeerSettings{LocalASN: 65000, RemoteASN: 64999, Address: netip.MustParseAddr("198.18.0.254"), Port: 179, BothFamilies: true}
)

// peer returns a peer that is to have routes to the addresses.
func peer(name string, s announcers.PeerSettings, addresses ...netip.Addr) announcers.Peer {
	p := announcers.Peer{Name: name, PeerSettings: s}
	for _, a := range addresses {
		p.Routes = append(p.Routes, announcers.Route{Prefix: netip.PrefixFrom(a, a.BitLen())})
	}
	slices.SortFunc(p.Routes, func(a, b announcers.Route) int { return a.Prefix.Compare(b.Prefix) })
	return p
}

// world is an announcer whose surroundings a test plays.
type world struct {
	*Announcer
	engine   *fakeEngine
	detector *fakeDetector
	network  *fakeNetwork
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{engine: newFakeEngine(), detector: newFakeDetector(), network: newFakeNetwork()}
	a, err := New(Options{
		Node: "n1", Address: netip.MustParseAddr("198.18.0.11"), Engine: w.engine, Detector: w.detector, Network: w.network,
	})
	if err != nil {
		tb.Fatal(err)
	}
	w.Announcer = a
	return w
}

// in runs a test in a bubble of its own time, with an announcer that runs. What the test returns early of is ended.
func in(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		test(t, w)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running: %v", err)
		}
	})
}

// apply wants the peers and their addresses, and lets everything happen that follows at once.
func (w *world) apply(peers ...announcers.Peer) announcers.Report {
	return w.applyAll(announcers.Desired{Peers: peers})
}

func (w *world) applyAll(d announcers.Desired) announcers.Report {
	seen := map[netip.Addr]bool{}
	for _, p := range d.Peers {
		for _, r := range p.Routes {
			if a := r.Prefix.Addr(); !seen[a] {
				seen[a] = true
				d.Addresses = append(d.Addresses, announcers.Address{Addr: a})
			}
		}
	}
	w.Apply(context.Background(), d)
	synctest.Wait()
	defer synctest.Wait()
	return w.Apply(context.Background(), d)
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (w *world) expectPhase(t *testing.T, name string, want announcers.SessionPhase, why reason.Reason) {
	t.Helper()
	for _, s := range w.Peers() {
		if s.Name != name {
			continue
		}
		if s.Phase != want || why == "" && s.Problem != nil || why != "" && (s.Problem == nil || s.Problem.Reason != why) {
			t.Errorf("peer %s: %v, %v; want %v, %q", name, s.Phase, s.Problem, want, why)
		}
		return
	}
	t.Errorf("peer %s is not told of", name)
}

func (w *world) expectHistory(t *testing.T, want ...string) {
	t.Helper()
	if got := w.engine.told(); !slices.Equal(got, want) {
		t.Errorf("the engine was told %q, want %q", got, want)
	}
}

func TestEstablishes(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		report := w.apply(peer("tor", tor, first, second))
		for a, s := range report.States {
			if s.Phase != announcers.Effective {
				t.Errorf("%s is %v: %v", a, s.Phase, s.Problem)
			}
		}
		w.expectPhase(t, "tor", announcers.Established, "")
		if got := w.Peers()[0]; got.Announced != 2 || got.Desired != 2 || got.HoldTime != 90*time.Second || got.Established != 1 {
			t.Errorf("state = %+v", got)
		}
		if s := w.engine.session("tor"); s.settings.RouterID != netip.MustParseAddr("198.18.0.11") {
			t.Errorf("router ID = %v", s.settings.RouterID)
		}
	})
}

func TestOtherPeersAndServicesDisturbNoSession(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply(peer("tor", tor, first))
		other := tor
		other.Address = netip.MustParseAddr("198.18.0.253")
		w.apply(peer("tor", tor, first, second), peer("two", other, first))
		w.apply(peer("tor", tor, second))
		w.expectHistory(t, "tor connect", "two connect", "two deconfigured")
		if got := w.engine.prefixes("tor"); len(got) != 1 || got[0].Addr() != second {
			t.Errorf("routes = %v", got)
		}
	})
}

func TestChangedSettingsBeginAnew(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply(peer("tor", tor, first))
		changed := tor
		changed.Password = "secret"
		w.apply(peer("tor", changed, first))
		w.expectHistory(t, "tor connect", "tor reset", "tor connect")
		w.expectPhase(t, "tor", announcers.Established, "")
		if got := w.engine.session("tor").settings.Password; got != "secret" {
			t.Error("the new password is not used")
		}
	})
}

func TestSessionThatIsLostReturns(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply(peer("tor", tor, first))
		w.engine.session("tor").drop(reason.New(reason.HoldTimerExpired, ""))
		synctest.Wait()
		w.expectHistory(t, "tor connect", "tor reset", "tor connect")
		w.expectPhase(t, "tor", announcers.Established, "")
		if s := w.Peers()[0]; s.Dropped != 1 || s.LastError == "" {
			t.Errorf("state = %+v", s)
		}
	})
}

func TestFlappingIsBounded(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply(peer("tor", tor, first))
		begun := time.Now()
		for range 20 {
			w.engine.session("tor").drop(reason.New(reason.PeerClosedSession, "Cease/Connection Rejected"))
			synctest.Wait()
			for w.Peers()[0].Phase != announcers.Established {
				if time.Since(begun) > 8*time.Second {
					w.expectPhase(t, "tor", announcers.Idle, reason.SessionFlapping)
				}
				pass(500 * time.Millisecond)
			}
		}
		if lasted := time.Since(begun); lasted < 14*time.Minute || lasted > 16*time.Minute {
			t.Errorf("20 drops took %v, want 0, 1, 2, 4 ... 60 s each", lasted)
		}
		pass(stable)
		w.engine.session("tor").drop(nil)
		synctest.Wait()
		w.expectPhase(t, "tor", announcers.Established, "")
	})
}

func TestDialingGoesOn(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.engine.silent["tor"] = true
		w.apply(peer("tor", tor, first))
		w.expectPhase(t, "tor", announcers.Active, reason.SessionConnecting)
		w.engine.session("tor").events <- Event{Phase: announcers.Active, Problem: reason.New(reason.ConnectionRefused, "")}
		synctest.Wait()
		w.expectPhase(t, "tor", announcers.Active, reason.ConnectionRefused)
		pass(time.Hour)
		w.expectHistory(t, "tor connect")
		report := w.apply(peer("tor", tor, first))
		if s := report.States[first]; s.Phase != announcers.Waiting || s.Problem.Reason != reason.ConnectionRefused {
			t.Errorf("state = %+v", s)
		}
	})
}

func TestWrongASN(t *testing.T) {
	for name, test := range map[string]struct {
		remote uint32
		accept announcers.ASNKind
		asn    uint32
		fits   bool
	}{
		"the one":              {64999, 0, 64999, true},
		"another one":          {64999, 0, 64998, false},
		"external, external":   {0, announcers.ExternalASN, 64998, true},
		"external, our own":    {0, announcers.ExternalASN, 65000, false},
		"internal, our own":    {0, announcers.InternalASN, 65000, true},
		"internal, another":    {0, announcers.InternalASN, 64998, false},
		"whatever, any at all": {0, announcers.AnyASN, 4200000000, true},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				s := tor
				s.RemoteASN, s.Accept, w.engine.asn = test.remote, test.accept, test.asn
				w.apply(peer("tor", s, first))
				if test.fits {
					w.expectPhase(t, "tor", announcers.Established, "")
					return
				}
				w.expectPhase(t, "tor", announcers.Idle, reason.PeerASNMismatch)
				pass(refusedPause - time.Second)
				w.expectHistory(t, "tor connect", "tor reset")
				for range 360 {
					pass(10 * time.Second)
					w.expectPhase(t, "tor", announcers.Idle, reason.PeerASNMismatch)
				}
			})
		})
	}
}

func TestEngineThatCrashes(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		other := tor
		other.Address = netip.MustParseAddr("198.18.0.253")
		w.apply(peer("tor", tor, first), peer("two", other, first))
		w.engine.session("tor").crash()
		synctest.Wait()
		w.expectPhase(t, "tor", announcers.Established, "")
		w.engine.session("tor").crash()
		synctest.Wait()
		w.expectPhase(t, "tor", announcers.Idle, reason.EngineCrashed)
		w.apply(peer("tor", tor, first, second), peer("two", other, first)) // news do not shorten the pause
		w.expectPhase(t, "tor", announcers.Idle, reason.EngineCrashed)
		pass(firstPause)
		w.expectPhase(t, "tor", announcers.Established, "")
		w.expectPhase(t, "two", announcers.Established, "")
		if got := w.engine.prefixes("tor"); len(got) != 2 {
			t.Errorf("routes = %v", got)
		}
		if w.engine.openings("two") != 1 {
			t.Error("the other session was disturbed")
		}
	})
}

func TestEngineThatRefuses(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.engine.refuses = errors.New("fork: out of memory")
		w.apply(peer("tor", tor, first))
		w.expectPhase(t, "tor", announcers.Idle, reason.EngineCrashed)
		w.engine.mu.Lock()
		w.engine.refuses = nil
		w.engine.mu.Unlock()
		pass(longestPause)
		w.expectPhase(t, "tor", announcers.Established, "")
	})
}

func TestNoWayToThePeer(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.network.problem = reason.New(reason.NoSourceAddress, "")
		w.apply(peer("tor", tor, first))
		w.expectPhase(t, "tor", announcers.Idle, reason.NoSourceAddress)
		w.network.put(func(*Path) {}, nil)
		synctest.Wait()
		w.expectPhase(t, "tor", announcers.Established, "")
	})
}

func TestNextHopOfTheOtherFamily(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		global := w.network.path.Global6
		w.network.put(func(p *Path) { p.Global6 = netip.Addr{} }, nil)
		report := w.apply(peer("tor", tor, first, second))
		w.expectPhase(t, "tor", announcers.Established, reason.NoNextHop)
		if s := report.States[second]; s.Phase != announcers.Waiting || s.Problem.Reason != reason.NoNextHop {
			t.Errorf("state = %+v", s)
		}
		if s := report.States[first]; s.Phase != announcers.Effective {
			t.Errorf("state = %+v", s)
		}
		w.network.put(func(p *Path) { p.Global6 = global }, nil)
		pass(lookInterval)
		w.expectPhase(t, "tor", announcers.Established, "")
		session := w.engine.session("tor")
		if got := session.table()[netip.PrefixFrom(second, 128)].NextHop; got != global {
			t.Errorf("next hop of IPv6 on IPv4 = %v", got)
		}
		if got := session.table()[netip.PrefixFrom(first, 32)].NextHop; got.IsValid() {
			t.Errorf("next hop of IPv4 on IPv4 = %v", got)
		}
		w.expectHistory(t, "tor connect")
	})
}

func TestUnnumbered(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		s := announcers.PeerSettings{LocalASN: 65000, RemoteASN: 64999, Interface: "tor0", Port: 179, BFD: announcers.BFD{Enabled: true}}
		remote, local := netip.MustParseAddr("fe80::1%tor0"), netip.MustParseAddr("fe80::2")
		w.network.put(func(p *Path) { *p = Path{Remote: remote, Interface: "tor0", Local: local, OnLink: true} }, nil)
		w.apply(peer("tor", s, first, second))
		session := w.engine.session("tor")
		if session.settings.Remote != remote || session.settings.LinkLocal != local || !session.settings.IPv4 || !session.settings.IPv6 {
			t.Errorf("settings = %+v", session.settings)
		}
		if got := w.detector.sessions(); len(got) != 1 || got[0].Remote != remote || got[0].Local != local || got[0].Interface != "tor0" || got[0].MultiHop {
			t.Errorf("BFD sessions = %+v", got)
		}
		if got := w.network.wanted; !slices.Equal(got, []string{"tor0"}) {
			t.Errorf("interfaces = %v", got)
		}
		moved := netip.MustParseAddr("fe80::3%tor0")
		w.network.put(func(p *Path) { p.Remote = moved }, nil)
		synctest.Wait()
		if got := w.engine.session("tor").settings.Remote; got != moved {
			t.Errorf("remote = %v after the peer has moved", got)
		}
		w.expectPhase(t, "tor", announcers.Established, "")
		w.network.put(func(*Path) {}, reason.New(reason.NoRouterAdvertisement, "several routers"))
		synctest.Wait()
		if w.engine.session("tor") == nil {
			t.Error("a session that works was ended")
		}
		w.network.put(func(*Path) {}, reason.New(reason.NoCarrier, ""))
		synctest.Wait()
		w.expectPhase(t, "tor", announcers.Idle, reason.NoCarrier)
		if s := w.Peers()[0]; s.Established != 2 || s.Dropped != 2 {
			t.Errorf("established %d times, dropped %d times, want 2 and 2", s.Established, s.Dropped)
		}
	})
}

func TestContract(t *testing.T) {
	announcertest.Run(t, slices.Concat(announcertest.Contract(), announcertest.Wire()), subject)
}

// withPeer makes a peer of every address that a conformance test wants.
type withPeer struct{ *Announcer }

func (w withPeer) Apply(ctx context.Context, d announcers.Desired) announcers.Report {
	var all []netip.Addr
	for _, a := range d.Addresses {
		all = append(all, a.Addr)
	}
	d.Peers = []announcers.Peer{peer("tor", tor, all...)}
	return w.Announcer.Apply(ctx, d)
}

func subject(tb testing.TB) announcertest.Subject {
	w := newWorld(tb)
	down := false
	return announcertest.Subject{
		Announcer: withPeer{w.Announcer}, Addresses: []netip.Addr{first, second}, Frames: w.engine.count, Settle: func() {},
		Announced: func() []netip.Addr {
			var out []netip.Addr
			for _, p := range w.engine.prefixes("tor") {
				out = append(out, p.Addr())
			}
			return out
		},
		Disturb: func() {
			if down = !down; down {
				w.engine.session("tor").drop(nil)
			}
		},
	}
}

func TestWatchesThePath(t *testing.T) {
	with := tor
	with.BFD = announcers.BFD{Enabled: true, Transmit: 50 * time.Millisecond, Receive: 60 * time.Millisecond, Multiplier: 3}
	in(t, func(t *testing.T, w *world) {
		w.apply(peer("tor", with, first))
		want := bfd.Session{
			Name: "tor", Path: bfd.Path{Remote: tor.Address, Local: w.network.path.Local},
			Config: bfd.Config{Transmit: 50 * time.Millisecond, Receive: 60 * time.Millisecond, Multiplier: 3},
		}
		if got := w.detector.sessions(); len(got) != 1 || got[0] != want {
			t.Errorf("BFD sessions = %+v, want %+v", got, want)
		}
		w.apply()
		if got := w.detector.sessions(); len(got) != 0 {
			t.Errorf("BFD sessions = %+v, want none", got)
		}
	})
}

func TestMissingNextHopHidesNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.engine.silent["tor"] = true
		w.network.put(func(p *Path) { p.Global6 = netip.Addr{} }, nil)
		w.apply(peer("tor", tor, first, second))
		w.engine.session("tor").events <- Event{Phase: announcers.Active, Problem: reason.New(reason.ConnectionRefused, "")}
		synctest.Wait()
		w.expectPhase(t, "tor", announcers.Active, reason.ConnectionRefused)
	})
}

func TestPeerThatKeepsMoving(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		s := announcers.PeerSettings{LocalASN: 65000, RemoteASN: 64999, Interface: "tor0", Port: 179}
		remotes := []netip.Addr{netip.MustParseAddr("fe80::1%tor0"), netip.MustParseAddr("fe80::2%tor0")}
		local := netip.MustParseAddr("fe80::9")
		w.network.put(func(p *Path) { *p = Path{Remote: remotes[0], Interface: "tor0", Local: local, OnLink: true} }, nil)
		w.apply(peer("tor", s, first))
		for i := range 100 {
			w.network.put(func(p *Path) { p.Remote = remotes[(i+1)%2] }, nil)
			pass(100 * time.Millisecond)
		}
		if n := w.engine.openings("tor"); n < 5 || n > 15 {
			t.Errorf("%d sessions in 10 s, want one a second", n)
		}
	})
}
