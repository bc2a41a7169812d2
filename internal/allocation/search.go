// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"net/netip"
	"slices"
	"strings"

	"metalsuite.io/api/reason"
)

// search finds addresses for a Service that holds none. They come in the order of the Service's families.
func (a *Allocator) search(s *request) ([]netip.Addr, *poolState, *reason.Problem) {
	switch {
	case s.Invalid != nil:
		return nil, nil, s.Invalid
	case len(s.Requested) > 0:
		return a.requested(s)
	}
	if addresses, pool := a.favour(s); pool != nil {
		return addresses, pool, nil
	}
	if s.RequestedPool != "" {
		return a.inPool(s)
	}
	return a.automatic(s)
}

func (a *Allocator) requested(s *request) ([]netip.Addr, *poolState, *reason.Problem) {
	addresses := oneOfEach(s.Requested, s.Families)
	if len(addresses) != len(s.Families) || len(addresses) != len(s.Requested) {
		return nil, nil, reason.New(reason.FamilyMismatch, "the Service is %s and requests %s", joinFamilies(s.Families), join(s.Requested))
	}
	for _, address := range addresses {
		if problem := a.barred(s, address); problem != nil {
			return nil, nil, problem
		}
	}
	pool, problem := a.poolHolding(addresses, "")
	if problem == nil {
		problem = a.mayGrant(s, pool)
	}
	if problem != nil {
		return nil, nil, problem
	}
	for _, address := range addresses {
		if problem := a.conflict(s, address); problem != nil {
			return nil, nil, problem
		}
	}
	return addresses, pool, nil
}

// mayGrant returns why the pool gives nothing to a Service that asks for it, or for an address of it, by name.
func (a *Allocator) mayGrant(s *request, pool *poolState) *reason.Problem {
	if name := s.RequestedPool; name != "" && name != pool.Name {
		if a.byName[name] == nil {
			return reason.New(reason.PoolNotFound, "there is no pool %s", name)
		}
		return reason.New(reason.AddressNotInPool, "%s is in pool %s, not in the requested pool %s", join(s.Requested), pool.Name, name)
	}
	if pool.Frozen != nil {
		return frozen(pool)
	}
	if !pool.admits(s.Key.Namespace, s.Labels) {
		return reason.New(reason.PoolNotAllowed, "pool %s does not allow this Service", pool.Name)
	}
	return nil
}

func (a *Allocator) inPool(s *request) ([]netip.Addr, *poolState, *reason.Problem) {
	pool := a.byName[s.RequestedPool]
	if pool == nil {
		return nil, nil, reason.New(reason.PoolNotFound, "there is no pool %s", s.RequestedPool)
	}
	if problem := a.mayGrant(s, pool); problem != nil {
		return nil, nil, problem
	}
	pools := []*poolState{pool}
	if addresses, pool := a.best(s, pools); pool != nil {
		return addresses, pool, nil
	}
	return nil, nil, a.explain(s, pools)
}

// automatic tries the pools pinned to the Service, then those open to all.
func (a *Allocator) automatic(s *request) ([]netip.Addr, *poolState, *reason.Problem) {
	for _, pools := range [...][]*poolState{a.pinned, a.open} {
		if addresses, pool := a.best(s, pools); pool != nil {
			return addresses, pool, nil
		}
	}
	return nil, nil, a.explain(s, append(admitting(a.pinned, s), admitting(a.open, s)...))
}

func admitting(pools []*poolState, s *request) []*poolState {
	var list []*poolState
	for _, p := range pools {
		if p.admits(s.Key.Namespace, s.Labels) {
			list = append(list, p)
		}
	}
	return list
}

func granting(pools []*poolState) []*poolState {
	if !slices.ContainsFunc(pools, isFrozen) {
		return pools
	}
	return slices.DeleteFunc(slices.Clone(pools), isFrozen)
}

func isFrozen(p *poolState) bool { return p.Frozen != nil }

// best takes, of those pools that may serve the Service, the first that gives every family; where one is enough, then the first that
// gives the first family, then the second.
func (a *Allocator) best(s *request, pools []*poolState) ([]netip.Addr, *poolState) {
	families, oneIsEnough := s.wants()
	for _, p := range pools {
		if p.Frozen != nil || !p.admits(s.Key.Namespace, s.Labels) {
			continue
		}
		if addresses, ok := a.allIn(p, families, s); ok {
			return addresses, p
		}
	}
	if !oneIsEnough {
		return nil, nil
	}
	for _, f := range families {
		for _, p := range pools {
			if p.Frozen != nil || !p.admits(s.Key.Namespace, s.Labels) {
				continue
			}
			if address, ok := a.firstIn(p, f, s); ok {
				return []netip.Addr{address}, p
			}
		}
	}
	return nil, nil
}

func (a *Allocator) allIn(p *poolState, families []Family, s *request) ([]netip.Addr, bool) {
	addresses := make([]netip.Addr, 0, len(families))
	for _, f := range families {
		address, ok := a.firstIn(p, f, s)
		if !ok {
			return nil, false
		}
		addresses = append(addresses, address)
	}
	return addresses, true
}

// firstIn returns the first address of the pool, in its order, that the Service may have, free or shared: of what is reserved for it, else
// of all.
func (a *Allocator) firstIn(p *poolState, f Family, s *request) (netip.Addr, bool) {
	if _, ok := a.favoured[s.Key]; ok {
		mine := func(r *Reservation) bool { return r != nil && r.isFor(s.Key) }
		if found, ok := a.firstOf(p, f, s, mine, mine); ok {
			return found, true
		}
	}
	return a.firstOf(p, f, s, unreserved, anyReservation)
}

func unreserved(r *Reservation) bool { return r == nil }

func anyReservation(*Reservation) bool { return true }

// firstOf is firstIn among the free and the shared addresses whose reservation, if any, is of the right kind.
func (a *Allocator) firstOf(p *poolState, f Family, s *request, free, shared func(*Reservation) bool) (netip.Addr, bool) {
	found, at := a.firstFree(p, f, free)
	for address := range a.shared[s.sharing()] {
		if FamilyOf(address) != f || at == 0 && !address.Less(found) {
			continue
		}
		sp := a.spanOf(address)
		if sp == nil || sp.pool != p || !shared(sp.reservation) || !p.usable(address) || a.passes(address) != nil {
			continue
		}
		if at >= 0 && (sp.index > at || sp.index == at && !address.Less(found)) || a.conflict(s, address) != nil {
			continue
		}
		found, at = address, sp.index
	}
	return found, at >= 0
}

// firstFree returns the first free address of the pool with the right kind of reservation, and the place of its range; -1 when there is
// none.
func (a *Allocator) firstFree(p *poolState, f Family, right func(*Reservation) bool) (netip.Addr, int) {
	free := func(x netip.Addr) bool {
		return a.holdings[x] == nil && p.usable(x) && a.passes(x) == nil
	}
	for _, s := range p.spans {
		if s.family() != f || s.withheld != nil || !right(s.reservation) {
			continue
		}
		if address, ok := s.first(free); ok {
			return address, s.index
		}
	}
	return netip.Addr{}, -1
}

func (p *poolState) usable(address netip.Addr) bool { return !p.AvoidBuggyIPs || !buggy(address) }

func frozen(p *poolState) *reason.Problem {
	return reason.New(reason.PoolFrozen, "pool %s is invalid (%s) and assigns no new addresses", p.Name, p.Frozen.Reason)
}

// explain says why none of the pools that are for the Service served it.
func (a *Allocator) explain(s *request, pools []*poolState) *reason.Problem {
	families, oneIsEnough := s.wants()
	working := granting(pools)
	switch {
	case len(pools) == 0:
		return reason.New(reason.NoMatchingPool, "")
	case len(working) == 0:
		return frozen(pools[0])
	case !slices.ContainsFunc(working, func(p *poolState) bool { return p.serves(families, oneIsEnough) }):
		return reason.New(reason.FamilyMissing, "no pool for this Service has %s: %s", joinFamilies(families), joinPools(working))
	}
	return reason.New(reason.PoolExhausted, "no %s address is free in %s%s", joinFamilies(families), joinPools(working), a.passedOver(families, working)+a.keepers(s, families, working))
}

func (p *poolState) serves(families []Family, oneIsEnough bool) bool {
	n := 0
	for _, f := range families {
		if p.capacity[f] > 0 {
			n++
		}
	}
	return n == len(families) || oneIsEnough && n > 0
}

func join(addresses []netip.Addr) string {
	texts := make([]string, len(addresses))
	for i, a := range addresses {
		texts[i] = a.String()
	}
	return strings.Join(texts, " and ")
}

func joinFamilies(families []Family) string {
	texts := make([]string, len(families))
	for i, f := range families {
		texts[i] = f.String()
	}
	return strings.Join(texts, " and ")
}

// joinPools names a few pools; a list of all could be longer than a condition may be.
func joinPools(pools []*poolState) string {
	const most = 5
	var b strings.Builder
	b.WriteString("pool ")
	for i, p := range pools {
		if i == most {
			b.WriteString(" and others")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.Name)
	}
	return b.String()
}
