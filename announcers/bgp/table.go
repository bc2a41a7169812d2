// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"net/netip"
	"slices"

	"metalsuite.io/announcers"
)

// gracefulShutdown is the well-known community of what is about to go (RFC 8326 4.4).
const gracefulShutdown = 0xFFFF0000

// drainPreference is the local preference of a route that is about to go: lower than what anybody chooses. RFC 8326 4.2 has 0, which
// here means that none is sent.
const drainPreference = 1

// wish is what a peer is to have.
type wish struct {
	// routes are distinct and sorted by prefix.
	routes []announcers.Route
	// marked is whether the routes are about to go, withdrawn whether they have gone.
	marked, withdrawn bool
}

// carriage is what a session is able to carry.
type carriage struct {
	ipv4, ipv6 bool
	// nextHop4 and nextHop6 are the next hops of routes of the family; not valid when it is our address on the session.
	nextHop4, nextHop6 netip.Addr
	// plain4 is the next hop of IPv4 routes for a peer that takes no IPv6 next hop for them; not valid when there is none.
	plain4 netip.Addr
}

func (c carriage) carries(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return c.ipv4
	}
	return c.ipv6
}

func (c carriage) nextHop(p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		return c.nextHop4
	}
	return c.nextHop6
}

// plain returns the next hop for a peer that takes no IPv6 next hop for an IPv4 prefix.
func (c carriage) plain(p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		return c.plain4
	}
	return netip.Addr{}
}

// manner is how a route is announced: everything but its prefix.
type manner struct {
	announcers.Attributes
	nextHop, plain netip.Addr
}

func (m manner) equal(o manner) bool {
	return m.nextHop == o.nextHop && m.plain == o.plain && m.LocalPref == o.LocalPref && m.MED == o.MED && m.HasMED == o.HasMED && m.Prepend == o.Prepend &&
		slices.Equal(m.Communities, o.Communities) && slices.Equal(m.LargeCommunities, o.LargeCommunities)
}

// table is what a router was told to announce. There may be tens of thousands of routes, and few manners that they are announced in.
type table struct {
	routes map[netip.Prefix]*manner
	// recent are the manners that were made last, the newest at the end; a manner is not changed.
	recent []*manner
	// lengths are how many routes there are of each family's prefix lengths.
	lengths map[length]int
}

// recentManners is how many manners are remembered to be shared.
const recentManners = 16

type length struct {
	four bool
	bits int
}

func lengthOf(p netip.Prefix) length { return length{p.Addr().Is4(), p.Bits()} }

func newTable() *table {
	return &table{routes: map[netip.Prefix]*manner{}, lengths: map[length]int{}}
}

// difference returns what makes the table what it is to be: what to withdraw and what to announce, in the order of prefixes. A table that
// is followed is set with apply.
func (t *table) difference(w wish, c carriage) (withdraw []netip.Prefix, announce []Announcement) {
	wanted := func(p netip.Prefix) bool { return !w.withdrawn && c.carries(p) }
	kept := 0
	for _, r := range w.routes {
		if !wanted(r.Prefix) {
			continue
		}
		next := manner{Attributes: r.Attributes, nextHop: c.nextHop(r.Prefix), plain: c.plain(r.Prefix)}
		if w.marked {
			next.Attributes = marked(r.Attributes)
		}
		have, ok := t.routes[r.Prefix]
		if ok {
			kept++
		}
		if !ok || !have.equal(next) {
			announce = append(announce, Announcement{
				Route: announcers.Route{Prefix: r.Prefix, Attributes: next.Attributes}, NextHop: next.nextHop, NextHop4: next.plain,
			})
		}
	}
	if kept == len(t.routes) {
		return nil, announce
	}
	for p := range t.routes {
		if _, found := find(w.routes, p); !found || !wanted(p) {
			withdraw = append(withdraw, p)
		}
	}
	slices.SortFunc(withdraw, netip.Prefix.Compare)
	return withdraw, announce
}

// apply notes what was withdrawn and announced.
func (t *table) apply(withdraw []netip.Prefix, announce []Announcement) {
	for _, p := range withdraw {
		if _, ok := t.routes[p]; !ok {
			continue
		}
		delete(t.routes, p)
		if t.lengths[lengthOf(p)]--; t.lengths[lengthOf(p)] == 0 {
			delete(t.lengths, lengthOf(p))
		}
	}
	for _, a := range announce {
		if _, ok := t.routes[a.Prefix]; !ok {
			t.lengths[lengthOf(a.Prefix)]++
		}
		t.routes[a.Prefix] = t.manner(a)
	}
}

// manner returns how a route is announced, which several routes share.
func (t *table) manner(a Announcement) *manner {
	next := manner{Attributes: a.Attributes, nextHop: a.NextHop, plain: a.NextHop4}
	for _, m := range slices.Backward(t.recent) {
		if m.equal(next) {
			return m
		}
	}
	if len(t.recent) == recentManners {
		t.recent = slices.Delete(t.recent, 0, 1)
	}
	t.recent = append(t.recent, &next)
	return &next
}

// covers says whether a route of the table contains the address.
func (t *table) covers(a netip.Addr) bool {
	for l := range t.lengths {
		if l.four != a.Is4() {
			continue
		}
		if p, err := a.Prefix(l.bits); err == nil {
			if _, ok := t.routes[p]; ok {
				return true
			}
		}
	}
	return false
}

// of counts the routes of the families.
func (t *table) of(four, six bool) int {
	n := 0
	for l, count := range t.lengths {
		if l.four && four || !l.four && six {
			n += count
		}
	}
	return n
}

// marked returns the attributes of a route that is about to go (RFC 8326 4.2).
func marked(a announcers.Attributes) announcers.Attributes {
	if at, found := slices.BinarySearch(a.Communities, gracefulShutdown); !found {
		a.Communities = slices.Insert(slices.Clone(a.Communities), at, uint32(gracefulShutdown))
	}
	a.LocalPref = drainPreference
	return a
}

// find searches a prefix among routes that are sorted by prefix.
func find(routes []announcers.Route, p netip.Prefix) (int, bool) {
	return slices.BinarySearchFunc(routes, p, func(r announcers.Route, p netip.Prefix) int { return r.Prefix.Compare(p) })
}

// covering says whether a route of the list contains the address. Routes are sorted by prefix; lengths are those that occur.
func covering(routes []announcers.Route, lengths []length, a netip.Addr) bool {
	for _, l := range lengths {
		if l.four != a.Is4() {
			continue
		}
		p, err := a.Prefix(l.bits)
		if err != nil {
			continue
		}
		if _, found := find(routes, p); found {
			return true
		}
	}
	return false
}

// lengthsOf returns the prefix lengths that occur.
func lengthsOf(routes []announcers.Route) []length {
	var out []length
	for _, r := range routes {
		if l := lengthOf(r.Prefix); !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}
