// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"container/heap"
	"net/netip"

	"go4.org/netipx"
)

// span finds the first free address of one range without walking it.
//
// Invariant: every free address below next is in returned, which may also hold addresses that are free no more; those are dropped when
// they come to the top. So a search costs a logarithm of what was given back, and next passes every address in use once. When returned
// outgrows what is in use, next starts again from the front: memory follows what is in use, and the new walk is paid by the returns
// that caused it.
type span struct {
	pool     *poolState
	index    int
	bounds   netipx.IPRange
	next     netip.Addr // not valid: past the end
	returned addrHeap
	used     int
	// reservation keeps the range; nil when none does. Likewise withheld, of which nothing is granted.
	reservation *Reservation
	withheld    *Withheld
}

// first returns the first address for which free holds.
func (s *span) first(free func(netip.Addr) bool) (netip.Addr, bool) {
	for len(s.returned) > 0 {
		if a := s.returned[0]; free(a) {
			return a, true
		}
		heap.Pop(&s.returned)
	}
	for s.next.IsValid() {
		if free(s.next) {
			return s.next, true
		}
		s.advance()
	}
	return netip.Addr{}, false
}

func (s *span) advance() {
	if s.next == s.bounds.To() {
		s.next = netip.Addr{}
		return
	}
	s.next = s.next.Next()
}

// freed notes that an address of the span may be free again.
func (s *span) freed(a netip.Addr) {
	if s.next.IsValid() && !a.Less(s.next) {
		return
	}
	heap.Push(&s.returned, a)
	if len(s.returned) > 2*s.used+64 {
		s.rewind()
	}
}

func (s *span) rewind() { s.next, s.returned = s.bounds.From(), nil }

// addrHeap is a heap of addresses, the lowest first.
type addrHeap []netip.Addr

func (h addrHeap) Len() int           { return len(h) }
func (h addrHeap) Less(i, j int) bool { return h[i].Less(h[j]) }
func (h addrHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is part of heap.Interface.
func (h *addrHeap) Push(x any) { *h = append(*h, x.(netip.Addr)) }

// Pop is part of heap.Interface.
func (h *addrHeap) Pop() any {
	last := len(*h) - 1
	a := (*h)[last]
	*h = (*h)[:last]
	return a
}
