// SPDX-License-Identifier: Apache-2.0

package neighbour

import "time"

const (
	// initial advertisements (RFC 4861 6.2.4) follow each other fast, because a session waits for them.
	initial         = 3
	initialInterval = time.Second
	// Later ones come after minInterval at least and minInterval+spread at most: the lowest that RFC 4861 6.2.1 allows, so that a router
	// that has forgotten us learns of us soon. Each has 24 bytes.
	minInterval = 3 * time.Second
	spread      = time.Second
	// minGap is the least time between two advertisements, however often we are asked. RFC 4861 6.2.6 wants 3 s, for links with many
	// stations; on the link of an unnumbered session there is one, and the session waits for the answer.
	minGap = 500 * time.Millisecond
)

// cadence says when to advertise next. Its zero value says: at once.
type cadence struct {
	sent       int
	last, next time.Time
}

// tick notes that an advertisement was sent; random is at least 0 and less than 1.
func (c *cadence) tick(now time.Time, random float64) {
	c.sent++
	c.last = now
	wait := minInterval + time.Duration(random*float64(spread))
	if c.sent < initial {
		wait = initialInterval
	}
	c.next = now.Add(wait)
}

// hurry moves the next advertisement to the earliest moment that is allowed.
func (c *cadence) hurry(now time.Time) {
	at := c.last.Add(minGap)
	if at.Before(now) {
		at = now
	}
	if at.Before(c.next) {
		c.next = at
	}
}
