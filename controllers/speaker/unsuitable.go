// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/membership"
)

// unsuitable returns the addresses of pools that no Service is to be granted because of this node, each with why: those that it uses itself
// while no Service bears them (else uses has them), and the edges of its subnets. Addresses in the status of a Node are left out, since the
// controller knows them from there. The order is that of importance: uses before edges, then by address; the list is bounded.
func (s *Speaker) unsuitable(w World) ([]netip.Addr, map[netip.Addr]*reason.Problem) {
	found := map[netip.Addr]*reason.Problem{}
	for _, l := range s.reporters() {
		for a, why := range l.Unsuitable() {
			if s.pools.set.Contains(a) && (found[a] == nil || !edge(why)) {
				found[a] = why
			}
		}
	}
	for a := range s.used {
		delete(found, a)
	}
	if len(found) == 0 {
		return nil, nil
	}
	for _, n := range w.Nodes {
		for _, a := range n.Addresses {
			delete(found, a)
		}
	}
	order := make([]netip.Addr, 0, len(found))
	for a := range found {
		order = append(order, a)
	}
	slices.SortFunc(order, func(a, b netip.Addr) int {
		if x, y := edge(found[a]), edge(found[b]); x != y {
			return map[bool]int{true: 1, false: -1}[x]
		}
		return a.Compare(b)
	})
	return order[:min(len(order), membership.MaxUses)], found
}

// edge says whether the address is the edge of a subnet, else the node uses it.
func edge(p *reason.Problem) bool {
	switch p.Reason {
	case reason.NetworkAddress, reason.BroadcastAddress, reason.SubnetRouterAnycast:
		return true
	default:
		return false
	}
}

// reporter returns the node that tells users of an unsuitable address: the first live one that knows of it.
func (w World) reporter(a netip.Addr) string {
	for _, m := range w.Members {
		if m.Known && slices.Contains(m.State.Unsuitable, a) {
			return m.Name
		}
	}
	return ""
}

// unborne returns the reports on the unsuitable addresses of this node.
func (o Outcome) unborne() map[netip.Addr]report {
	out := make(map[netip.Addr]report, len(o.Unsuitable))
	for a, p := range o.Unsuitable {
		s := sighting{why: p.Reason, detail: p.Detail, withdrawn: !edge(p) || p.Reason == reason.SubnetRouterAnycast && !o.World.routes(a)}
		out[a] = report{sighting: s, followed: true, muted: o.World.reporter(a) != o.Node}
	}
	return out
}

// routes says whether BGPAdvertisements and BGPPeers let any node announce an address of a Service to a router. Endpoints, sessions and
// speakers come and go; they do not matter here.
func (w World) routes(a netip.Addr) bool {
	if !w.Routed {
		return false
	}
	r := w.routing(nil)
	return slices.ContainsFunc(w.Services, func(s Service) bool {
		if !slices.Contains(s.Addresses, a) {
			return false
		}
		pool, problem := w.poolOf(s)
		return problem == nil && r.meantAnywhere(w.Policy.BGP(pool, s.Labels), family(a))
	})
}
