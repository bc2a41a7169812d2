// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"time"
)

// freshFor is how long after its first election an address is still fresh: in that time its owner may be lost, and the next one has to
// look for a stranger as well.
const freshFor = time.Second

// grants tells addresses that were just granted from those that some node has announced before. Only for the former is it worth asking
// the network whether a stranger has them. What a starting speaker finds counts as announced: it cannot know. It is used by one goroutine.
type grants struct {
	started bool
	pass    uint64
	// seen is the last pass in which a Service bore an address.
	seen map[netip.Addr]uint64
	// young are the fresh addresses, with the time when a node was elected first; zero while none was.
	young map[netip.Addr]time.Time
}

// see takes in which addresses Services bear now.
func (g *grants) see(services []Service) {
	if !g.started {
		g.seen, g.young = map[netip.Addr]uint64{}, map[netip.Addr]time.Time{}
	}
	g.pass++
	for _, s := range services {
		for _, a := range s.Addresses {
			if g.seen[a] == 0 && g.started {
				g.young[a] = time.Time{}
			}
			g.seen[a] = g.pass
		}
	}
	for a, pass := range g.seen {
		if pass != g.pass {
			delete(g.seen, a)
			delete(g.young, a)
		}
	}
	g.started = true
}

// elected takes in which addresses have an owner, on any node.
func (g *grants) elected(now time.Time, verdicts map[string]Verdict) {
	for a, since := range g.young {
		if !since.IsZero() && now.Sub(since) > freshFor {
			delete(g.young, a)
		}
	}
	if len(g.young) == 0 {
		return
	}
	for _, v := range verdicts {
		for _, a := range v.Addresses {
			if since, young := g.young[a]; young && v.Owner != "" && since.IsZero() {
				g.young[a] = now
			}
		}
	}
}

// fresh says whether no node has announced the address before.
func (g *grants) fresh(a netip.Addr) bool {
	_, young := g.young[a]
	return young
}
