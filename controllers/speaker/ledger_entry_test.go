// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"testing"
	"time"

	"metalsuite.io/api/reason"
)

// TestAConflictThatWithdrawsNothingIsConfirmedFirst: each step says what is reported after a while, nothing when hardware is empty, and what
// the object says then.
func TestAConflictThatWithdrawsNothingIsConfirmedFirst(t *testing.T) {
	const ms = time.Millisecond
	type step struct {
		after     time.Duration
		hardware  string
		withdrawn bool
		writes    int
		told      bool
		says      string
	}
	shown := func(hardware, withdrawn string) string { return "AddressConflict " + hardware + " eth0 " + withdrawn }
	tests := []struct {
		name  string
		steps []step
	}{
		{"shown after a second", []step{{0, theirs, false, 0, false, ""}, {999 * ms, theirs, false, 0, false, ""}, {ms, theirs, false, 1, true, shown(theirs, "false")}}},
		{"an ally after all", []step{{0, theirs, false, 0, false, ""}, {300 * ms, "", false, 0, false, ""}, {time.Minute, "", false, 0, false, ""}}},
		{"another one then", []step{
			{0, theirs, false, 0, false, ""}, {300 * ms, "", false, 0, false, ""}, {300 * ms, another, false, 0, false, ""},
			{900 * ms, another, false, 0, false, ""}, {100 * ms, another, false, 1, true, shown(another, "false")},
		}},
		{"two in turn", []step{{0, theirs, false, 0, false, ""}, {600 * ms, another, false, 0, false, ""}, {400 * ms, theirs, false, 1, true, shown(theirs, "false")}}},
		{"withdrawn from the start", []step{{0, theirs, true, 1, true, shown(theirs, "true")}}},
		{"withdrawn meanwhile", []step{{0, theirs, false, 0, false, ""}, {300 * ms, theirs, true, 1, true, shown(theirs, "true")}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBook(t)
			for _, s := range tt.steps {
				b.now = b.now.Add(s.after)
				o := Outcome{}
				if s.hardware != "" {
					o = b.heard(s.hardware, s.withdrawn, 0)
				}
				again := b.see(0, o)
				b.shows(s.writes, s.told, s.says)
				if hidden := s.hardware != "" && s.says == ""; hidden && (again <= 0 || again > confirmConflict) || !hidden && s.says == "" && again != 0 {
					t.Errorf("again after %v", again)
				}
				if told := b.strangers(b.now, []netip.Addr{disputed}); len(told) != min(s.writes, 1) {
					t.Errorf("Services are told %v", told)
				}
			}
		})
	}
}

func TestAConflictIsConfirmedWithoutAnotherSighting(t *testing.T) {
	b := newBook(t)
	again := b.see(0, b.heard(theirs, false, 0))
	b.shows(0, false, "")
	if again != confirmConflict {
		t.Errorf("again after %v", again)
	}
	b.pass(again)
	b.shows(1, true, "AddressConflict "+theirs+" eth0 false")
}

func TestWhatIsNotConfirmedYetLeavesNothingOfAUse(t *testing.T) {
	b := newBook(t)
	b.see(0, used(reason.LocalAddress))
	b.shows(1, true, "LocalAddress true")
	b.see(time.Second, b.heard(theirs, false, 0))
	b.shows(1, false, "")
	b.pass(confirmConflict)
	b.shows(2, true, "AddressConflict "+theirs+" eth0 false")
}
