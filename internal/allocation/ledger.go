// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"net/netip"
	"slices"
	"sort"

	"go4.org/netipx"

	"metalsuite.io/api/reason"
)

// lease is what one Service holds; without addresses it says that the Service was decided on and waits. Its lists are replaced, never
// changed, so that decisions may show them.
type lease struct {
	key       Key
	addresses []netip.Addr
	pool      string
	sharing   sharing
	ports     []Port
}

// holding is one address in use and the Services on it. All of them have the same sharing.
type holding struct {
	pool   string
	leases []*lease
	// first is room for the one lease that most addresses have.
	first [1]*lease
}

type sharing struct {
	key, backend string
}

// sharing is empty for a Service that does not share, whatever its backends.
func (s *request) sharing() sharing {
	if s.SharingKey == "" {
		return sharing{}
	}
	return sharing{s.SharingKey, s.BackendKey}
}

// settle makes addresses the complete set that the Service holds and reports whether a Service that waits might profit.
func (a *Allocator) settle(s *request, addresses []netip.Addr, pool string) (frees bool) {
	l := s.lease
	if l == nil {
		l = &lease{key: s.Key}
		s.lease, a.leases[s.Key] = l, l
	}
	for _, gone := range without(l.addresses, addresses) {
		a.leave(l, gone)
		frees = true
	}
	added := without(addresses, l.addresses)
	stays := len(added) < len(addresses)
	l.addresses = addresses
	frees = a.restate(l, s, stays) || frees
	l.pool = pool
	for _, address := range added {
		a.enter(l, address)
	}
	a.move(l)
	return frees
}

// restate notes new ports and sharing rules of a lease; it reports whether others may now join an address that stays.
func (a *Allocator) restate(l *lease, s *request, stays bool) bool {
	was, is := l.sharing, s.sharing()
	samePorts := slices.Equal(l.ports, s.Ports)
	if was == is && samePorts {
		return false
	}
	l.sharing, l.ports = is, s.Ports
	if was == is {
		return stays && is.key != ""
	}
	for _, address := range l.addresses {
		if a.holdings[address] != nil {
			a.unlist(was, address)
			a.list(is, address)
		}
	}
	return stays
}

func (a *Allocator) enter(l *lease, address netip.Addr) {
	h := a.holdings[address]
	if h == nil {
		h = &holding{pool: l.pool}
		h.leases = h.first[:0]
		a.holdings[address] = h
		a.account(address, h.pool, 1)
		a.list(l.sharing, address)
		a.use(address, 1)
	}
	h.leases = append(h.leases, l)
}

func (a *Allocator) leave(l *lease, address netip.Addr) {
	h := a.holdings[address]
	h.leases = slices.DeleteFunc(h.leases, func(x *lease) bool { return x == l })
	if len(h.leases) > 0 {
		a.move(h.leases[0]) // the one that left may have been the last to name the pool
		return
	}
	delete(a.holdings, address)
	a.account(address, h.pool, -1)
	a.unlist(l.sharing, address)
	if s := a.use(address, -1); s != nil {
		s.freed(address)
	}
}

// use books an address in the span that could grant it and returns that; nil when there is none.
func (a *Allocator) use(address netip.Addr, n int) *span {
	s := a.spanOf(address)
	if s != nil && s.pool.usable(address) {
		s.used += n
		a.changes(s.pool)
	}
	return s
}

// move books the addresses of a lease under its pool, after the pool was renamed, say.
func (a *Allocator) move(l *lease) {
	for _, address := range l.addresses {
		if h := a.holdings[address]; h.pool != l.pool {
			a.account(address, h.pool, -1)
			h.pool = l.pool
			a.account(address, h.pool, 1)
		}
	}
}

func (a *Allocator) account(address netip.Addr, pool string, n int64) {
	if p := a.byName[pool]; p != nil {
		p.assigned[FamilyOf(address)] += n
		a.changes(p)
	}
}

func (a *Allocator) list(s sharing, address netip.Addr) {
	if s.key == "" {
		return
	}
	if a.shared[s] == nil {
		a.shared[s] = map[netip.Addr]struct{}{}
	}
	a.shared[s][address] = struct{}{}
}

func (a *Allocator) unlist(s sharing, address netip.Addr) {
	delete(a.shared[s], address)
	if len(a.shared[s]) == 0 {
		delete(a.shared, s)
	}
}

// conflict returns why the Service may not be on the address together with those that are; nil when it may.
func (a *Allocator) conflict(s *request, address netip.Addr) *reason.Problem {
	h := a.holdings[address]
	if h == nil {
		return nil
	}
	for _, l := range h.leases {
		if l.key == s.Key {
			continue
		}
		if problem := clash(s, l, address); problem != nil {
			return problem
		}
	}
	return nil
}

func clash(s *request, l *lease, address netip.Addr) *reason.Problem {
	return MayShare(
		Tenant{Key: s.Key, SharingKey: s.SharingKey, BackendKey: s.BackendKey, Ports: s.Ports},
		Tenant{Key: l.key, SharingKey: l.sharing.key, BackendKey: l.sharing.backend, Ports: l.ports}, address)
}

// spanOf returns the span that could grant the address; nil when there is none. It does not look at what makes single addresses
// unusable.
func (a *Allocator) spanOf(address netip.Addr) *span {
	i := sort.Search(len(a.spans), func(i int) bool { return address.Less(a.spans[i].bounds.From()) })
	if i == 0 || !a.spans[i-1].bounds.Contains(address) {
		return nil
	}
	return a.spans[i-1]
}

// contains reports whether the address belongs to the pool.
func (p *poolState) contains(address netip.Addr) bool {
	return p.usable(address) && p.covers(address)
}

// covers reports whether the address lies in a range of the pool.
func (p *poolState) covers(address netip.Addr) bool {
	return slices.ContainsFunc(p.spans, func(s *span) bool { return s.bounds.Contains(address) })
}

func (p *poolState) sizeOf(r netipx.IPRange) int64 {
	n := size(r)
	if p.AvoidBuggyIPs && r.From().Is4() {
		n -= buggyIn(r)
	}
	return n
}

func (s *span) family() Family { return FamilyOf(s.bounds.From()) }
