// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"

	"go4.org/netipx"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// subnetEdges returns the addresses of the subnets of the interfaces that no station has for itself: network and broadcast address (RFC 1122
// 3.2.1.3), and the subnet-router anycast address (RFC 4291 2.6.1). A subnet is one by an address of the interface. A route without a gateway
// makes none: administrators set it to lead to a pool, whose edges are ordinary addresses. Subnets of two addresses have no edges (RFC 3021,
// RFC 6164). Carrier does not matter: a subnet does not end with it. Of interfaces that have the same subnet the first one is named.
func subnetEdges(ports []port) map[netip.Addr]*reason.Problem {
	edges := map[netip.Addr]*reason.Problem{}
	add := func(a netip.Addr, why reason.Reason, what string, subnet netip.Prefix, p port) {
		if edges[a] == nil {
			edges[a] = reason.New(why, "%s is the %s address of %s on interface %s", a, what, subnet, p.Name)
		}
	}
	for _, p := range ports {
		if p.unfit != nil {
			continue
		}
		for _, subnet := range p.Prefixes {
			switch {
			case subnet.Addr().BitLen()-subnet.Bits() < 2:
			case subnet.Addr().Is4():
				add(subnet.Addr(), reason.NetworkAddress, "network", subnet, p)
				add(netipx.PrefixLastIP(subnet), reason.BroadcastAddress, "broadcast", subnet, p)
			default:
				add(subnet.Addr(), reason.SubnetRouterAnycast, "subnet-router anycast", subnet, p)
			}
		}
	}
	return edges
}

// unsuitable adds to the edges of subnets the addresses that this node uses itself, but for those on internal interfaces alone.
func unsuitable(edges map[netip.Addr]*reason.Problem, local map[netip.Addr]holding, nextHops map[netip.Addr]struct{}) map[netip.Addr]*reason.Problem {
	all := make(map[netip.Addr]*reason.Problem, len(edges)+len(nextHops))
	for a, p := range edges {
		all[a] = p
	}
	add := func(a netip.Addr, u announcers.Use) {
		if !u.Internal {
			all[a] = u.Problem(a)
		}
	}
	for a := range local {
		add(a, use(a, local, nextHops))
	}
	for a := range nextHops {
		add(a, use(a, local, nextHops))
	}
	return all
}
