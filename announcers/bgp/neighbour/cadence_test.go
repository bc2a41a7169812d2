// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestCadence(t *testing.T) {
	c := cadence{}
	if c.next.After(epoch) {
		t.Error("does not begin at once")
	}
	now := epoch
	for i, row := range []struct {
		random float64
		want   time.Duration
	}{{0.9, time.Second}, {0.9, time.Second}, {0, 3 * time.Second}, {0.5, 3500 * time.Millisecond}, {0.99, 3990 * time.Millisecond}} {
		c.tick(now, row.random)
		if got := c.next.Sub(now); got != row.want {
			t.Errorf("after %d comes the next in %v, want %v", i+1, got, row.want)
		}
		now = c.next
	}
}

func TestCadenceHurries(t *testing.T) {
	at := func(d time.Duration) time.Time { return epoch.Add(d) }
	for _, row := range []struct {
		name      string
		asked     time.Duration
		next      time.Duration
		want      time.Duration
		neverSent bool
	}{
		{"long after the last one", 2 * time.Second, 3 * time.Second, 2 * time.Second, false},
		{"right after the last one", 100 * time.Millisecond, 3 * time.Second, 500 * time.Millisecond, false},
		{"when the next one comes first", 100 * time.Millisecond, 300 * time.Millisecond, 300 * time.Millisecond, false},
		{"when it is due", 4 * time.Second, 3 * time.Second, 3 * time.Second, false},
		{"before the first one", time.Second, 3 * time.Second, time.Second, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := cadence{last: epoch, next: at(row.next)}
			if row.neverSent {
				c.last = time.Time{}
			}
			for range 3 {
				c.hurry(at(row.asked))
			}
			if !c.next.Equal(at(row.want)) {
				t.Errorf("comes at %v, want %v", c.next.Sub(epoch), row.want)
			}
		})
	}
}
