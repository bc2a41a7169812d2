// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"metalsuite.io/announcers"
)

func TestRoutesAreReadAtABoundedRateAndTheSessionStaysUp(t *testing.T) {
	g := NewWithT(t)
	began := time.Unix(1000, 0)
	now := began
	c := newTraffic(now)
	standIns := 0
	var read int
	for now.Sub(began) < 5*time.Minute {
		wait := c.read(now, longestMessage)
		read += longestMessage
		if c.drop(now, longestMessage) {
			standIns++
		}
		now = now.Add(wait + 10*time.Microsecond)
	}
	took := now.Sub(began).Seconds()
	g.Expect(read).To(BeNumerically("<=", readBurst+took*readPerSecond+2*longestMessage))
	g.Expect(read).To(BeNumerically(">=", 0.9*(readBurst+took*readPerSecond)))
	g.Expect(standIns).To(BeNumerically("~", took, 5), "one KEEPALIVE a second")
	g.Expect(c.lost.bytes).To(BeEquivalentTo(read))

	g.Expect(c.reportDue(now, false)).To(BeTrue())
	c.drop(now, 23)
	g.Expect(c.reportDue(now, false)).To(BeFalse())
	g.Expect(c.reportDue(now, true)).To(BeTrue())
	g.Expect(c.reportDue(now, true)).To(BeFalse(), "nothing is new")
}

func TestFloodOfSmallMessagesIsReadAtABoundedRate(t *testing.T) {
	g := NewWithT(t)
	began := time.Unix(1000, 0)
	now := began
	c := newTraffic(now)
	read, passed := 0, 0
	for now.Sub(began) < 5*time.Minute {
		wait := c.read(now, headerLength)
		read++
		if c.keepalive(now) {
			passed++
		}
		now = now.Add(wait + 10*time.Microsecond)
	}
	took := now.Sub(began).Seconds()
	g.Expect(read).To(BeNumerically("<", (readBurst+took*readPerSecond)/(headerLength+readPerMessage)+2))
	g.Expect(passed).To(BeNumerically("~", keepaliveBurst+took*keepalivePerSecond, 2))
	g.Expect(c.lost.keepalives).To(BeEquivalentTo(read - passed))
}

func TestKeepalivesOfTheShortestHoldTimeAreAllPassedOn(t *testing.T) {
	g := NewWithT(t)
	now := time.Unix(1000, 0)
	c := newTraffic(now)
	for range 1000 {
		g.Expect(c.keepalive(now)).To(BeTrue())
		g.Expect(c.keepalive(now.Add(10*time.Millisecond))).To(BeTrue(), "two that a slow network delivers together")
		now = now.Add(750 * time.Millisecond) // RFC 4271 10: jitter takes up to a quarter
	}
}

func TestRefreshesOfAFamilyAreJoinedWhileOneWaits(t *testing.T) {
	g := NewWithT(t)
	now := time.Unix(1000, 0)
	c := newTraffic(now)
	refresh := func(f wireFamily) []any {
		wait, pass := c.refresh(now, f)
		return []any{wait, pass}
	}
	g.Expect(refresh(wireIPv4)).To(Equal([]any{time.Duration(0), true}))
	now = now.Add(refreshInterval / 4)
	g.Expect(refresh(wireIPv4)).To(Equal([]any{3 * refreshInterval / 4, true}), "it waits")
	g.Expect(refresh(wireIPv4)).To(Equal([]any{time.Duration(0), false}), "it has the same answer")
	g.Expect(refresh(wireIPv6)).To(Equal([]any{time.Duration(0), true}), "another family")
	now = now.Add(3 * refreshInterval / 4)
	g.Expect(refresh(wireIPv4)).To(Equal([]any{refreshInterval, true}), "the one that waited was passed on just now")
	now = now.Add(9 * refreshInterval)
	g.Expect(refresh(wireIPv4)).To(Equal([]any{time.Duration(0), true}))
	g.Expect(c.lost.refreshes).To(BeEquivalentTo(1))
}

func TestWhatTheRelayKeptToItselfIsCounted(t *testing.T) {
	g := NewWithT(t)
	d := dropped{messages: 100, bytes: 9000, keepalives: 20, refreshes: 7, standIns: 130, withheld: 5}
	g.Expect(droppedOf(line{Fields: d.fields()})).To(Equal(d))
	g.Expect(withDropped(announcers.MessageCounts{
		UpdatesReceived: 1, KeepalivesReceived: 133, RefreshesReceived: 2, TotalReceived: 137, KeepalivesSent: 6, TotalSent: 9,
	}, d)).To(Equal(announcers.MessageCounts{
		UpdatesReceived: 101, KeepalivesReceived: 23, RefreshesReceived: 9, TotalReceived: 134, KeepalivesSent: 1, TotalSent: 4,
	}))
}

// GoBGP's hold timer runs on while ROUTE-REFRESH messages come, so these must not hold up a KEEPALIVE.
func TestRouterThatAsksForEverythingAgainAndAgainKeepsItsSession(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, "127.0.0.1")
	s := startEngine(t, 8).open(t, p.settings())
	s.announce(route("198.51.100.1/32"))
	s.connect()
	p.accept()
	p.send(messageOpen, openOf(bothFamilies...))
	p.send(messageKeepalive, nil)
	s.phase(announcers.Established)
	began := time.Now()
	const rounds, refreshes = 6, 4
	for range rounds { // one a second: GoBGP sends a KEEPALIVE in each third of the hold time
		p.read(messageKeepalive)
		for range refreshes {
			p.send(messageRouteRefresh, []byte{0, 1, 0, 1})
		}
		p.send(messageRouteRefresh, []byte{0, 25, 0, 65}) // a family that nobody has offered
		p.send(messageKeepalive, nil)
	}
	s.Expect(s.Events()).NotTo(Receive())
	s.Eventually(func() uint64 { return s.stats().Messages.RefreshesReceived }, patience).
		Should(BeEquivalentTo(rounds*(refreshes+1)), "all are counted")
	peer, err := s.Session.(*session).server.peer(t.Context())
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(countsOf(peer).RefreshesReceived).To(BeNumerically("<=", 2+uint64(time.Since(began)/refreshInterval)), "by GoBGP")
}

// A flood of what costs a router nothing is neither passed on nor held against its session.
func TestFloodOfSmallMessagesDoesNotReachGoBGP(t *testing.T) {
	t.Parallel()
	p, s := established(t)
	before := s.stats()
	const n = 2000
	for range n {
		p.send(messageKeepalive, nil)
		p.send(messageUpdate, newEndOfRIB(wireIPv4).body())
	}
	received := func() []uint64 {
		now := s.stats()
		return []uint64{
			now.Messages.KeepalivesReceived - before.Messages.KeepalivesReceived, now.Messages.UpdatesReceived - before.Messages.UpdatesReceived,
			now.DroppedMessages,
		}
	}
	s.Eventually(received, patience).Should(Equal([]uint64{n, n, n - 1}), "one End-of-RIB is passed on")
	peer, err := s.Session.(*session).server.peer(t.Context())
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(countsOf(peer).TotalReceived).To(BeNumerically("<", n/10), "by GoBGP")
	s.Expect(s.Events()).NotTo(Receive())
}
