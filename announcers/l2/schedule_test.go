// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sent plays a schedule for ten seconds, looking at it every step, and returns when the claim was due.
func sent(s schedule, c claim, start time.Time, step time.Duration) []time.Duration {
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

func TestSchedule(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ours, other := claim{addr: first, index: 2, mac: nodeMAC}, claim{addr: second, index: 2, mac: nodeMAC}
	for _, row := range []struct {
		name    string
		prepare func(schedule)
		step    time.Duration
		want    []time.Duration
	}{
		{"a burst", func(s schedule) { s.arm(ours, start) }, 100 * time.Millisecond, ms(0, 1100, 2200, 3300, 4400)},
		{"a burst beside another", func(s schedule) { s.arm(other, start); s.arm(ours, start) }, 100 * time.Millisecond, ms(0, 1100, 2200, 3300, 4400)},
		{"a burst that is served late never catches up in a rush", func(s schedule) { s.arm(ours, start) }, 3 * time.Second, ms(0, 3000, 6000, 9000)},
		{"once", func(s schedule) { s.once(ours, start) }, 100 * time.Millisecond, ms(0)},
		{"once in a burst", func(s schedule) {
			s.arm(ours, start.Add(-1200*time.Millisecond))
			s.due(start.Add(-1200 * time.Millisecond))
			s.once(ours, start)
		}, 100 * time.Millisecond, ms(0, 1100, 2200, 3300)},
		{"a burst that was cancelled", func(s schedule) { s.arm(ours, start); s.cancel(ours) }, 100 * time.Millisecond, nil},
		{"a burst that starts anew", func(s schedule) {
			s.arm(ours, start.Add(-2*time.Second))
			s.arm(ours, start)
		}, 100 * time.Millisecond, ms(0, 1100, 2200, 3300, 4400)},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := schedule{}
			row.prepare(s)
			if diff := cmp.Diff(row.want, sent(s, ours, start, row.step)); diff != "" {
				t.Errorf("sent at (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScheduleKnowsWhatIsNext(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := schedule{}
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
	s := schedule{}
	s.arm(claim{addr: first}, start)
	sent(s, claim{}, start, time.Second)
	if len(s) != 0 {
		t.Errorf("%d claims are left", len(s))
	}
}
