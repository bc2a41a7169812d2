// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"net/netip"
	"slices"

	"metalsuite.io/api/reason"
)

// replace gives a Service other addresses for those that no node can announce. It reports false when there are none such, when the Service
// requests them or has them reserved, and when nothing else is free: then the Service keeps what it has.
func (a *Allocator) replace(s *request, kept []netip.Addr, pool *poolState) (Decision, bool) {
	if len(s.Requested) > 0 || s.Invalid != nil || pool.Frozen != nil {
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
	frees := a.settle(s, addresses, from.Name)
	return Decision{Addresses: a.inOrder(s, addresses), Pool: from.Name, Problem: a.concern(s, addresses, from), Cause: cause, Frees: frees}, true
}

// announceable returns the addresses that stay, and why the first of the others has to be replaced; nil when all stay.
func (a *Allocator) announceable(s *request, kept []netip.Addr) (good []netip.Addr, cause *reason.Problem) {
	for _, address := range kept {
		c := a.conflicts[address]
		if !c.Replaces || a.reservedFor(s.Key, address) {
			good = append(good, address)
		} else if cause == nil {
			cause = c.Problem
		}
	}
	return good, cause
}

func (a *Allocator) reservedFor(key Key, address netip.Addr) bool {
	s := a.spanOf(address)
	return s != nil && s.reservation != nil && s.reservation.isFor(key)
}

// instead returns as many addresses as the Service has, none of which has to be replaced, and their pool: beside what stays if its pool has
// the other family, else all of them anew.
func (a *Allocator) instead(s *request, kept, good []netip.Addr, pool *poolState) ([]netip.Addr, *poolState) {
	if len(good) > 0 {
		if all, short := a.complete(s, slices.Clone(good), pool); short == nil && len(all) == len(kept) {
			return all, pool
		}
	}
	addresses, from, problem := a.search(s)
	if problem != nil || len(addresses) < len(kept) {
		return nil, nil
	}
	return addresses, from
}
