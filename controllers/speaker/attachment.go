// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/internal/election"
	"metalsuite.io/internal/membership"
)

// attachment is what this node has told of its interfaces. It is used by one goroutine.
type attachment struct {
	links   steady[string]
	subnets steady[netip.Prefix]
}

// reporters are the announcers that know interfaces.
func (s *Speaker) reporters() []announcers.LinkReporter {
	var all []announcers.LinkReporter
	for _, m := range s.modules {
		if l, ok := m.Announcer.(announcers.LinkReporter); ok {
			all = append(all, l)
		}
	}
	return all
}

// sight is what the announcers know of the interfaces now: the union.
type sight struct {
	links   map[string]string
	macs    []string
	subnets []netip.Prefix
}

// look asks for the links before the subnets: who sees a subnet go because of its interface has seen the interface go.
func look(reporters []announcers.LinkReporter) sight {
	now := sight{links: map[string]string{}}
	for _, l := range reporters {
		maps.Copy(now.links, l.LinkAddresses())
		now.macs = append(now.macs, l.HardwareAddresses()...)
		now.subnets = append(now.subnets, l.Subnets()...)
	}
	return now
}

// attach notes in the state what this node tells of its interfaces. While another node can serve, an interface that comes up counts only
// after it was up for a while, so that it does not draw addresses to and fro; the others know its hardware address before. One that goes
// down counts no more at once. A subnet that goes while the interfaces stay is kept for a while, so that an address which is deleted and
// added again moves nothing. It returns after how long to ask again, zero when only a change makes a difference.
func (s *Speaker) attach(now time.Time, others bool, state *membership.State) time.Duration {
	reporters := s.reporters()
	seen := look(reporters)
	hold, keep := s.Hold, s.Hold
	if !s.spoken || !others {
		hold = 0
	}
	down, again := s.attachment.links.see(now, slices.Collect(maps.Keys(seen.links)), hold, 0)
	if down {
		keep = 0
	}
	_, next := s.attachment.subnets.see(now, seen.subnets, hold, keep)
	state.Links = map[string]string{}
	for _, name := range s.attachment.links.sorted(strings.Compare) {
		state.Links[name] = seen.links[name]
	}
	state.MACs = beside(seen, state.Links)
	state.Subnets, state.SubnetsTold = s.pools.within(s.attachment.subnets.sorted(netip.Prefix.Compare)), len(reporters) > 0
	return soonest(again, next)
}

// beside returns the hardware addresses that are none of the told links, sorted and distinct. When there are too many, those of interfaces
// that work come first.
func beside(seen sight, told map[string]string) []string {
	var out []string
	known := slices.Collect(maps.Values(told))
	for _, mac := range slices.Concat(slices.Sorted(maps.Values(seen.links)), slices.Sorted(slices.Values(seen.macs))) {
		if !slices.Contains(known, mac) && !slices.Contains(out, mac) && len(out) < membership.MaxUses {
			out = append(out, mac)
		}
	}
	slices.Sort(out)
	return out
}

// onSubnets returns the subnets of the live speakers by node. Speakers that do not tell theirs are not in it.
func (w World) onSubnets() map[string][]netip.Prefix {
	out := make(map[string][]netip.Prefix, len(w.Members))
	for _, m := range w.Members {
		if m.Known && m.State.SubnetsTold {
			out[m.Name] = m.State.Subnets
		}
	}
	return out
}

// onLink keeps the candidates that are on the subnets of the group's addresses as far as there are such. It comes before preferences: a
// claim on a segment where the address does not belong is heard by nobody who looks for it. It does not concern a node for which an
// advertisement names interfaces, since whoever names them knows better. While the speaker of one candidate does not tell its subnets, it
// concerns nobody: that speaker may be one that does not know the rule, and would name another owner than the others.
func (w World) onLink(group []claim, candidates []election.Candidate) []election.Candidate {
	silent := func(c election.Candidate) bool {
		_, told := w.subnets[c.Node]
		return !told
	}
	if len(candidates) < 2 || slices.ContainsFunc(candidates, silent) {
		return candidates
	}
	var all []netip.Addr
	for _, c := range group {
		all = append(all, c.service.Addresses...)
	}
	return election.OnLink(candidates, all, func(node string, a netip.Addr) bool {
		return named(group, node) || slices.ContainsFunc(w.subnets[node], func(p netip.Prefix) bool { return p.Contains(a) })
	})
}

// named says whether an advertisement names interfaces of the node for a Service of the group.
func named(group []claim, node string) bool {
	return slices.ContainsFunc(group, func(c claim) bool { return len(c.nodes[node].interfaces) > 0 })
}
