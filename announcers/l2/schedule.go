// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"cmp"
	"hash/fnv"
	"net/netip"
	"slices"
	"time"

	"metalsuite.io/announcers/l2/link"
)

// A new claim is sent at once and repeated for five seconds, at 0, 1.1, 2.2, 3.3 and 4.4 s: a frame may be lost, and Linux ignores a
// second change of a neighbour within one second (locktime).
const (
	burstInterval = 1100 * time.Millisecond
	burstRounds   = 5
)

// claim says that an address is at a hardware address on an interface.
type claim struct {
	addr  netip.Addr
	index int
	mac   link.MAC
}

func (c claim) compare(o claim) int {
	return cmp.Or(cmp.Compare(c.index, o.index), c.addr.Compare(o.addr))
}

// schedule says when which claims are sent unasked. It reads no clock and is not safe for concurrent use.
type schedule struct {
	// refresh is how often a claim is repeated after its burst; zero for never.
	refresh time.Duration
	bursts  map[claim]burst
	// first is never after the time at which something is due.
	first time.Time
}

// burst is when a claim is sent next, and how often still before only refreshes follow.
type burst struct {
	next time.Time
	left int
}

func newSchedule(refresh time.Duration) schedule {
	return schedule{refresh: refresh, bursts: map[claim]burst{}}
}

// set is the only way into the schedule.
func (s *schedule) set(c claim, b burst) {
	s.bursts[c] = b
	if s.first.IsZero() || b.next.Before(s.first) {
		s.first = b.next
	}
}

// arm starts a burst for a claim, now.
func (s *schedule) arm(c claim, now time.Time) { s.set(c, burst{next: now, left: burstRounds}) }

// once sends a claim at a time; a burst under way goes on with the rounds that it has left.
func (s *schedule) once(c claim, at time.Time) {
	s.set(c, burst{next: at, left: max(s.bursts[c].left, 1)})
}

// confirm sends a claim at a time, unless a burst is under way that will do so anyway.
func (s *schedule) confirm(c claim, at time.Time) {
	if s.bursts[c].left == 0 {
		s.once(c, at)
	}
}

// cancel ends everything for a claim.
func (s *schedule) cancel(c claim) { delete(s.bursts, c) }

// postpone gives a claim that was due and could not be sent its round back, at a later time.
func (s *schedule) postpone(c claim, at time.Time) {
	s.set(c, burst{next: at, left: s.bursts[c].left + 1})
}

// due returns the claims to send now, by interface and address, and moves each to its next round.
func (s *schedule) due(now time.Time) []claim {
	if s.first.IsZero() || s.first.After(now) {
		return nil
	}
	var claims []claim
	s.first = time.Time{}
	for c, b := range s.bursts {
		if b.next.After(now) {
			s.set(c, b)
			continue
		}
		claims = append(claims, c)
		b.left = max(b.left-1, 0)
		switch {
		case b.left > 0:
			if b.next = b.next.Add(burstInterval); b.next.Before(now) {
				b.next = now.Add(burstInterval)
			}
		case s.refresh > 0:
			b.next = now.Add(spread(s.refresh, c.addr))
		default:
			delete(s.bursts, c)
			continue
		}
		s.set(c, b)
	}
	slices.SortFunc(claims, claim.compare)
	return claims
}

// spread shortens an interval by up to a fifth, for each address by another part, so that addresses which were claimed together are not
// refreshed together.
func spread(interval time.Duration, a netip.Addr) time.Duration {
	h := fnv.New32a()
	bytes := a.As16()
	_, _ = h.Write(bytes[:])
	return interval - interval/5*time.Duration(h.Sum32()%1000)/1000
}

// next returns when to look for what is due, at the latest; false when nothing will be.
func (s *schedule) next() (time.Time, bool) { return s.first, len(s.bursts) > 0 }

// bursting is how many claims have rounds left.
func (s *schedule) bursting() int {
	n := 0
	for _, b := range s.bursts {
		if b.left > 0 {
			n++
		}
	}
	return n
}
