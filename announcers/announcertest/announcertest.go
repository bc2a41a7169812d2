// SPDX-License-Identifier: Apache-2.0

// Package announcertest proves that a module keeps the contract of package announcers, and offers a recording fake of one.
//
// A module's tests call Run with the specs that apply and a function that makes a fresh Subject. Contract needs the module alone; Wire
// also needs a view of the network that the module speaks to. The specs run one after the other: they count goroutines.
package announcertest

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"metalsuite.io/announcers"
)

// patience bounds everything that a module has to do: start, announce, withdraw, drain. A module needs far less; a loaded machine, or a router
// at the other end that takes its time, may not.
const patience = 30 * time.Second

// Subject is a module in a world of its own.
type Subject struct {
	Announcer announcers.Announcer
	// Addresses are at least two that the module is able to announce in its world.
	Addresses []netip.Addr
	// Announced asks the network which of the Addresses lead to the module now.
	Announced func() []netip.Addr
	// Frames counts what the module has sent of its own accord so far. Answers to Announced do not count.
	Frames func() int
	// Settle returns when the repeats that the module had scheduled are over.
	Settle func()
	// Disturb changes the world so that the module would report otherwise, and changes it back when called again.
	Disturb func()
}

// Spec is one rule of the contract.
type Spec struct {
	Name  string
	Check func(tb testing.TB, s Subject)
}

// Run checks each spec as a subtest on a fresh subject. With Ginkgo, make an It of each Spec and pass GinkgoTB().
func Run(t *testing.T, specs []Spec, fresh func(tb testing.TB) Subject) {
	t.Helper()
	for _, s := range specs {
		t.Run(s.Name, func(t *testing.T) { s.Check(t, fresh(t)) })
	}
}

// desired returns the wish for addresses on any interface.
func desired(addresses ...netip.Addr) announcers.Desired {
	var d announcers.Desired
	for _, a := range addresses {
		d.Addresses = append(d.Addresses, announcers.Address{Addr: a, Services: []string{"tenant/web"}})
	}
	return d
}

// start runs a module and returns what stops it: it fails when Run does not drain within the bound, and returns the error of Run.
func start(tb testing.TB, a announcers.Announcer) (stop func() error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			return fmt.Errorf("the module did not stop within %s", patience)
		}
	})
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Errorf("stopping the module: %v", err)
		}
	})
	return stop
}

// covers fails unless the report has one consistent state for each address and none for others.
func covers(g gomega.Gomega, r announcers.Report, addresses []netip.Addr) {
	g.Expect(r.States).To(gomega.HaveLen(len(addresses)), "a state for each desired address and no others")
	for _, a := range addresses {
		g.Expect(r.States).To(gomega.HaveKey(a))
		s := r.States[a]
		effective := s.Phase == announcers.Effective
		g.Expect(s.Problem == nil).To(gomega.Equal(effective), "%s is %s: a problem unless it is effective", a, s.Phase)
	}
}

// effective waits until the module reports the addresses as effective and the network knows exactly them.
func effective(g gomega.Gomega, s Subject, addresses ...netip.Addr) {
	g.Eventually(func(g gomega.Gomega) {
		report := s.Announcer.Apply(context.Background(), desired(addresses...))
		g.Expect(report.Problem).To(gomega.BeNil())
		for a, state := range report.States {
			g.Expect(state.Phase).To(gomega.Equal(announcers.Effective), "%s: %v", a, state.Problem)
		}
	}).WithTimeout(patience).Should(gomega.Succeed())
	onWire(g, s, addresses...)
}

func onWire(g gomega.Gomega, s Subject, addresses ...netip.Addr) {
	if len(addresses) == 0 {
		g.Eventually(s.Announced).WithTimeout(patience).Should(gomega.BeEmpty())
		return
	}
	g.Eventually(s.Announced).WithTimeout(patience).Should(gomega.ConsistOf(addresses))
}

// noMoreThan waits until no more goroutines run than before.
func noMoreThan(g gomega.Gomega, before int) {
	stacks := func() string {
		b := make([]byte, 1<<20)
		return string(b[:runtime.Stack(b, true)])
	}
	g.Eventually(runtime.NumGoroutine).WithTimeout(patience).Should(gomega.BeNumerically("<=", before), stacks)
}
