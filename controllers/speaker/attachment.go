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

// attach notes in the state what this node tells of its interfaces: the union of what the announcers know. While another node can serve, an
// interface that comes up counts only after it was up for a while, so that it does not draw addresses to and fro; the others know its
// hardware address before. One that goes down counts no more at once. A subnet that goes while the interfaces stay is kept for a while, so
// that an address which is deleted and added again moves nothing. It returns after how long to ask again, zero when only a change makes a
// difference.
func (s *Speaker) attach(now time.Time, others bool, state *membership.State) time.Duration {
	links := map[string]string{}
	var macs []string
	var subnets []netip.Prefix
	reporters := s.reporters()
	state.SubnetsTold = len(reporters) > 0
	for _, l := range reporters {
		maps.Copy(links, l.LinkAddresses())
		macs = append(macs, l.HardwareAddresses()...)
		subnets = append(subnets, l.Subnets()...)
	}
	hold := s.Hold
	if !s.spoken || !others {
		hold = 0
	}
	down, again := s.attachment.links.see(now, slices.Collect(maps.Keys(links)), hold, 0)
	keep := s.Hold
	if down {
		keep = 0
	}
	_, next := s.attachment.subnets.see(now, subnets, hold, keep)
	state.Links, state.MACs, state.Subnets = map[string]string{}, nil, s.attachment.subnets.sorted(netip.Prefix.Compare)
	for _, name := range s.attachment.links.sorted(strings.Compare) {
		state.Links[name] = links[name]
	}
	state.MACs = beside(macs, state.Links)
	return soonest(again, next)
}

// beside returns the hardware addresses that are none of these links, sorted and distinct.
func beside(macs []string, links map[string]string) []string {
	told := slices.Collect(maps.Values(links))
	out := slices.DeleteFunc(macs, func(mac string) bool { return slices.Contains(told, mac) })
	slices.Sort(out)
	return slices.Compact(out)
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
