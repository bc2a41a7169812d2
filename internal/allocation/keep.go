// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"net/netip"
	"slices"

	"go4.org/netipx"

	"metalsuite.io/api/reason"
)

// held returns what the Service holds and the name of its pool: by memory, else by its status.
func (s *request) held() ([]netip.Addr, string) {
	if s.lease != nil {
		return s.lease.addresses, s.lease.pool
	}
	return s.Current, s.CurrentPool
}

// retain returns what of the held addresses the Service may keep, their pool, and why it may not keep the rest. All nil when it holds
// none.
func (a *Allocator) retain(s *request) ([]netip.Addr, *poolState, *reason.Problem) {
	held, hint := s.held()
	if len(held) == 0 {
		return nil, nil, nil
	}
	kept := oneOfEach(held, s.Families)
	if len(kept) == 0 {
		return nil, nil, reason.New(reason.FamilyMismatch, "%s is of an address family that the Service does not have", join(held))
	}
	pool, problem := a.keepable(s, kept, hint)
	if problem == nil {
		return kept, pool, nil
	}
	if _, oneIsEnough := s.wants(); oneIsEnough && len(kept) > 1 {
		for _, address := range a.announceableFirst(s.Key, kept) {
			if pool, not := a.keepable(s, []netip.Addr{address}, hint); not == nil {
				return []netip.Addr{address}, pool, problem
			}
		}
	}
	return nil, nil, problem
}

// announceableFirst returns addresses of which one is to be kept in the order of trying: one that has to be replaced goes last, or the
// Service would lose both.
func (a *Allocator) announceableFirst(key Key, kept []netip.Addr) []netip.Addr {
	order := slices.Clone(kept)
	slices.SortStableFunc(order, func(x, y netip.Addr) int {
		switch ux, uy := a.unannounceable(key, x), a.unannounceable(key, y); {
		case ux == uy:
			return 0
		case ux:
			return 1
		}
		return -1
	})
	return order
}

// Fits reports whether the Service might keep all of what its status names, if nobody else were there.
func (a *Allocator) Fits(s Service) bool {
	kept := oneOfEach(s.Current, s.Families)
	if len(kept) == 0 || len(kept) < len(s.Current) {
		return false
	}
	_, problem := a.fitting(&request{Service: s}, kept, s.CurrentPool)
	return problem == nil
}

// keepable returns the pool of addresses that the Service may keep together, or why it may not.
func (a *Allocator) keepable(s *request, kept []netip.Addr, hint string) (*poolState, *reason.Problem) {
	pool, problem := a.fitting(s, kept, hint)
	for i := 0; problem == nil && i < len(kept); i++ {
		if s.lease == nil && s.CurrentForeign {
			problem = a.barred(s, kept[i])
		}
		if problem == nil {
			problem = a.conflict(s, kept[i])
		}
	}
	return pool, problem
}

// fitting returns the pool of addresses that the Service asks for or has nothing against, or why it may not keep them.
func (a *Allocator) fitting(s *request, kept []netip.Addr, hint string) (*poolState, *reason.Problem) {
	pool, problem := a.poolHolding(kept, hint)
	if problem == nil {
		problem = disagreement(s, kept, pool)
	}
	if problem == nil && pool.Frozen == nil && !pool.admits(s.Key.Namespace, s.Labels) {
		problem = reason.New(reason.PoolNotAllowed, "pool %s no longer allows this Service", pool.Name)
	}
	return pool, problem
}

// oneOfEach returns the first address of each family, in the order of the families.
func oneOfEach(addresses []netip.Addr, families []Family) []netip.Addr {
	var kept []netip.Addr
	for _, f := range families {
		if i := slices.IndexFunc(addresses, func(x netip.Addr) bool { return FamilyOf(x) == f }); i >= 0 {
			kept = append(kept, addresses[i])
		}
	}
	return kept
}

// disagreement returns how what is kept differs from what is asked for by name. A request that cannot be understood asks for nothing.
func disagreement(s *request, kept []netip.Addr, pool *poolState) *reason.Problem {
	if s.RequestedPool != "" && s.RequestedPool != pool.Name {
		return reason.New(reason.RequestChanged, "the Service requests pool %s and has addresses of pool %s", s.RequestedPool, pool.Name)
	}
	if s.Invalid != nil || len(s.Requested) == 0 || sameSet(s.Requested, kept) {
		return nil
	}
	if _, oneIsEnough := s.wants(); oneIsEnough && len(without(kept, s.Requested)) == 0 {
		return nil
	}
	return reason.New(reason.RequestChanged, "the Service requests %s and has %s", join(s.Requested), join(kept))
}

// poolHolding returns the one pool to which all addresses belong. The pool that granted them goes first; while it is frozen its word
// is enough, since nobody knows its ranges for sure.
func (a *Allocator) poolHolding(addresses []netip.Addr, hint string) (*poolState, *reason.Problem) {
	if p := a.byName[hint]; p != nil && (p.Frozen != nil || p.containsAll(addresses)) {
		return p, nil
	}
	first := a.poolOf(addresses[0])
	if first == nil {
		return nil, a.homeless(addresses[0])
	}
	for _, address := range addresses[1:] {
		p := a.poolOf(address)
		if p == nil {
			return nil, a.homeless(address)
		}
		if p != first {
			return nil, reason.New(reason.AddressNotInPool, "%s is in pool %s and %s in pool %s, not in one pool", addresses[0], first.Name, address, p.Name)
		}
	}
	return first, nil
}

// homeless says why no pool has the address.
func (a *Allocator) homeless(address netip.Addr) *reason.Problem {
	for _, p := range a.pools {
		if slices.ContainsFunc(p.Excluded, func(r netipx.IPRange) bool { return r.Contains(address) }) {
			return reason.New(reason.AddressNotInPool, "pool %s excludes %s (spec.exclude)", p.Name, address)
		}
		if p.covers(address) {
			return reason.New(reason.AddressNotInPool, "pool %s excludes %s (spec.avoidBuggyIPs)", p.Name, address)
		}
	}
	return reason.New(reason.AddressNotInPool, "%s is in no pool", address)
}

// Contains reports whether all addresses belong to the pool of this name.
func (a *Allocator) Contains(pool string, addresses []netip.Addr) bool {
	p := a.byName[pool]
	return p != nil && p.containsAll(addresses)
}

func (p *poolState) containsAll(addresses []netip.Addr) bool {
	return !slices.ContainsFunc(addresses, func(x netip.Addr) bool { return !p.contains(x) })
}

// poolOf returns the pool of an address: one that grants before frozen ones, those by name; nil when there is none.
func (a *Allocator) poolOf(address netip.Addr) *poolState {
	if s := a.spanOf(address); s != nil && s.pool.contains(address) {
		return s.pool
	}
	for _, p := range a.pools {
		if p.Frozen != nil && p.contains(address) {
			return p
		}
	}
	return nil
}

// lacking returns the address that the Service asks for beside the one that it keeps, and why it may not have it; nil when it may.
func (a *Allocator) lacking(s *request, kept []netip.Addr, pool *poolState) (netip.Addr, *reason.Problem) {
	rest := without(s.Requested, kept)
	if len(rest) != 1 || s.Invalid != nil {
		return netip.Addr{}, nil
	}
	if problem := a.barred(s, rest[0]); problem != nil {
		return rest[0], problem
	}
	if pool.Frozen != nil {
		return rest[0], frozen(pool)
	}
	if _, problem := a.poolHolding(append(slices.Clone(kept), rest[0]), pool.Name); problem != nil {
		return rest[0], problem
	}
	return rest[0], a.conflict(s, rest[0])
}

// complete adds the family that is missing, from the same pool, or says why what is kept is not enough.
func (a *Allocator) complete(s *request, kept []netip.Addr, pool *poolState) ([]netip.Addr, *reason.Problem) {
	families, oneIsEnough := s.wants()
	if len(kept) == len(families) {
		return kept, nil
	}
	if len(s.Requested) == 0 && s.Invalid == nil && pool.Frozen == nil {
		if extra, ok := a.firstIn(pool, missing(families, kept), s); ok {
			return oneOfEach(append(slices.Clone(kept), extra), families), nil
		}
	}
	if extra, problem := a.lacking(s, kept, pool); extra.IsValid() && problem == nil {
		return oneOfEach(append(slices.Clone(kept), extra), families), nil
	}
	if oneIsEnough || s.Invalid != nil || pool.Frozen != nil {
		return kept, nil
	}
	return nil, reason.New(reason.FamilyMissing, "the Service needs two families and pool %s gives only one", pool.Name)
}

func missing(families []Family, have []netip.Addr) Family {
	for _, f := range families {
		if !slices.ContainsFunc(have, func(x netip.Addr) bool { return FamilyOf(x) == f }) {
			return f
		}
	}
	return 0
}

// concern returns what is wrong with addresses that nevertheless stay. Of conflicts their holders are told apart from this.
func (a *Allocator) concern(s *request, kept []netip.Addr, pool *poolState) *reason.Problem {
	if s.Invalid != nil {
		return s.Invalid
	}
	for _, address := range kept {
		if problem := a.unfit(address); problem != nil {
			return problem
		}
	}
	if pool.Frozen != nil {
		return frozen(pool)
	}
	_, problem := a.lacking(s, kept, pool)
	return problem
}

// inOrder returns a copy in the order of the Service's status if that names the same addresses, since nothing has to be written then, else
// in the order of its families.
func (a *Allocator) inOrder(s *request, addresses []netip.Addr) []netip.Addr {
	if sameSet(s.Current, addresses) {
		return slices.Clone(s.Current)
	}
	return oneOfEach(addresses, s.Families)
}

func sameSet(x, y []netip.Addr) bool {
	return len(x) == len(y) && len(without(x, y)) == 0 && len(without(y, x)) == 0
}
