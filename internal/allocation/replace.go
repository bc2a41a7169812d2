// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"net/netip"
	"slices"

	"metalsuite.io/api/reason"
)

// mostReplaced is how many addresses of a family of a pool Services give up for conflicts that count at the same time. A segment has a few
// routers; a speaker that is not to be trusted must not be able to move every Service. The count begins anew with the process.
const mostReplaced = 4

// replace gives a Service other addresses for those that no node can announce. It reports false when there are none such, when the Service
// requests them or has them reserved, and when nothing else is free: then the Service keeps what it has.
func (a *Allocator) replace(s *request, kept []netip.Addr, pool *poolState) (Decision, bool) {
	if !replaceable(s, pool) {
		return Decision{}, false
	}
	good, cause := a.announceable(s, kept)
	if cause == nil {
		return Decision{}, false
	}
	addresses, from := a.instead(s, kept, good, pool)
	if from == nil {
		return Decision{}, false
	}
	for _, address := range without(kept, addresses) {
		if a.unannounceable(s.Key, address) {
			a.replaced[address] = struct{}{}
		}
	}
	frees := a.settle(s, addresses, from.Name)
	return Decision{Addresses: a.inOrder(s, addresses), Pool: from.Name, Problem: a.concern(s, addresses, from), Cause: cause, Frees: frees}, true
}

// announceable returns the addresses that stay, and why the first of the others has to be replaced; nil when all stay.
func (a *Allocator) announceable(s *request, kept []netip.Addr) (good []netip.Addr, cause *reason.Problem) {
	for _, address := range kept {
		if !a.unannounceable(s.Key, address) || !a.withinLimit(address) {
			good = append(good, address)
		} else if cause == nil {
			cause = a.conflicts[address].Problem
		}
	}
	return good, cause
}

// replaceable reports whether a Service has its addresses without having asked for them, from a pool that grants others.
func replaceable(s *request, pool *poolState) bool {
	return len(s.Requested) == 0 && s.Invalid == nil && pool.Frozen == nil
}

// unannounceable reports whether the Service would be better off with another address. An address of a node or of the API server stays: other
// nodes route through it as well, and no Service loses it for that.
func (a *Allocator) unannounceable(key Key, address netip.Addr) bool {
	if !a.conflicts[address].Replaces || a.reservedFor(key, address) {
		return false
	}
	w, ofCluster := a.withheldSet.points[address]
	return !ofCluster || w.OnRequest
}

// withinLimit reports whether one more Service may give up the address. Those that share it all may.
func (a *Allocator) withinLimit(address netip.Addr) bool {
	if _, before := a.replaced[address]; before {
		return true
	}
	own, n := a.spanOf(address), 0
	for other := range a.replaced {
		if s := a.spanOf(other); s != nil && own != nil && s.pool == own.pool && FamilyOf(other) == FamilyOf(address) {
			n++
		}
	}
	return n < mostReplaced
}

// awaitsReplacement reports whether a decision leaves the Service an address that it would give up.
func (a *Allocator) awaitsReplacement(s *request, d Decision) bool {
	pool := a.byName[d.Pool]
	if pool == nil || !replaceable(s, pool) {
		return false
	}
	return slices.ContainsFunc(d.Addresses, func(x netip.Addr) bool { return a.unannounceable(s.Key, x) })
}

func (a *Allocator) reservedFor(key Key, address netip.Addr) bool {
	s := a.spanOf(address)
	return s != nil && s.reservation != nil && s.reservation.isFor(key)
}

// instead returns as many addresses as the Service has, none of which has to be replaced, and their pool: beside what stays if its pool has
// the other family, else all of them anew. What can be announced is given up only for a Service that needs both families.
func (a *Allocator) instead(s *request, kept, good []netip.Addr, pool *poolState) ([]netip.Addr, *poolState) {
	if len(good) > 0 {
		if all, short := a.complete(s, slices.Clone(good), pool); short == nil && len(all) == len(kept) {
			return all, pool
		}
		if _, oneIsEnough := s.wants(); oneIsEnough {
			return nil, nil
		}
	}
	addresses, from, problem := a.search(s)
	if problem != nil || len(addresses) < len(kept) {
		return nil, nil
	}
	return addresses, from
}
