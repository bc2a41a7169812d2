// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"

	"go4.org/netipx"

	"metalsuite.io/announcers"
	"metalsuite.io/internal/policy"
)

// coverage knows which addresses this node may be asked to announce: those of all pools, since an address of a frozen one stays with its
// Service. It is used by one goroutine.
type coverage struct {
	policy   *policy.Policy
	set      *netipx.IPSet
	prefixes []netip.Prefix
	// blurred is whether nobody can tell the ranges of a pool.
	blurred bool
}

// update takes in the policy; nothing is computed as long as it is the same one.
func (c *coverage) update(p *policy.Policy) {
	if c.policy == p {
		return
	}
	var b netipx.IPSetBuilder
	c.blurred = false
	for i := range p.Pools {
		c.blurred = c.blurred || p.Pools[i].Frozen != nil
		for _, r := range p.Pools[i].Ranges {
			b.AddRange(r)
		}
	}
	// Ranges of a policy are valid, so there is no error; an empty set would mean that everything may matter.
	set, err := b.IPSet()
	if err != nil {
		set = &netipx.IPSet{}
	}
	c.policy, c.set, c.prefixes = p, set, set.Prefixes()
}

// including returns the prefixes of the pools, and of addresses that are in none of them: the given ones, and those of Services while a pool
// is frozen because nobody can tell its ranges, since its addresses are announced at the word of their Services. The result must not be changed.
func (c *coverage) including(addresses []announcers.Address, services []Service) []netip.Prefix {
	var beside []netip.Prefix
	add := func(a netip.Addr) {
		if !c.set.Contains(a) {
			beside = append(beside, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	for _, a := range addresses {
		add(a.Addr)
	}
	if c.blurred {
		for _, s := range services {
			for _, a := range s.Addresses {
				add(a)
			}
		}
	}
	if len(beside) == 0 {
		return c.prefixes
	}
	out := slices.Concat(c.prefixes, beside)
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// mostSubnets is how many subnets a speaker tells of.
const mostSubnets = 24

// within returns those of the sorted prefixes that may have an address of a pool on them, without those that lie in another one; the lowest
// when there are too many.
func (c *coverage) within(prefixes []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range prefixes {
		inner := len(out) > 0 && out[len(out)-1].Contains(p.Addr())
		if !inner && (c.blurred || c.set.OverlapsPrefix(p)) && len(out) < mostSubnets {
			out = append(out, p)
		}
	}
	return out
}
