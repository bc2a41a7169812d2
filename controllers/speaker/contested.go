// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/internal/membership"
)

// contested remembers which addresses a speaker has left to a stranger. When such an address gets another owner, that one has to look for
// the stranger first, although the address is not fresh. It is used by one goroutine.
type contested map[netip.Addr]dispute

type dispute struct {
	// node told of the stranger, last at this time.
	node string
	last time.Time
}

// see takes in what the live speakers say. What a speaker says no more is settled; what it said before it was lost counts for as long as
// a conflict does.
func (d contested) see(now time.Time, members []membership.Member) {
	for a, told := range d {
		speaks := slices.ContainsFunc(members, func(m membership.Member) bool { return m.Name == told.node && m.Known })
		if speaks || now.Sub(told.last) >= announcers.ConflictTTL {
			delete(d, a)
		}
	}
	for _, m := range members {
		for _, a := range m.State.Strangers {
			d[a] = dispute{m.Name, now}
		}
	}
}

func (d contested) has(a netip.Addr) bool {
	_, ok := d[a]
	return ok
}

// left remembers which addresses this node has left to a stranger and when it said so last, also after it stopped owning them: only a trial
// that nobody answers gives an address back. It is used by one goroutine.
type left map[netip.Addr]time.Time

// see takes in what the announcers know of strangers, and which addresses they are to announce.
func (l left) see(now time.Time, conflicts []announcers.Conflict, announced func(netip.Addr) bool) {
	for a, last := range l {
		if announced(a) || now.Sub(last) >= announcers.ConflictTTL {
			delete(l, a)
		}
	}
	for _, c := range conflicts {
		if c.Withdrawn {
			l[c.Addr] = now
		}
	}
}

// told are the addresses, sorted: the lowest ones when there are too many.
func (l left) told() []netip.Addr {
	out := slices.SortedFunc(maps.Keys(l), netip.Addr.Compare)
	return out[:min(len(out), membership.MaxUses)]
}
