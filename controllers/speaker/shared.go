// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"cmp"
	"net/netip"
	"slices"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/internal/policy"
)

// sharedHere says whether announcers that need no owner announce the Service from this node, what is wrong if they do not or no router is
// told, and whether this node tells users of that. What concerns some nodes only is told by nobody: it is on those nodes' own objects, or as
// it is meant to be, as with a Service that is announced where its endpoints are. A node that is cut off does not speak for the others.
func (w World) sharedHere(s Service, by *selection) (here bool, problem *reason.Problem, speaks bool) {
	lack := by.lack(s.Addresses)
	switch {
	case len(by.all) == 0:
		return false, nil, false
	case len(by.live) == 0:
		return false, by.unselected, w.Routed && w.first() && !w.Isolated
	case len(by.here) == 0:
		return false, lack.problem, lack.nowhere && w.first()
	}
	if problem := w.blocked(w.Self, []claim{{service: s}}); problem != nil {
		nowhere := w.Routed && !w.Isolated && by.live[0] == w.Self && !by.somewhere(s)
		if nowhere && problem.Reason == reason.NoLocalEndpoints {
			problem = cmp.Or(w.endpointsWithoutSpeaker(s, func(node string) bool { return selects(by.all, node) }), problem)
		}
		return false, problem, nowhere
	}
	if problem := by.refused(s.Addresses); problem != nil {
		return false, problem, by.spokesman(w) == w.Self
	}
	return true, lack.problem, lack.nowhere && w.first()
}

// somewhere says whether any node may announce the Service.
func (s *selection) somewhere(service Service) bool {
	if !service.Local {
		return len(s.able) > 0
	}
	return slices.ContainsFunc(s.able, func(node string) bool { return service.ServingNodes[node] })
}

// refused says why the Service is not announced to routers from this node although a BGPAdvertisement selects it here; nil when it is.
func (s *selection) refused(addresses []netip.Addr) *reason.Problem {
	families := 0
	for _, a := range addresses {
		families |= 1 << family(a)
	}
	return s.conflicts[families]
}

// spokesman is the node that tells users what is wrong with the advertisements that apply here: the first one with a live speaker among
// those that all of them select.
func (s *selection) spokesman(w World) string {
	for _, m := range w.Members {
		if !slices.ContainsFunc(s.here, func(ad policy.BGP) bool { _, selected := ad.Nodes[m.Name]; return !selected }) {
			return m.Name
		}
	}
	return ""
}

// lack is that no BGPPeer takes what the advertisements announce; the zero value is that one does. One that this node cannot speak with now
// takes it all the same.
type lack struct {
	problem *reason.Problem
	// nowhere is whether that is so on every node.
	nowhere bool
}

// lack returns what lacks for any of the addresses, first what lacks on every node.
func (s *selection) lack(addresses []netip.Addr) lack {
	var found lack
	for _, a := range addresses {
		if l := s.lacks[family(a)]; l.nowhere && !found.nowhere || found.problem == nil {
			found = l
		}
	}
	return found
}

// eitherFamily is no family in particular.
const eitherFamily = -1

// lack finds out what lacks for addresses of a family.
func (r *routing) lack(s *selection, family int) lack {
	if !r.world.Routed || len(s.all) == 0 || r.meant(s.here, r.world.Self, family) {
		return lack{}
	}
	if !r.meantAnywhere(s.all, family) {
		return lack{untaken(s.all[0].Name, ", on any node", family, r.meantAnywhere(s.all, eitherFamily)), true}
	}
	if len(s.here) == 0 {
		return lack{}
	}
	return lack{untaken(s.here[0].Name, " from node "+r.world.Self, family, r.meant(s.here, r.world.Self, eitherFamily)), false}
}

// untaken says that no BGPPeer takes what an advertisement announces; other is whether one takes addresses of the other family.
func untaken(advertisement, where string, family int, other bool) *reason.Problem {
	if !other {
		return reason.New(reason.NoPeers, "no BGPPeer accepts the routes of BGPAdvertisement %s%s", advertisement, where)
	}
	names := [2]string{"IPv4", "IPv6"}
	return reason.New(reason.NoPeers, "no BGPPeer accepts the %s addresses that BGPAdvertisement %s announces%s: a session with an %s peer carries %s only with dualStackAddressFamily",
		names[family], advertisement, where, names[1-family], names[family])
}

func (r *routing) meantAnywhere(ads []policy.BGP, family int) bool {
	return slices.ContainsFunc(ads, func(ad policy.BGP) bool {
		for node := range ad.Nodes {
			if r.meant([]policy.BGP{ad}, node, family) {
				return true
			}
		}
		return false
	})
}

// meant says whether a BGPPeer of the node, whose session carries the family, is meant by one of the advertisements.
func (r *routing) meant(ads []policy.BGP, node string, family int) bool {
	return slices.ContainsFunc(r.world.Policy.Peers, func(p policy.Peer) bool {
		_, speaks := p.Nodes[node]
		session := announcers.PeerSettings{Address: p.Address, BothFamilies: p.Spec.DualStackAddressFamily}
		return speaks && (family == eitherFamily || carries(&session, family == 0)) &&
			slices.ContainsFunc(ads, func(ad policy.BGP) bool { return len(ad.Peers) == 0 || slices.Contains(ad.Peers, p.Name) })
	})
}
