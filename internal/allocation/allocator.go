// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"metalsuite.io/api/reason"
)

// Allocator remembers who holds which address and decides on requests. Its zero value is not usable; see New.
type Allocator struct {
	given  []Pool
	pools  []*poolState // by name
	byName map[string]*poolState
	pinned []*poolState // for Services that ask for no pool, in the order of trying; likewise the next
	open   []*poolState
	spans  []*span // of all pools that grant, by address
	// configured is set once there was a pool; until then the absence of all pools says nothing about what Services have.
	configured bool

	reserved []piece[Reservation] // by address
	favoured map[Key]struct{}     // who has a reservation

	withheldSet withheldSet
	clusterIPs  clusterIPs
	foreign     map[Key]occupation // what Services that are not served here bear, and the same by address
	occupied    map[netip.Addr][]Key
	reported    []Conflict              // in the order in which they count
	conflicts   map[netip.Addr]Conflict // those that count
	replaced    map[netip.Addr]struct{} // given up by Services for conflicts that still count
	sorted      []netip.Addr            // single addresses that are withheld; nil when they have to be sorted again
	changed     map[string]struct{}     // pools whose figures may have changed

	leases   map[Key]*lease
	holdings map[netip.Addr]*holding
	shared   map[sharing]map[netip.Addr]struct{}
}

type poolState struct {
	Pool
	spans    []*span // in the order of granting
	capacity map[Family]int64
	assigned map[Family]int64
}

// New returns an Allocator without pools.
func New() *Allocator {
	return &Allocator{
		byName:     map[string]*poolState{},
		clusterIPs: clusterIPs{of: map[Key][]netip.Addr{}, at: map[netip.Addr]Key{}},
		foreign:    map[Key]occupation{},
		occupied:   map[netip.Addr][]Key{},
		replaced:   map[netip.Addr]struct{}{},
		changed:    map[string]struct{}{},
		leases:     map[Key]*lease{},
		holdings:   map[netip.Addr]*holding{},
		shared:     map[sharing]map[netip.Addr]struct{}{},
	}
}

// SetPools makes pools the complete set. Until it was given one, every Service keeps what its status names. Nothing is taken away here: what no longer fits is given up when its Service is decided on
// again, and until then nobody else gets it. The caller has to decide on all Services again, those that hold addresses first.
func (a *Allocator) SetPools(pools []Pool) {
	a.given, a.configured = pools, a.configured || len(pools) > 0
	a.rebuild()
}

// rebuild lays out the pools anew, cut where reservations and withheld ranges begin and end, and books what is held.
func (a *Allocator) rebuild() {
	a.pools, a.spans, a.sorted = nil, nil, nil
	a.byName = make(map[string]*poolState, len(a.given))
	for _, p := range a.given {
		a.addPool(p)
	}
	slices.SortFunc(a.pools, func(x, y *poolState) int { return cmp.Compare(x.Name, y.Name) })
	slices.SortFunc(a.spans, func(x, y *span) int { return x.bounds.From().Compare(y.bounds.From()) })
	a.orderPools()
	a.weigh()
	for address, h := range a.holdings {
		a.account(address, h.pool, 1)
		a.use(address, 1)
	}
}

func (a *Allocator) addPool(p Pool) {
	state := &poolState{Pool: p, capacity: map[Family]int64{}, assigned: map[Family]int64{}}
	for i, r := range p.Ranges {
		for _, s := range a.cut(r) {
			s.pool, s.index = state, i
			state.spans = append(state.spans, s)
		}
		f := FamilyOf(r.From())
		state.capacity[f] = addUp(state.capacity[f], state.sizeOf(r))
	}
	a.pools = append(a.pools, state)
	a.byName[p.Name] = state
	a.changes(state)
	if p.Frozen == nil {
		a.spans = append(a.spans, state.spans...)
	}
}

// orderPools lists the pools for automatic allocation: pinned ones by priority, smallest above 0 first; the rest by name.
func (a *Allocator) orderPools() {
	a.pinned, a.open = nil, nil
	for _, p := range a.pools {
		switch {
		case !p.AutoAssign:
		case p.Pin != nil:
			a.pinned = append(a.pinned, p)
		default:
			a.open = append(a.open, p)
		}
	}
	rank := func(p *poolState) int {
		if p.Pin.Priority == 0 {
			return math.MaxInt
		}
		return p.Pin.Priority
	}
	slices.SortStableFunc(a.pinned, func(x, y *poolState) int { return cmp.Compare(rank(x), rank(y)) })
}

// Adopt takes over what a Service's status names if the Service may keep it, and grants nothing. At a start every Service is adopted,
// in a fixed order, before the first is decided on: so nothing that is in use can be granted to another.
func (a *Allocator) Adopt(s Service) {
	a.Occupy(s.Key, nil, "")
	if a.leases[s.Key] != nil {
		return
	}
	r := request{Service: s}
	if kept, pool, _ := a.retain(&r); len(kept) > 0 {
		a.settle(&r, kept, pool.Name)
	}
}

// Decide gives the Service what it asks for, leaves it what it has, or takes away what it may not keep, and says why.
func (a *Allocator) Decide(s Service) Decision {
	r := request{s, a.leases[s.Key]}
	before, _ := r.held()
	vacates := a.Occupy(s.Key, nil, "")
	d := a.decide(&r)
	d.Frees = d.Frees || vacates
	d.Service = s.Key
	d.Granted = without(d.Addresses, before)
	d.Lost = without(before, d.Addresses)
	d.AwaitsReplacement = a.awaitsReplacement(&r, d)
	if len(d.Lost) == 0 {
		d.Cause = nil
	}
	return d
}

func (a *Allocator) decide(s *request) Decision {
	if !a.configured {
		// Nothing is settled: what the status names counts as current until there is a pool.
		return Decision{Addresses: slices.Clone(s.Current), Pool: s.CurrentPool, Problem: reason.New(reason.NoPools, "")}
	}
	if problem := a.hopeless(s); problem != nil {
		return Decision{Frees: a.settle(s, nil, ""), Problem: problem, Cause: problem}
	}
	kept, pool, cause := a.retain(s)
	if len(kept) > 0 {
		if d, replaced := a.replace(s, kept, pool); replaced {
			return d
		}
		all, short := a.complete(s, kept, pool)
		if short == nil {
			frees := a.settle(s, all, pool.Name)
			return Decision{Addresses: a.inOrder(s, all), Pool: pool.Name, Problem: a.concern(s, all, pool), Cause: cause, Frees: frees}
		}
		cause = short
	}
	frees := s.lease != nil && a.settle(s, nil, "")
	addresses, pool, problem := a.search(s)
	if problem != nil {
		a.settle(s, nil, "")
		return Decision{Problem: problem, Cause: cause, Frees: frees}
	}
	a.settle(s, addresses, pool.Name)
	return Decision{Addresses: addresses, Pool: pool.Name, Cause: cause, Frees: frees}
}

// hopeless returns why no pool whatever could serve the Service.
func (a *Allocator) hopeless(s *request) *reason.Problem {
	switch {
	case len(a.pools) == 0:
		return reason.New(reason.NoPools, "")
	case len(s.Families) == 0:
		return reason.New(reason.NoClusterIP, "")
	case s.Policy == RequireDualStack && len(s.Families) < 2:
		return reason.New(reason.NotEnoughClusterIPs, "")
	}
	return nil
}

// Release forgets a Service that is gone or asks for nothing any more; it reports whether that frees anything. Unknown keys are fine.
func (a *Allocator) Release(key Key) (frees bool) {
	vacates := a.Occupy(key, nil, "")
	if l := a.leases[key]; l != nil {
		frees = a.settle(&request{Service{Key: key}, l}, nil, "")
		delete(a.leases, key)
	}
	return frees || vacates
}

// Holds returns what the Service holds.
func (a *Allocator) Holds(key Key) []netip.Addr {
	if l := a.leases[key]; l != nil {
		return slices.Clone(l.addresses)
	}
	return nil
}

// Holders returns who holds the address, sorted.
func (a *Allocator) Holders(address netip.Addr) []Key {
	h := a.holdings[address]
	if h == nil {
		return nil
	}
	keys := make([]Key, len(h.leases))
	for i, l := range h.leases {
		keys[i] = l.key
	}
	slices.SortFunc(keys, Key.compare)
	return keys
}

// without returns what of the list is not taken. It may be the list itself, so nobody may change it.
func without(list, taken []netip.Addr) []netip.Addr {
	if len(taken) == 0 || len(list) == 0 {
		return list
	}
	var rest []netip.Addr
	for _, a := range list {
		if !slices.Contains(taken, a) {
			rest = append(rest, a)
		}
	}
	return rest
}
