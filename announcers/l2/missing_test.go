// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/api/reason"
)

// newEngineOn returns an engine that a test drives step by step, without goroutines of its own but those that read the sockets.
func newEngineOn(t *testing.T, segment *simulated) (*Announcer, *engine, context.Context) {
	t.Helper()
	a, err := New(Options{Links: segment, Clock: newFakeClock(), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	a.Apply(ctx, announcers.Desired{Addresses: []announcers.Address{{Addr: first}, {Addr: six}}})
	e := newEngine(a)
	t.Cleanup(func() {
		cancel()
		e.closeAll()
		e.readers.Wait()
	})
	return a, e, ctx
}

// answers are the reasons that the two addresses and the fitness of the node give at one moment.
type answers struct{ four, six, fit reason.Reason }

func answersOf(a *Announcer) answers {
	because := func(p *reason.Problem) reason.Reason {
		if p == nil {
			return ""
		}
		return p.Reason
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return answers{because(a.decided.states[first].Problem), because(a.decided.states[six].Problem), because(a.fit())}
}

// An interface goes, and one socket hears of it before the other one and before the list of interfaces does.
func TestWhatOneSocketSaysOfTheInterfaceHoldsForBothFamilies(t *testing.T) {
	gone, down := answers{reason.NoUsableInterface, reason.NoUsableInterface, reason.NoUsableInterface}, answers{reason.NoCarrier, reason.NoCarrier, reason.NoCarrier}
	for _, row := range []struct {
		name     string
		protocol link.Protocol
		err      error
		want     answers
	}{
		{"the socket of ARP finds no interface", link.ARP, syscall.ENODEV, gone},
		{"the socket of NDP finds no interface", link.NDP, syscall.ENODEV, gone},
		{"the socket of ARP reads from no interface", link.ARP, syscall.ENXIO, gone},
		{"the socket of NDP reads from no interface", link.NDP, syscall.ENXIO, gone},
		{"the socket of ARP finds the interface switched off", link.ARP, syscall.ENETDOWN, down},
		{"the socket of NDP finds the interface switched off", link.NDP, syscall.ENETDOWN, down},
		{"the socket of NDP has a fault of its own", link.NDP, errors.New("no memory"), answers{"", reason.NoUsableInterface, ""}},
	} {
		t.Run(row.name, func(t *testing.T) {
			segment := newSimulated()
			a, e, ctx := newEngineOn(t, segment)
			segment.refusals = map[link.Protocol]error{row.protocol: row.err}
			e.seen = segment.list()
			if err := e.settle(ctx); err != nil {
				t.Fatal(err)
			}
			if got := answersOf(a); got != row.want {
				t.Errorf("IPv4, IPv6 and fitness = %+v, want %+v", got, row.want)
			}
		})
	}
}

func TestAMissingInterfaceStaysMissingUntilTheListKnowsBetter(t *testing.T) {
	segment := newSimulated()
	a, e, ctx := newEngineOn(t, segment)
	missing, fine := answers{reason.NoUsableInterface, reason.NoUsableInterface, reason.NoUsableInterface}, answers{}
	see := func(step string, want answers, change func()) {
		t.Helper()
		change()
		e.seen = segment.list()
		e.relist(e.seen)
		if err := e.settle(ctx); err != nil {
			t.Fatal(err)
		}
		if got := answersOf(a); got != want {
			t.Errorf("%s: IPv4, IPv6 and fitness = %+v, want %+v", step, got, want)
		}
	}
	see("at first", fine, func() {})
	see("the socket is ahead of the list", missing, func() {
		e.close(socketKey{segment.link.Index, link.NDP})
		segment.refusals = map[link.Protocol]error{link.NDP: syscall.ENODEV}
	})
	see("an old list shows the interface switched off", missing, func() { segment.link.Up, segment.link.Carrier = false, false })
	see("the list leaves it out", missing, func() { segment.present, segment.refusals = false, nil })
	see("another one comes", fine, func() {
		segment.present, segment.link.Up, segment.link.Carrier = true, true, true
		segment.link.Index++
	})
}

func TestAMissingInterfaceIsTriedAgainWithoutANewList(t *testing.T) {
	segment := newSimulated()
	a, e, ctx := newEngineOn(t, segment)
	segment.refusals = map[link.Protocol]error{link.ARP: syscall.ENODEV}
	e.seen = segment.list()
	if err := e.settle(ctx); err != nil {
		t.Fatal(err)
	}
	segment.refusals = nil
	a.clock.(*fakeClock).step(reopenAfter)
	if !e.retryDue() {
		t.Fatal("no retry is due")
	}
	if err := e.settle(ctx); err != nil {
		t.Fatal(err)
	}
	if got := answersOf(a); got != (answers{}) {
		t.Errorf("IPv4, IPv6 and fitness = %+v, want none", got)
	}
}
