// SPDX-License-Identifier: Apache-2.0

package bgp_test

import (
	"context"
	"net/netip"
	"testing"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/announcers/bgp"
	"metalsuite.io/api/reason"
)

var address = netip.MustParseAddr("192.0.2.1")

func TestContract(t *testing.T) {
	announcertest.Run(t, announcertest.Contract(), func(testing.TB) announcertest.Subject {
		return announcertest.Subject{Announcer: bgp.New(), Addresses: []netip.Addr{address, netip.MustParseAddr("2001:db8::1")}}
	})
}

func TestRefusesWithReason(t *testing.T) {
	report := bgp.New().Apply(context.Background(), announcers.Desired{Addresses: []announcers.Address{{Addr: address}}})
	state := report.States[address]
	if state.Phase != announcers.Refused || state.Problem == nil || state.Problem.Reason != reason.AnnouncerNotAvailable {
		t.Errorf("state = %+v, want refused with %s", state, reason.AnnouncerNotAvailable)
	}
	if report.Problem == nil || report.Problem.Reason != reason.AnnouncerNotAvailable {
		t.Errorf("problem = %v, want %s", report.Problem, reason.AnnouncerNotAvailable)
	}
}
