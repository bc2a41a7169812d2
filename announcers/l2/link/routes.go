// SPDX-License-Identifier: Apache-2.0

package link

import (
	"maps"
	"net/netip"
	"slices"
)

// Routes is what the routes of a host say about its neighbourhood at one moment.
type Routes struct {
	// NextHops are the gateways of all unicast routes of all tables and both families: distinct, sorted, without zone.
	NextHops []netip.Addr
	// OnLink are, by interface index, the subnets that a route leads to without a gateway: masked, sorted, distinct. Default routes,
	// routes to single addresses, link-local IPv6 and multicast are not among them.
	OnLink map[int][]netip.Prefix
}

// Equal says whether two observations are the same.
func (r Routes) Equal(o Routes) bool {
	return slices.Equal(r.NextHops, o.NextHops) && maps.EqualFunc(r.OnLink, o.OnLink, slices.Equal[[]netip.Prefix])
}

// collector gathers Routes from single routes, so that a large table need not be kept.
type collector struct {
	nextHops map[netip.Addr]bool
	onLink   map[onLink]bool
}

type onLink struct {
	index  int
	prefix netip.Prefix
}

func newCollector() *collector {
	return &collector{nextHops: map[netip.Addr]bool{}, onLink: map[onLink]bool{}}
}

// add notes a route.
func (c *collector) add(r route) {
	if !r.unicast {
		return
	}
	for _, h := range r.hops {
		switch {
		case h.gateway.IsValid() && !h.gateway.IsUnspecified():
			c.nextHops[h.gateway.WithZone("")] = true
		case r.direct && h.index != 0 && isSubnet(r.to):
			c.onLink[onLink{h.index, r.to}] = true
		}
	}
}

func isSubnet(p netip.Prefix) bool {
	return p.IsValid() && p.Bits() > 0 && !p.IsSingleIP() && !p.Addr().IsMulticast() && !isLinkLocal6(p.Addr())
}

func (c *collector) routes() Routes {
	r := Routes{NextHops: slices.SortedFunc(maps.Keys(c.nextHops), netip.Addr.Compare), OnLink: map[int][]netip.Prefix{}}
	for o := range c.onLink {
		r.OnLink[o.index] = append(r.OnLink[o.index], o.prefix)
	}
	for _, of := range r.OnLink {
		slices.SortFunc(of, netip.Prefix.Compare)
	}
	return r
}
