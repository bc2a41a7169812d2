// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"testing"

	. "github.com/onsi/gomega"

	"metalsuite.io/announcers"
)

// Messages that end the process that reads them, with GoBGP v3.37.0. When a row fails because the session goes on, GoBGP has become better.
func TestMessagesThatEndTheProcess(t *testing.T) {
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
		say  func(*puppet)
		want string
	}{
		"a message of unknown type before the OPEN": {
			say:  func(p *puppet) { p.accept(); p.send(99, nil) },
			want: "server/fsm.go",
		},
		"a second OPEN": {
			say:  afterOpen(func(p *puppet) { p.send(messageOpen, p.openBody()) }),
			want: "server/peer.go",
		},
		"MP_REACH of length 3": {
			say:  afterOpen(func(p *puppet) { p.update(0x80, 14, 3, 0, 1, 1) }),
			want: "bgp/bgp.go",
		},
		"a short MP_UNREACH of AFI 1 SAFI 128": {
			say:  afterOpen(func(p *puppet) { p.update(0x80, 15, 4, 0, 1, 128, 1) }),
			want: "bgp/bgp.go",
		},
		"a short MP_UNREACH of AFI 2 SAFI 128": {
			say:  afterOpen(func(p *puppet) { p.update(0x80, 15, 4, 0, 2, 128, 1) }),
			want: "bgp/bgp.go",
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
				s.Expect(s.ended()).To(MatchError(And(
					HavePrefix("the BGP process ended (exit status 2): panic: "), ContainSubstring(" at "+row.want))))
				_, err := s.Stats(t.Context())
				s.Expect(err).To(MatchError(s.Err()))
				s.Expect(s.Update(t.Context(), nil, nil)).To(MatchError(s.Err()))
				s.Expect(s.Connect(t.Context())).To(MatchError(s.Err()))
				s.Close()
				s.Close()
			})
		}
	})
	bystander.Expect(bystander.stats().Messages.OpensSent).To(BeEquivalentTo(1))
	bystander.Expect(r.routes(familyIPv4)).To(HaveLen(1))
	bystander.Consistently(bystander.Events()).ShouldNot(Receive())
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

	puppets[0].send(99, nil)
	g.Expect(sessions[0].ended()).To(HaveOccurred())
	g.Expect(again.ended()).To(MatchError(sessions[0].Err()))
	g.Expect(sessions[1].stats().Messages.OpensSent).To(BeEquivalentTo(1))
	fresh := e.open(t, puppets[0].settings())
	g.Expect(childOf(fresh)).NotTo(Equal(childOf(sessions[1])), "the dead process does not count")
}

func childOf(s *testSession) int { return s.Session.(*session).child.number }
