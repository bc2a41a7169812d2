// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"cmp"
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

// schedule says when which claims are sent unasked. It reads no clock and is not safe for concurrent use.
type schedule map[claim]burst

type burst struct {
	next time.Time
	left int
}

// arm starts a burst for a claim, now.
func (s schedule) arm(c claim, now time.Time) { s[c] = burst{next: now, left: burstRounds} }

// once sends a claim now; a burst under way goes on with the rounds that it has left.
func (s schedule) once(c claim, now time.Time) {
	left := max(s[c].left, 1)
	s[c] = burst{next: now, left: left}
}

// cancel ends the burst of a claim.
func (s schedule) cancel(c claim) { delete(s, c) }

// due returns the claims to send now, by interface and address, and moves each to its next round.
func (s schedule) due(now time.Time) []claim {
	var claims []claim
	for c, b := range s {
		if b.next.After(now) {
			continue
		}
		claims = append(claims, c)
		if b.left--; b.left == 0 {
			delete(s, c)
			continue
		}
		if b.next = b.next.Add(burstInterval); b.next.Before(now) {
			b.next = now.Add(burstInterval)
		}
		s[c] = b
	}
	slices.SortFunc(claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.index, b.index), a.addr.Compare(b.addr))
	})
	return claims
}

// next returns when something is due; false when nothing is.
func (s schedule) next() (time.Time, bool) {
	var first time.Time
	for _, b := range s {
		if first.IsZero() || b.next.Before(first) {
			first = b.next
		}
	}
	return first, !first.IsZero()
}
