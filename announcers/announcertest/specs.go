// SPDX-License-Identifier: Apache-2.0

package announcertest

import (
	"context"
	"regexp"
	"runtime"
	"testing"

	"github.com/onsi/gomega"
)

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Contract are the rules for every module, whether or not it can announce anything.
func Contract() []Spec {
	return []Spec{
		{"has a stable name and ownership", stableName},
		{"reports on every desired address before it runs", reportsBefore},
		{"reports on every desired address while it runs", reportsDuring},
		{"notifies through one channel of capacity one", oneChannel},
		{"drains when its context ends and leaves no goroutine", drains},
		{"runs again after it ended", runsAgain},
	}
}

// Wire are the rules for modules that reach a network.
func Wire() []Spec {
	return []Spec{
		{"announces what was applied before it ran", announcesEarlier},
		{"sends nothing when the same is applied twice", idempotent},
		{"withdraws everything when nothing is applied", withdrawsAll},
		{"withdraws what is absent and leaves the rest alone", withdrawsAbsent},
		{"announces nothing after it ended", silentAfterwards},
		{"announces again when it runs again", announcesAgain},
		{"notifies of a change and never waits for a reader", notifies},
	}
}

func stableName(tb testing.TB, s Subject) {
	g := gomega.NewWithT(tb)
	name, ownership := s.Announcer.Name(), s.Announcer.Ownership()
	g.Expect(name).To(gomega.MatchRegexp(dnsLabel.String()))
	start(tb, s.Announcer)
	g.Expect(s.Announcer.Name()).To(gomega.Equal(name))
	g.Expect(s.Announcer.Ownership()).To(gomega.Equal(ownership))
}

func reportsBefore(tb testing.TB, s Subject) {
	g := gomega.NewWithT(tb)
	covers(g, s.Announcer.Apply(context.Background(), desired(s.Addresses...)), s.Addresses)
	covers(g, s.Announcer.Apply(context.Background(), desired()), nil)
}

func reportsDuring(tb testing.TB, s Subject) {
	g := gomega.NewWithT(tb)
	stop := start(tb, s.Announcer)
	covers(g, s.Announcer.Apply(context.Background(), desired(s.Addresses...)), s.Addresses)
	covers(g, s.Announcer.Apply(context.Background(), desired(s.Addresses[0])), s.Addresses[:1])
	g.Expect(stop()).To(gomega.Succeed())
	covers(g, s.Announcer.Apply(context.Background(), desired(s.Addresses...)), s.Addresses)
}

func oneChannel(tb testing.TB, s Subject) {
	g := gomega.NewWithT(tb)
	before := s.Announcer.Changed()
	stop := start(tb, s.Announcer)
	g.Expect(s.Announcer.Changed()).To(gomega.Equal(before))
	g.Expect(cap(before)).To(gomega.Equal(1))
	g.Expect(stop()).To(gomega.Succeed())
	select {
	case <-before:
	default:
	}
	g.Expect(before).NotTo(gomega.BeClosed())
}

func drains(tb testing.TB, s Subject) {
	g := gomega.NewWithT(tb)
	before := runtime.NumGoroutine()
	stop := start(tb, s.Announcer)
	s.Announcer.Apply(context.Background(), desired(s.Addresses...))
	g.Expect(stop()).To(gomega.Succeed())
	noMoreThan(g, before)
}

func runsAgain(tb testing.TB, s Subject) {
	g := gomega.NewWithT(tb)
	for range 2 {
		g.Expect(start(tb, s.Announcer)()).To(gomega.Succeed())
	}
}

func announcesEarlier(tb testing.TB, s Subject) {
	g := gomega.NewWithT(tb)
	s.Announcer.Apply(context.Background(), desired(s.Addresses...))
	g.Expect(s.Announced()).To(gomega.BeEmpty())
	start(tb, s.Announcer)
	onWire(g, s, s.Addresses...)
}

func idempotent(tb testing.TB, s Subject) {
	g := gomega.NewWithT(tb)
	start(tb, s.Announcer)
	effective(g, s, s.Addresses...)
	s.Settle()
	sent := s.Frames()
	g.Expect(sent).To(gomega.BeNumerically(">", 0), "the first time something is sent")
	for range 3 {
		s.Announcer.Apply(context.Background(), desired(s.Addresses...))
	}
	s.Settle()
	g.Expect(s.Frames()).To(gomega.Equal(sent))
	onWire(g, s, s.Addresses...)
}

func withdrawsAll(tb testing.TB, s Subject) {
	g := gomega.NewWithT(tb)
	start(tb, s.Announcer)
	effective(g, s, s.Addresses...)
	covers(g, s.Announcer.Apply(context.Background(), desired()), nil)
	onWire(g, s)
}

func withdrawsAbsent(tb testing.TB, s Subject) {
	g := gomega.NewWithT(tb)
	start(tb, s.Announcer)
	effective(g, s, s.Addresses...)
	s.Settle()
	s.Announcer.Apply(context.Background(), desired(s.Addresses[1:]...))
	onWire(g, s, s.Addresses[1:]...)
	effective(g, s, s.Addresses...)
}

func silentAfterwards(tb testing.TB, s Subject) {
	g := gomega.NewWithT(tb)
	stop := start(tb, s.Announcer)
	effective(g, s, s.Addresses...)
	g.Expect(stop()).To(gomega.Succeed())
	onWire(g, s)
	report := s.Announcer.Apply(context.Background(), desired(s.Addresses...))
	covers(g, report, s.Addresses)
	g.Expect(report.Problem).NotTo(gomega.BeNil(), "a module that does not run says so")
	g.Expect(s.Announced()).To(gomega.BeEmpty())
}

func announcesAgain(tb testing.TB, s Subject) {
	g := gomega.NewWithT(tb)
	stop := start(tb, s.Announcer)
	effective(g, s, s.Addresses...)
	g.Expect(stop()).To(gomega.Succeed())
	onWire(g, s)
	start(tb, s.Announcer)
	onWire(g, s, s.Addresses...)
}

func notifies(tb testing.TB, s Subject) {
	g := gomega.NewWithT(tb)
	start(tb, s.Announcer)
	effective(g, s, s.Addresses...)
	select {
	case <-s.Announcer.Changed():
	default:
	}
	s.Disturb()
	g.Eventually(s.Announcer.Changed()).WithTimeout(patience).Should(gomega.Receive())
	for range 3 {
		s.Disturb()
	}
	effective(g, s, s.Addresses...)
}
