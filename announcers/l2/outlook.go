// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// outlook is what the caller learns of the host; a change of it is told through Changed.
type outlook struct {
	fit          *reason.Problem
	macs         map[string]string
	usable       []string
	subnets      []netip.Prefix
	unsuitable   map[netip.Addr]*reason.Problem
	inside       inside
	announcement map[netip.Addr]announcers.State
}

// outlook returns what the caller learns now. The caller holds the mutex.
func (a *Announcer) outlook() outlook {
	return outlook{
		fit: a.fit(), macs: hardware(a.ports), usable: usable(a.ports), subnets: subnets(a.ports), unsuitable: a.unsuitable, inside: a.inside,
		announcement: a.decided.states,
	}
}

func (o outlook) equal(p outlook) bool {
	return reflect.DeepEqual(o.fit, p.fit) && maps.Equal(o.macs, p.macs) && slices.Equal(o.usable, p.usable) && slices.Equal(o.subnets, p.subnets) &&
		reflect.DeepEqual(o.unsuitable, p.unsuitable) && o.inside.equal(p.inside) && reflect.DeepEqual(o.announcement, p.announcement)
}

// inside is the part of the addresses on internal interfaces that matters to the caller. A service proxy keeps thousands of others there,
// and changes them with every Service of the cluster.
type inside struct {
	// held are the addresses that a Service may have; proxies are the interfaces with an address that only a service proxy configures, sorted.
	held    map[netip.Addr]holding
	proxies []string
}

// insideOf picks the part of the addresses that the prefixes have, which are sorted; all of them when there are no prefixes. The proxied
// addresses are sorted.
func insideOf(local map[netip.Addr]holding, prefixes []netip.Prefix, proxied []netip.Addr) inside {
	in, proxies := inside{held: map[netip.Addr]holding{}}, map[string]struct{}{}
	for a, h := range local {
		if !h.internal {
			continue
		}
		if len(prefixes) == 0 || covers(prefixes, a) {
			in.held[a] = h
		}
		if _, found := slices.BinarySearchFunc(proxied, a, netip.Addr.Compare); found {
			for _, nic := range h.interfaces {
				proxies[nic] = struct{}{}
			}
		}
	}
	in.proxies = slices.Sorted(maps.Keys(proxies))
	return in
}

func (i inside) equal(j inside) bool {
	return slices.Equal(i.proxies, j.proxies) && maps.EqualFunc(i.held, j.held, holding.equal)
}

// look takes the inside from the addresses and the desired prefixes. The caller holds the mutex.
func (a *Announcer) look() inside {
	prefixes := slices.SortedFunc(slices.Values(a.desired.Prefixes), netip.Prefix.Compare)
	return insideOf(a.local, prefixes, a.desired.Proxied)
}

// lookAgain follows a change of the desired prefixes. The caller knows the uses that it asked for, so it is told of the difference: an address
// may have come after it asked. The caller holds the mutex.
func (a *Announcer) lookAgain() {
	before := a.inside
	if a.inside = a.look(); !a.inside.equal(before) {
		signal(a.changed)
	}
}
