// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"maps"
	"net/netip"

	"metalsuite.io/api/reason"
)

// Conflict is an address that something else than the suite uses.
type Conflict struct {
	Address netip.Addr
	// Problem is what a Service is told that asks for the address; never nil, and nobody changes it.
	Problem *reason.Problem
	// Hearsay is set when nothing but messages on the network say so, which anybody there can forge.
	Hearsay bool
	// Replaces is set when no node can announce the address as long as the conflict lasts: a Service that did not request it gets another one,
	// unless it is an address of a node or of the API server.
	Replaces bool
}

// hearsayShare is which part of a pool's addresses hearsay withholds at most: a tenth. Each family of a pool counts apart, since a tenth
// of the smallest IPv6 prefix is more than all IPv4 addresses beside it.
const hearsayShare = 10

// SetConflicts makes conflicts the complete set. They count in this order, so whatever hearsay is over the limit of a pool is at the end
// of it. An address that counts is granted to nobody; who holds one keeps it unless the conflict replaces it, and is not told here. It reports
// whether that frees anything. The caller has to decide again on those that wait and those that hold one of the addresses.
func (a *Allocator) SetConflicts(conflicts []Conflict) (frees bool) {
	before := a.conflicts
	a.reported = conflicts
	a.weigh()
	for address := range a.conflicts {
		a.changesAt(address)
	}
	for address := range before {
		a.changesAt(address)
		if _, still := a.conflicts[address]; !still {
			a.regain(address)
			frees = true
		}
	}
	return frees
}

// weigh chooses the conflicts that count. What no pool could grant needs none.
func (a *Allocator) weigh() {
	if len(a.reported)+len(a.conflicts) == 0 {
		return
	}
	a.conflicts, a.sorted = map[netip.Addr]Conflict{}, nil
	type part struct {
		pool   *poolState
		family Family
	}
	believed := map[part]int64{}
	for _, c := range a.reported {
		s := a.spanOf(c.Address)
		if s == nil || !s.pool.usable(c.Address) || a.inConflict(c.Address) {
			continue
		}
		of := part{s.pool, s.family()}
		if c.Hearsay {
			if believed[of] >= s.pool.mostHearsay(of.family) {
				continue
			}
			believed[of]++
		}
		a.conflicts[c.Address] = c
	}
	maps.DeleteFunc(a.replaced, func(address netip.Addr, _ struct{}) bool { return !a.conflicts[address].Replaces })
}

func (a *Allocator) inConflict(address netip.Addr) bool {
	_, yes := a.conflicts[address]
	return yes
}

// mostHearsay is how many addresses of a family hearsay withholds at most: one at least.
func (p *poolState) mostHearsay(f Family) int64 {
	n := p.capacity[f]
	return n/hearsayShare + min(n%hearsayShare, 1)
}
