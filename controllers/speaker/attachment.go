// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"maps"
	"net/netip"
	"slices"

	"metalsuite.io/announcers"
	"metalsuite.io/internal/election"
)

// links returns the hardware addresses that this node's claims come from, by interface.
func (s *Speaker) links() map[string]string {
	links := map[string]string{}
	for _, m := range s.modules {
		if l, ok := m.Announcer.(announcers.LinkReporter); ok {
			maps.Copy(links, l.LinkAddresses())
		}
	}
	return links
}

// subnets returns what is on the link of this node's interfaces, sorted and distinct: the union of what the announcers know.
func (s *Speaker) subnets() []netip.Prefix {
	var all []netip.Prefix
	for _, m := range s.modules {
		if l, ok := m.Announcer.(announcers.LinkReporter); ok {
			all = append(all, l.Subnets()...)
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// onSubnets returns the subnets of the live speakers by node. Those of speakers that tell none are not in it.
func (w World) onSubnets() map[string][]netip.Prefix {
	out := make(map[string][]netip.Prefix, len(w.Members))
	for _, m := range w.Members {
		if m.Known && len(m.State.Subnets) > 0 {
			out[m.Name] = m.State.Subnets
		}
	}
	return out
}

// onLink keeps the candidates that are on the subnets of the group's addresses as far as there are such. It comes before preferences: a
// claim on a segment where the address does not belong is heard by nobody who looks for it. It does not concern a node for which an
// advertisement names interfaces, since whoever names them knows better, nor one whose speaker tells no subnets.
func (w World) onLink(group []claim, candidates []election.Candidate) []election.Candidate {
	if len(candidates) < 2 || len(w.subnets) == 0 {
		return candidates
	}
	var all []netip.Addr
	for _, c := range group {
		all = append(all, c.service.Addresses...)
	}
	return election.OnLink(candidates, all, func(node string, a netip.Addr) bool {
		subnets, told := w.subnets[node]
		return !told || named(group, node) || slices.ContainsFunc(subnets, func(p netip.Prefix) bool { return p.Contains(a) })
	})
}

// named says whether an advertisement names interfaces of the node for a Service of the group.
func named(group []claim, node string) bool {
	return slices.ContainsFunc(group, func(c claim) bool { return len(c.nodes[node].interfaces) > 0 })
}
