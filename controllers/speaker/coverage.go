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
}

// update takes in the policy; nothing is computed as long as it is the same one.
func (c *coverage) update(p *policy.Policy) {
	if c.policy == p {
		return
	}
	var b netipx.IPSetBuilder
	for i := range p.Pools {
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

// including returns the prefixes of the pools, and of addresses that are in none of them: those of a pool that is frozen because nobody
// can tell its ranges are announced at the word of their Services. The result must not be changed.
func (c *coverage) including(addresses []announcers.Address) []netip.Prefix {
	out, all := c.prefixes, true
	for _, a := range addresses {
		if c.set.Contains(a.Addr) {
			continue
		}
		if all {
			out, all = slices.Clone(out), false
		}
		out = append(out, netip.PrefixFrom(a.Addr, a.Addr.BitLen()))
	}
	if !all {
		slices.SortFunc(out, netip.Prefix.Compare)
	}
	return out
}
