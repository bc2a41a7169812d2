// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sent plays a schedule for ten seconds, looking at it every step, and returns when the claim was due.
func sent(s *schedule, c claim, start time.Time, step time.Duration) []time.Duration {
	var at []time.Duration
	for d := time.Duration(0); d <= 10*time.Second; d += step {
		for _, due := range s.due(start.Add(d)) {
			if due == c {
				at = append(at, d)
			}
		}
	}
	return at
}

func ms(values ...int) []time.Duration {
	var out []time.Duration
	for _, v := range values {
		out = append(out, time.Duration(v)*time.Millisecond)
	}
	return out
}

// refreshes adds to the rounds of a burst what follows within ten seconds, on a grid of 100 ms.
func refreshes(c claim, rounds []time.Duration, interval time.Duration) []time.Duration {
	step, apart := 100*time.Millisecond, spread(interval, c.addr)
	for at := rounds[len(rounds)-1] + apart; at <= 10*time.Second; at += apart {
		if late := at % step; late != 0 {
			at += step - late
		}
		rounds = append(rounds, at)
	}
	return rounds
}

func TestSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for a := range 100 {
		d := spread(time.Minute, netip.AddrFrom4([4]byte{192, 0, 2, byte(a)}))
		if d > time.Minute || d < 48*time.Second {
			t.Errorf("address %d is refreshed after %s, want 48 s to a minute", a, d)
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Errorf("100 addresses are refreshed at %d different times", len(seen))
	}
}

func TestSchedule(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ours, other := claim{addr: first, index: 2, mac: nodeMAC}, claim{addr: second, index: 2, mac: nodeMAC}
	for _, row := range []struct {
		name    string
		refresh time.Duration
		prepare func(*schedule)
		step    time.Duration
		want    []time.Duration
	}{
		{"a burst", 0, func(s *schedule) { s.arm(ours, start) }, 100 * time.Millisecond, ms(0, 1100, 2200, 3300, 4400)},
		{"a burst beside another", 0, func(s *schedule) { s.arm(other, start); s.arm(ours, start) }, 100 * time.Millisecond, ms(0, 1100, 2200, 3300, 4400)},
		{"a burst that is served late never catches up in a rush", 0, func(s *schedule) { s.arm(ours, start) }, 3 * time.Second, ms(0, 3000, 6000, 9000)},
		{"once", 0, func(s *schedule) { s.once(ours, start) }, 100 * time.Millisecond, ms(0)},
		{"once in a burst", 0, func(s *schedule) {
			s.arm(ours, start.Add(-1200*time.Millisecond))
			s.due(start.Add(-1200 * time.Millisecond))
			s.once(ours, start)
		}, 100 * time.Millisecond, ms(0, 1100, 2200, 3300)},
		{"a burst that was cancelled", 0, func(s *schedule) { s.arm(ours, start); s.cancel(ours) }, 100 * time.Millisecond, nil},
		{"a burst that starts anew", 0, func(s *schedule) {
			s.arm(ours, start.Add(-2*time.Second))
			s.arm(ours, start)
		}, 100 * time.Millisecond, ms(0, 1100, 2200, 3300, 4400)},
		{"a confirmation after the burst", 0, func(s *schedule) { s.confirm(ours, start.Add(time.Second)) }, 100 * time.Millisecond, ms(1000)},
		{"a confirmation in a burst", 0, func(s *schedule) {
			s.arm(ours, start)
			s.confirm(ours, start.Add(5*time.Second))
		}, 100 * time.Millisecond, ms(0, 1100, 2200, 3300, 4400)},
		{"a round that the interface did not take", 0, func(s *schedule) {
			s.arm(ours, start)
			s.due(start)
			s.postpone(ours, start.Add(100*time.Millisecond))
		}, 100 * time.Millisecond, ms(100, 1200, 2300, 3400, 4500)},
		{"a refresh after the burst", 2 * time.Second, func(s *schedule) { s.arm(ours, start) }, 100 * time.Millisecond, refreshes(ours, ms(0, 1100, 2200, 3300, 4400), 2*time.Second)},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSchedule(row.refresh)
			row.prepare(&s)
			if diff := cmp.Diff(row.want, sent(&s, ours, start, row.step)); diff != "" {
				t.Errorf("sent at (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScheduleKnowsWhatIsNext(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := newSchedule(0)
	if _, ok := s.next(); ok {
		t.Error("something is due in an empty schedule")
	}
	s.arm(claim{addr: first}, start.Add(time.Second))
	s.arm(claim{addr: second}, start)
	if at, ok := s.next(); !ok || !at.Equal(start) {
		t.Errorf("next() = %s, %t, want %s", at, ok, start)
	}
}

func TestScheduleIsEmptyAfterTheBursts(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := newSchedule(0)
	s.arm(claim{addr: first}, start)
	sent(&s, claim{}, start, time.Second)
	if len(s.bursts) != 0 {
		t.Errorf("%d claims are left", len(s.bursts))
	}
}
