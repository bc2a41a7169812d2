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
	// prefixes are what may be asked about, sorted; empty means everything.
	prefixes []netip.Prefix
	// six is whether there is anything to do for IPv6.
	six bool
}

func (n needs) equal(o needs) bool { return n.six == o.six && slices.Equal(n.prefixes, o.prefixes) }

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

// needsOf adds to the prefixes the addresses that they do not cover, which should not be but must not be lost.
func needsOf(d announcers.Desired) needs {
	var n needs
	six := func(a netip.Addr) bool { return a.Is6() && !a.Is4In6() }
	given := slices.SortedFunc(slices.Values(d.Prefixes), netip.Prefix.Compare)
	for _, p := range given {
		n.six = n.six || six(p.Addr())
	}
	n.prefixes = given
	for _, w := range d.Addresses {
		n.six = n.six || six(w.Addr)
		if len(given) > 0 && !covers(given, w.Addr) {
			n.prefixes = append(n.prefixes, netip.PrefixFrom(w.Addr, w.Addr.BitLen()))
		}
	}
	if len(n.prefixes) > len(given) {
		slices.SortFunc(n.prefixes, netip.Prefix.Compare)
	}
	n.prefixes = slices.Compact(n.prefixes)
	return n
}

// covers says whether one of the prefixes, sorted, has the address. Of nested ones it may overlook the outer, which does no harm.
func covers(prefixes []netip.Prefix, a netip.Addr) bool {
	after := sort.Search(len(prefixes), func(i int) bool { return a.Less(prefixes[i].Addr()) })
	return after > 0 && prefixes[after-1].Contains(a)
}

// groups returns the multicast groups that each interface has to listen to, sorted: questions about an IPv6 address go to the group of
// its last 24 bits (RFC 4291 2.7.1).
func (a *Announcer) groups() map[int][]netip.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
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
	return out
}
