// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"go4.org/netipx"
)

// ParseRange reads an entry of a pool: a CIDR, whose host bits are ignored, or first and last address with a hyphen between them.
// IPv4 addresses in IPv6 form and addresses with a zone are refused.
func ParseRange(entry string) (netipx.IPRange, error) {
	if first, last, ok := strings.Cut(entry, "-"); ok {
		return parseEnds(entry, strings.TrimSpace(first), strings.TrimSpace(last))
	}
	prefix, err := netip.ParsePrefix(entry)
	if err != nil || !plain(prefix.Addr()) {
		return netipx.IPRange{}, fmt.Errorf("invalid CIDR %q", entry)
	}
	return netipx.RangeOfPrefix(prefix.Masked()), nil
}

// ParseAddresses reads what ParseRange does, and a single address.
func ParseAddresses(entry string) (netipx.IPRange, error) {
	if a, err := netip.ParseAddr(strings.TrimSpace(entry)); err == nil && plain(a) {
		return netipx.IPRangeFrom(a, a), nil
	}
	return ParseRange(entry)
}

func parseEnds(entry, first, last string) (netipx.IPRange, error) {
	from, err := netip.ParseAddr(first)
	if err != nil || !plain(from) {
		return netipx.IPRange{}, fmt.Errorf("invalid IP range %q: invalid start IP %q", entry, first)
	}
	to, err := netip.ParseAddr(last)
	if err != nil || !plain(to) {
		return netipx.IPRange{}, fmt.Errorf("invalid IP range %q: invalid end IP %q", entry, last)
	}
	if from.Is4() != to.Is4() {
		return netipx.IPRange{}, fmt.Errorf("invalid IP range %q: its ends are of different families", entry)
	}
	if to.Less(from) {
		return netipx.IPRange{}, fmt.Errorf("invalid IP range %q: start IP %s is after the end IP %s", entry, from, to)
	}
	return netipx.IPRangeFrom(from, to), nil
}

func plain(a netip.Addr) bool { return a.Zone() == "" && !a.Is4In6() }

// claim is a range that a pool has.
type claim struct {
	bounds netipx.IPRange
	entry  string
	pool   string
}

// claims are disjoint and in ascending order.
type claims []claim

// overlapping returns the claims that have an address in common with the range.
func (c claims) overlapping(r netipx.IPRange) claims {
	from := sort.Search(len(c), func(i int) bool { return !c[i].bounds.To().Less(r.From()) })
	n := sort.Search(len(c)-from, func(i int) bool { return r.To().Less(c[from+i].bounds.From()) })
	return c[from : from+n]
}

// at returns the claim that contains the address.
func (c claims) at(address netip.Addr) (claim, bool) {
	i := sort.Search(len(c), func(i int) bool { return !c[i].bounds.To().Less(address) })
	if i == len(c) || address.Less(c[i].bounds.From()) {
		return claim{}, false
	}
	return c[i], true
}

// bounds returns the ranges of the claims.
func (c claims) bounds() []netipx.IPRange {
	if len(c) == 0 {
		return nil
	}
	list := make([]netipx.IPRange, len(c))
	for i := range c {
		list[i] = c[i].bounds
	}
	return list
}

// with returns the claims and what a new one adds to them, in order.
func (c claims) with(added claim) (claims, []netipx.IPRange) {
	free := subtract(added.bounds, c.overlapping(added.bounds))
	for _, piece := range free {
		i := sort.Search(len(c), func(i int) bool { return piece.To().Less(c[i].bounds.From()) })
		c = slices.Insert(c, i, claim{bounds: piece, entry: added.entry, pool: added.pool})
	}
	return c, free
}

// subtract returns the parts of a range that none of the claims has, in ascending order.
func subtract(r netipx.IPRange, taken claims) []netipx.IPRange {
	var free []netipx.IPRange
	from := r.From()
	for _, t := range taken {
		if from.Less(t.bounds.From()) {
			free = append(free, netipx.IPRangeFrom(from, t.bounds.From().Prev()))
		}
		if from = t.bounds.To().Next(); !from.IsValid() || r.To().Less(from) {
			return free
		}
	}
	return append(free, netipx.IPRangeFrom(from, r.To()))
}
