// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
	"metalsuite.io/api/reason"
)

// Messages that ended the process that read them, with GoBGP v3.37.0, when it got them as they came.
func TestMessagesThatGoBGPDoesNotSurviveEndTheirSessionOnly(t *testing.T) {
	e := startEngine(t, 8)
	r := newRemote(t, remoteOptions{asn: 64999, ourASN: 64512})
	bystander := e.open(t, r.settings(64512))
	bystander.announce(route("198.51.100.1/32"))
	bystander.connect()
	bystander.phase(announcers.Established)

	afterOpen := func(say func(*puppet)) func(*puppet) {
		return func(p *puppet) {
			p.establish(p.accept())
			say(p)
		}
	}
	rows := map[string]struct {
		say func(*puppet)
		// want is the NOTIFICATION that the peer gets; empty when the session goes on.
		want []byte
	}{
		"a message of unknown type before the OPEN": {
			say:  func(p *puppet) { p.accept(); p.send(99, nil) },
			want: []byte{1, 3, 99},
		},
		"an UPDATE before the OPEN": {
			say:  func(p *puppet) { p.accept(); p.send(messageUpdate, make([]byte, 4)) },
			want: []byte{5, 1, messageUpdate},
		},
		"an UPDATE before the KEEPALIVE": {
			say: func(p *puppet) {
				p.accept()
				p.send(messageOpen, p.openBody())
				p.send(messageUpdate, make([]byte, 4))
			},
			want: []byte{5, 2, messageUpdate},
		},
		"a second OPEN": {
			say:  afterOpen(func(p *puppet) { p.send(messageOpen, p.openBody()) }),
			want: []byte{5, 3, messageOpen},
		},
		"MP_REACH of length 3": {
			say: afterOpen(func(p *puppet) { p.update(0x80, 14, 3, 0, 1, 1) }),
		},
		"a short MP_UNREACH of AFI 1 SAFI 128": {
			say: afterOpen(func(p *puppet) { p.update(0x80, 15, 4, 0, 1, 128, 1) }),
		},
		"a short MP_UNREACH of AFI 2 SAFI 128": {
			say: afterOpen(func(p *puppet) { p.update(0x80, 15, 4, 0, 2, 128, 1) }),
		},
		"MP_REACH of a family that was not agreed on": {
			say: afterOpen(func(p *puppet) { p.update(append([]byte{0x80, 14, 40, 0, 25, 65}, make([]byte, 37)...)...) }),
		},
	}
	t.Run("rows", func(t *testing.T) {
		for name, row := range rows {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := newPuppet(t, "127.0.0.1")
				s := e.open(t, p.settings())
				s.connect()
				row.say(p)
				if row.want == nil {
					s.Eventually(func() uint64 { return s.stats().Messages.UpdatesReceived }, patience).Should(BeEquivalentTo(1))
					return
				}
				s.Expect(p.read(messageNotification)).To(Equal(row.want))
				s.Expect(s.problem().Problem.Reason).To(Equal(reason.InvalidPeerMessage))
				s.disconnect(bgp.AdministrativeReset)
				s.establishWith(p)
			})
		}
	})
	bystander.Expect(bystander.stats().Messages.OpensSent).To(BeEquivalentTo(1))
	bystander.Expect(r.routes(familyIPv4)).To(HaveLen(1))
	bystander.Consistently(bystander.Events()).ShouldNot(Receive())
}

// A process that ends takes its own session with it, and everything that is asked of that says why.
func TestProcessThatEnds(t *testing.T) {
	t.Parallel()
	_, s := established(t)
	crash(s)
	s.Expect(s.ended()).To(MatchError(HavePrefix("the BGP process ended (exit status 2)")))
	_, err := s.Stats(t.Context())
	s.Expect(err).To(MatchError(s.Err()))
	s.Expect(s.Update(t.Context(), nil, nil)).To(MatchError(s.Err()))
	s.Expect(s.Connect(t.Context())).To(MatchError(s.Err()))
	s.Close()
	s.Close()
}

// crash ends the process of a session as a panic does.
func crash(s *testSession) {
	s.t.Helper()
	s.Expect(s.Session.(*session).child.command.Process.Signal(syscall.SIGQUIT)).To(Succeed())
}

// Sessions that share a process go down together, and others do not.
func TestSessionsBeyondTheLimitShareProcesses(t *testing.T) {
	e := startEngine(t, 2)
	sessions := make([]*testSession, 4)
	puppets := make([]*puppet, len(sessions))
	for i := range sessions {
		puppets[i] = newPuppet(t, "127.0.0.1")
		sessions[i] = e.open(t, puppets[i].settings())
		sessions[i].connect()
	}
	for i, s := range sessions {
		puppets[i].establish(puppets[i].accept())
		s.phase(announcers.Established)
	}
	g := NewWithT(t)
	g.Expect(childOf(sessions[2])).To(Equal(childOf(sessions[0])))
	g.Expect(childOf(sessions[3])).To(Equal(childOf(sessions[1])))
	g.Expect(childOf(sessions[0])).NotTo(Equal(childOf(sessions[1])))

	sessions[2].Close()
	g.Expect(sessions[0].stats().Messages.OpensSent).To(BeEquivalentTo(1))
	again := e.open(t, puppets[2].settings())
	g.Expect(childOf(again)).To(Equal(childOf(sessions[0])))
	g.Expect(again.Session.(*session).server).To(Equal(sessions[2].Session.(*session).server), "a server is used again")

	crash(sessions[0])
	g.Expect(sessions[0].ended()).To(HaveOccurred())
	g.Expect(again.ended()).To(MatchError(sessions[0].Err()))
	g.Expect(sessions[1].stats().Messages.OpensSent).To(BeEquivalentTo(1))
	fresh := e.open(t, puppets[0].settings())
	g.Expect(childOf(fresh)).NotTo(Equal(childOf(sessions[1])), "the dead process does not count")
}

func childOf(s *testSession) int { return s.Session.(*session).child.number }
