// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"
	"slices"
	"sort"

	"github.com/mdlayher/ndp"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/l2/link"
)

// needs is what the sockets have to serve.
type needs struct {
	// prefixes are what the sockets let up, sorted; empty means everything.
	prefixes []netip.Prefix
	// six is whether there is anything to do for IPv6.
	six bool
}

// serves says whether a protocol is needed and possible on an interface. ARP always is: with its socket an interface proves that it can
// be used.
func (n needs) serves(p protocol, l link.Link) bool {
	return p.kind() == link.ARP || n.six && l.LinkLocal.IsValid()
}

// needs returns what the present wishes need.
func (a *Announcer) needs() needs {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.needed
}

// filterExactly is up to how many addresses the kernel is told each one. With more it is told the prefixes that they come from, so that
// its program stays short; what it lets up then about the addresses of other nodes is looked at here.
const filterExactly = 256

// nothing is a prefix that no question is about: the unspecified address.
var nothing = netip.PrefixFrom(netip.IPv6Unspecified(), 128)

// needsOf returns what the sockets have to let up: never less than what concerns a desired address.
func needsOf(d announcers.Desired) needs {
	n := needs{prefixes: wanted(d)}
	six := func(a netip.Addr) bool { return a.Is6() && !a.Is4In6() }
	n.six = slices.ContainsFunc(d.Prefixes, func(p netip.Prefix) bool { return six(p.Addr()) }) ||
		slices.ContainsFunc(d.Addresses, func(w announcers.Address) bool { return six(w.Addr) })
	return n
}

// wanted returns the prefixes to filter by, sorted and distinct.
func wanted(d announcers.Desired) []netip.Prefix {
	var out []netip.Prefix
	switch {
	case len(d.Addresses) == 0:
		return []netip.Prefix{nothing}
	case len(d.Addresses) > filterExactly && len(d.Prefixes) == 0:
		return nil
	case len(d.Addresses) > filterExactly:
		out = slices.SortedFunc(slices.Values(d.Prefixes), netip.Prefix.Compare)
	}
	known := out
	for _, w := range d.Addresses {
		if !covers(known, w.Addr) {
			out = append(out, netip.PrefixFrom(w.Addr, w.Addr.BitLen()))
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// covers says whether one of the prefixes, sorted, has the address. Of nested ones it may overlook the outer, which does no harm.
func covers(prefixes []netip.Prefix, a netip.Addr) bool {
	after := sort.Search(len(prefixes), func(i int) bool { return a.Less(prefixes[i].Addr()) })
	return after > 0 && prefixes[after-1].Contains(a)
}

// groups returns the multicast groups that each interface has to listen to, sorted: questions about an IPv6 address go to the group of
// its last 24 bits (RFC 4291 2.7.1). They belong to a generation of the decision; when it is the known one there are none to return.
func (a *Announcer) groups(known uint64) (map[int][]netip.Addr, uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.generation == known {
		return nil, known
	}
	out := map[int][]netip.Addr{}
	for c := range a.decided.claims {
		if c.addr.Is4() {
			continue
		}
		if group, err := ndp.SolicitedNodeMulticast(c.addr); err == nil {
			out[c.index] = append(out[c.index], group)
		}
	}
	for index, groups := range out {
		slices.SortFunc(groups, netip.Addr.Compare)
		out[index] = slices.Compact(groups)
	}
	return out, a.generation
}
