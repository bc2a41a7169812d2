// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"net/netip"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
	"metalsuite.io/api/reason"
)

func TestDisconnectSaysWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cease bgp.Cease
		told  string
	}{
		"shutdown":      {cease: bgp.AdministrativeShutdown, told: `Cease/Administrative Shutdown ("` + textShutdown + `")`},
		"reset":         {cease: bgp.AdministrativeReset, told: `Cease/Administrative Reset ("` + textReset + `")`},
		"de-configured": {cease: bgp.PeerDeconfigured, told: "Cease/Peer De-configured"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRemote(t, remoteOptions{asn: 64999, ourASN: 64512})
			s := startEngine(t, 2).open(t, r.settings(64512))
			s.announce(route("198.51.100.1/32"))
			s.connect()
			s.phase(announcers.Established)
			s.Eventually(func() int { return len(r.routes(familyIPv4)) }, patience).Should(Equal(1))
			s.disconnect(c.cease)
			s.Expect(r.why()).To(Equal(reason.New(reason.PeerClosedSession, "the peer sent %s", c.told)))
			s.Expect(s.phase(announcers.Idle)).To(Equal(bgp.Event{Phase: announcers.Idle}))
			s.Expect(r.routes(familyIPv4)).To(BeEmpty())
			messages := s.stats().Messages
			s.Expect(messages.NotificationsSent).To(BeEquivalentTo(1))
			s.Expect(messages.OpensSent).To(BeEquivalentTo(1))
			s.Expect(s.stats().Announced).To(BeZero())
		})
	}
}

func TestTheTableOutlivesTheConnection(t *testing.T) {
	t.Parallel()
	r := newRemote(t, remoteOptions{asn: 64999, ourASN: 64512})
	s := startEngine(t, 2).open(t, r.settings(64512))
	s.announce(route("198.51.100.1/32"))
	for range 2 {
		s.establish()
		s.Eventually(func() int { return len(r.routes(familyIPv4)) }, patience).Should(Equal(1))
		s.disconnect(bgp.PeerDeconfigured)
		s.phase(announcers.Idle)
	}
	messages := s.stats().Messages
	s.Expect(messages.OpensReceived).To(BeEquivalentTo(2))
	s.Expect(messages.UpdatesSent).To(BeEquivalentTo(2))
	s.Expect(messages.NotificationsSent).To(BeEquivalentTo(2))
}

// A session that the peer has ended begins afresh with a new peer of GoBGP, which connects after one to two seconds; one that has dropped a
// session would wait for more than 6 s.
func TestConnectAfterADrop(t *testing.T) {
	t.Parallel()
	p, s := established(t)
	p.send(messageNotification, []byte{6, 2})
	e := s.problem()
	s.Expect(e).To(Equal(bgp.Event{
		Phase: announcers.Idle, Problem: reason.New(reason.PeerClosedSession, "the peer sent Cease/Administrative Shutdown"),
	}))
	s.disconnect(bgp.AdministrativeReset)
	s.establishWith(p)
	peer, err := s.Session.(*session).server.peer(t.Context())
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(peer.GetState().GetFlops()).To(BeZero(), "sessions that this peer has dropped")
	messages := s.stats().Messages
	s.Expect(messages.NotificationsReceived).To(BeEquivalentTo(1))
	s.Expect(messages.NotificationsSent).To(BeZero())
	s.Expect(messages.OpensSent).To(BeEquivalentTo(2))
}

func TestNothingGoesOnAfterADrop(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, "127.0.0.1")
	s := startEngine(t, 2).open(t, p.settings())
	s.connect()
	p.accept().Close()
	s.Expect(s.problem().Problem.Reason).To(Equal(reason.PeerClosedSession))
	s.Consistently(s.Events(), 7*time.Second).ShouldNot(Receive())
}

func TestDisconnectInEveryPhase(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, "127.0.0.1")
	s := startEngine(t, 2).open(t, p.settings())
	for _, phase := range []announcers.SessionPhase{announcers.Idle, announcers.Active, announcers.OpenSent, announcers.OpenConfirm} {
		s.connect()
		switch phase {
		case announcers.OpenSent:
			p.accept()
		case announcers.OpenConfirm:
			p.accept()
			p.send(messageOpen, p.openBody())
		default:
		}
		if phase != announcers.Idle { // the relay may be connected before GoBGP has said that it is in Active
			s.until(phase.String(), func(e bgp.Event) bool { return e.Phase >= phase })
		}
		s.disconnect(bgp.AdministrativeShutdown)
		if phase != announcers.Idle {
			s.Expect(s.phase(announcers.Idle).Problem).To(BeNil())
		}
	}
	s.disconnect(bgp.AdministrativeShutdown) // without harm
	s.establishWith(p)
}

func TestWhyThereIsNoSession(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		// what the peer does with our connection
		peer func(*puppet)
		want *reason.Problem
	}{
		"it closes at once": {
			peer: func(p *puppet) { p.accept().Close() },
			want: reason.New(reason.PeerClosedSession, "the peer closed the connection without an OPEN message; it may not know this node as a neighbour"),
		},
		"it wants another ASN": {
			peer: func(p *puppet) { p.accept(); p.send(messageNotification, []byte{2, 2, 0, 0}) },
			want: reason.New(reason.PeerASNMismatch, "the peer sent OPEN Message Error/Bad Peer AS"),
		},
		"it has another ASN": {
			peer: func(p *puppet) {
				p.accept()
				body := p.openBody()
				body[1], body[2] = 0xfd, 0xe8
				p.send(messageOpen, body)
			},
			want: reason.New(reason.PeerASNMismatch,
				`this node answered the peer's message with OPEN Message Error/Bad Peer AS ("as number mismatch expected 64999, received 65000")`),
		},
		"it speaks nonsense": {
			peer: func(p *puppet) { p.accept(); _, _ = p.conn.Write(make([]byte, 19)) },
			want: reason.New(reason.InvalidPeerMessage, "this node answered the peer's message with Message Header Error/Connection Not Synchronized (%q)", "the marker of the message is not all ones"),
		},
		"it closes after the OPEN messages": {
			peer: func(p *puppet) {
				p.accept()
				p.send(messageOpen, p.openBody())
				p.read(messageKeepalive)
				p.conn.Close()
			},
			want: reason.New(reason.PeerClosedSession, "the peer closed the connection after the OPEN messages"),
		},
		"the session breaks": {
			peer: func(p *puppet) { p.establish(p.accept()); p.conn.Close() },
			want: reason.New(reason.SessionEnded, "the connection to the peer was closed or broke"),
		},
		"it says nothing any more": {
			peer: func(p *puppet) { p.hold = 3; p.establish(p.accept()) },
			want: reason.New(reason.HoldTimerExpired, "no message from the peer within the hold time; this node sent Hold Timer Expired"),
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPuppet(t, "127.0.0.1")
			s := startEngine(t, 2).open(t, p.settings())
			s.connect()
			row.peer(p)
			e := s.problem()
			s.Expect(e.Phase).To(Equal(announcers.Idle))
			s.Expect(e.Problem).To(Equal(row.want))
		})
	}
}

func TestWhyThereIsNoConnection(t *testing.T) {
	t.Parallel()
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		p := newPuppet(t, "127.0.0.1")
		p.listener.Close()
		s := startEngine(t, 2).open(t, p.settings())
		s.connect()
		e := s.problem()
		s.Expect([]any{e.Phase, e.Problem.Reason}).To(Equal([]any{announcers.Active, reason.ConnectionRefused}))
		s.Expect(s.problem().Problem.Reason).To(Equal(reason.ConnectionRefused), "it keeps trying")
	})
	t.Run("wrong source", func(t *testing.T) {
		t.Parallel()
		p := newPuppet(t, "127.0.0.1")
		settings := p.settings()
		settings.Source = netip.MustParseAddr("192.0.2.77")
		s := startEngine(t, 2).open(t, settings)
		s.connect()
		s.Expect(s.problem().Problem).To(Equal(reason.New(reason.NoSourceAddress, "192.0.2.77 is not an address of this node")))
	})
	t.Run("no such device", func(t *testing.T) {
		t.Parallel()
		p := newPuppet(t, "127.0.0.1")
		settings := p.settings()
		settings.VRF = "no-such-vrf"
		s := startEngine(t, 2).open(t, settings)
		s.connect()
		s.Expect(s.problem().Problem.Reason).To(Equal(reason.VRFMissing))
	})
	t.Run("wrong password", func(t *testing.T) {
		t.Parallel()
		r := newRemote(t, remoteOptions{asn: 64999, ourASN: 64512, password: "right"})
		settings := r.settings(64512)
		settings.Password = "wrong"
		e := startEngine(t, 2)
		s := e.open(t, settings)
		s.connect()
		s.Expect(s.problem().Problem.Reason).To(Equal(reason.PasswordMismatchSuspected))
		settings.Password = "right"
		s.Close()
		s = e.open(t, settings)
		s.connect()
		s.phase(announcers.Established)
	})
}

func TestGracefulRestart(t *testing.T) {
	t.Parallel()
	r := newRemote(t, remoteOptions{asn: 64999, ourASN: 64512, restart: true})
	settings := r.settings(64512)
	settings.GracefulRestart = true
	e := startEngine(t, 2)
	s := e.open(t, settings)
	s.announce(route("198.51.100.1/32"), route("198.51.100.2/32"))
	s.connect()
	s.Expect(s.phase(announcers.Established).Opened.GracefulRestart).To(BeTrue())
	s.Eventually(func() int { return len(r.routes(familyIPv4)) }, patience).Should(Equal(2))

	e.quit() // without a word
	s.Expect(s.ended()).To(HaveOccurred())
	stale := seen{next: "127.0.0.1", path: []uint32{64512}, med: -1, pref: -1, stale: true}
	s.Eventually(func() map[string]seen { return r.routes(familyIPv4) }, patience).Should(Equal(map[string]seen{
		"198.51.100.1/32": stale, "198.51.100.2/32": stale,
	}))

	settings.Restarting = true
	s = startEngine(t, 2).open(t, settings)
	s.announce(route("198.51.100.2/32"))
	s.establish()
	fresh := stale
	fresh.stale = false
	s.Eventually(func() map[string]seen { return r.routes(familyIPv4) }, patience).Should(Equal(map[string]seen{"198.51.100.2/32": fresh}))

	s.disconnect(bgp.AdministrativeShutdown)
	s.Eventually(func() map[string]seen { return r.routes(familyIPv4) }, patience).Should(BeEmpty())
}

func TestPeerThatSendsNoOpen(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, "127.0.0.1")
	e := startEngineWith(t, Options{MaxChildren: 2, openWait: time.Second})
	s := e.open(t, p.settings())
	s.connect()
	p.acceptOnly()
	event := s.problem()
	s.Expect(event.Phase).To(Equal(announcers.Idle))
	s.Expect(event.Problem).To(Equal(reason.New(reason.HoldTimerExpired, "the peer accepted the connection and sent no OPEN message in 1s")))
	s.disconnect(bgp.AdministrativeReset)
	s.Session.(*session).run.options.openWait = patience // a busy machine may take longer than a second
	s.establishWith(p)
}

// A process that hangs is not given more and more sessions.
func TestProcessThatHangs(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, "127.0.0.1")
	e := startEngine(t, 1)
	s := e.open(t, p.settings())
	r, _ := e.state()
	s.Expect(r.children[0].command.Process.Signal(syscall.SIGSTOP)).To(Succeed())
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := e.Open(ctx, p.settings())
	s.Expect(err).To(HaveOccurred())
	s.Expect(s.ended()).To(HaveOccurred())
	s.Close()
	e.open(t, p.settings()).connect()
	p.accept()
}
