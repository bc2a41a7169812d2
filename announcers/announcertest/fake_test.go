// SPDX-License-Identifier: Apache-2.0

package announcertest_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/api/reason"
)

var addresses = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.3")}

func subject(testing.TB) announcertest.Subject {
	f := announcertest.NewFake("fake", announcers.Exclusive)
	disturbed := false
	return announcertest.Subject{
		Announcer: f,
		Addresses: addresses,
		Announced: f.Announced,
		Frames:    func() int { return changes(f.Applied()) },
		Settle:    func() {},
		Disturb: func() {
			if disturbed = !disturbed; disturbed {
				f.SetState(addresses[0], announcers.State{Problem: reason.New(reason.NoCarrier, "")})
				return
			}
			f.ClearState(addresses[0])
		},
	}
}

// changes counts how often what was applied differed from what was applied before.
func changes(applied []announcers.Desired) int {
	n := 0
	for i, d := range applied {
		if i == 0 || !slices.EqualFunc(d.Addresses, applied[i-1].Addresses, func(a, b announcers.Address) bool { return a.Addr == b.Addr }) {
			n++
		}
	}
	return n
}

func TestFakeKeepsTheContract(t *testing.T) {
	announcertest.Run(t, announcertest.Contract(), subject)
	announcertest.Run(t, announcertest.Wire(), subject)
}

func TestFakeFailsToRunWhenTold(t *testing.T) {
	f := announcertest.NewFake("fake", announcers.Shared)
	want := errors.New("no permission")
	f.FailRun(want)
	if err := f.Run(t.Context()); !errors.Is(err, want) {
		t.Errorf("Run() = %v, want %v", err, want)
	}
}

func TestFakeReportsFitness(t *testing.T) {
	f := announcertest.NewFake("fake", announcers.Shared)
	f.SetFit(reason.New(reason.NoCarrier, "interface lan0 has no carrier"))
	if p := f.Fit(); p == nil || p.Reason != reason.NoCarrier {
		t.Errorf("Fit() = %v, want %s", p, reason.NoCarrier)
	}
	select {
	case <-f.Changed():
	default:
		t.Error("no notification after the fitness changed")
	}
}

func TestFakeCountsRepeats(t *testing.T) {
	f := announcertest.NewFake("fake", announcers.Shared)
	f.Reannounce()
	f.Reannounce()
	if n := f.Reannounced(); n != 2 {
		t.Errorf("Reannounced() = %d, want 2", n)
	}
}

func TestFakeReportsSessions(t *testing.T) {
	f := announcertest.NewFake("fake", announcers.Shared)
	routes := []announcers.Route{{Prefix: netip.MustParsePrefix("192.0.2.1/32")}}
	f.Apply(t.Context(), announcers.Desired{Peers: []announcers.Peer{{Name: "a", Routes: routes}, {Name: "b"}}, Drain: true})
	f.SetPeer("b", announcers.PeerState{Phase: announcers.Active})
	got := f.Peers()
	if len(got) != 2 || got[0].Phase != announcers.Established || got[0].Announced != 1 || got[1].Name != "b" || got[1].Phase != announcers.Active {
		t.Errorf("Peers() = %+v", got)
	}
	if last := f.Last(); !last.Drain || len(last.Peers) != 2 {
		t.Errorf("Last() = %+v", last)
	}
}

func TestFakeLeaves(t *testing.T) {
	f := announcertest.NewFake("fake", announcers.Shared)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	<-f.Changed()
	f.Apply(ctx, announcers.Desired{Addresses: []announcers.Address{{Addr: addresses[0]}}})
	if got := f.Announced(); len(got) != 1 {
		t.Fatalf("Announced() = %v", got)
	}
	f.Leave(ctx)
	if got := f.Announced(); len(got) != 0 || f.Left() != 1 {
		t.Errorf("after Leave: Announced() = %v, Left() = %d", got, f.Left())
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
