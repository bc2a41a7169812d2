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
	// node told of the stranger, in this life of its speaker; gone is when it was missed first, zero while it is there.
	node string
	life uint64
	gone time.Time
}

// see takes in what the live speakers say. What a speaker says no more is settled; what it said before it was lost counts for as long as
// a conflict does. A speaker that was started anew may know nothing of it, least of all one of a new node with the name of the former one: its
// silence settles nothing.
func (d contested) see(now time.Time, members []membership.Member) {
	for a, told := range d {
		speaks := slices.ContainsFunc(members, func(m membership.Member) bool { return m.Name == told.node && m.Life == told.life && m.Known })
		if told.gone.IsZero() {
			told.gone = now
		}
		d[a] = told
		if speaks || now.Sub(told.gone) >= announcers.ConflictTTL {
			delete(d, a)
		}
	}
	for _, m := range members {
		for _, a := range m.State.Strangers {
			d[a] = dispute{node: m.Name, life: m.Life}
		}
	}
}

func (d contested) has(a netip.Addr) bool {
	_, ok := d[a]
	return ok
}

// settledAfter is how long the owner of an address must have been silent about a stranger: it has looked for the stranger by then.
const settledAfter = 5 * time.Second

// left remembers which addresses this node has left to a stranger, on one interface at least, also after it stopped owning them or was started
// anew: only a trial that nobody answers gives an address back. It is used by one goroutine.
type left map[netip.Addr]parting

// parting is one address that was left.
type parting struct {
	// last is when the stranger was known last.
	last time.Time
	// owner is the node that was elected for the address; quiet is since when it, another one, says nothing of a stranger, zero while it does.
	owner string
	quiet time.Time
}

// restore takes in what this node had left when its speaker ended.
func (l left) restore(now time.Time, addresses []netip.Addr) {
	for _, a := range addresses {
		l[a] = parting{last: now}
	}
}

// see takes in what the announcers know of strangers and what the live speakers say. It returns after how long to ask again, zero when
// only a change makes a difference.
func (l left) see(now time.Time, self string, conflicts []announcers.Conflict, members []membership.Member) time.Duration {
	var again time.Duration
	for a, p := range l {
		p.heed(now, taken(a, p.owner, members))
		l[a] = p
		rest := p.rest(now)
		if p.owner == self || rest <= 0 {
			delete(l, a)
			continue
		}
		again = soonest(again, rest)
	}
	for _, c := range conflicts {
		if c.Withdrawn {
			l[c.Addr] = parting{last: now, owner: l[c.Addr].owner}
		}
	}
	return again
}

// taken says whether the owner of an address lives and says nothing of a stranger on it.
func taken(a netip.Addr, owner string, members []membership.Member) bool {
	return slices.ContainsFunc(members, func(m membership.Member) bool {
		return m.Name == owner && m.Known && !slices.Contains(m.State.Strangers, a)
	})
}

func (p *parting) heed(now time.Time, taken bool) {
	switch {
	case !taken:
		p.quiet = time.Time{}
	case p.quiet.IsZero():
		p.quiet = now
	}
}

// rest is for how long the address still counts as left.
func (p *parting) rest(now time.Time) time.Duration {
	rest := p.last.Add(announcers.ConflictTTL).Sub(now)
	if !p.quiet.IsZero() {
		rest = min(rest, p.quiet.Add(settledAfter).Sub(now))
	}
	return rest
}

// elected takes in who owns the addresses now, and returns after how long to look at them again; zero when nothing has changed.
func (l left) elected(verdicts map[string]Verdict) time.Duration {
	var again time.Duration
	if len(l) == 0 {
		return 0
	}
	owners := make(map[netip.Addr]string, len(l))
	for _, v := range verdicts {
		for _, a := range v.Addresses {
			if _, ok := l[a]; ok {
				owners[a] = v.Owner
			}
		}
	}
	for a, p := range l {
		if p.owner != owners[a] {
			again = settledAfter
		}
		p.owner = owners[a]
		l[a] = p
	}
	return again
}

func (l left) has(a netip.Addr) bool {
	_, ok := l[a]
	return ok
}

// told are the addresses, sorted: the lowest ones when there are too many.
func (l left) told() []netip.Addr {
	out := slices.SortedFunc(maps.Keys(l), netip.Addr.Compare)
	return out[:min(len(out), membership.MaxUses)]
}
