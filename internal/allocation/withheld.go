// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"maps"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"metalsuite.io/api/reason"
)

// withheld returns why nobody may be granted the address; nil when somebody may.
func (a *Allocator) withheld(address netip.Addr) *reason.Problem {
	if problem := a.unfit(address); problem != nil {
		return problem
	}
	return a.conflicts[address]
}

// unfit returns why the address is not for Services of ours, whether one holds it or not; nil when it is.
func (a *Allocator) unfit(address netip.Addr) *reason.Problem {
	if r, ok := a.forbidden[address]; ok {
		return reason.New(r, "%s: %s", address, r.Text().Sentence)
	}
	if keys := a.occupied[address]; len(keys) > 0 {
		return reason.New(reason.AddressInUse, "%s is in use by Service %s, which %s", address, keys[0], a.foreign[keys[0]].why)
	}
	return nil
}

// barred returns why the Service may not be granted the address, whoever holds it; nil when it may.
func (a *Allocator) barred(s *request, address netip.Addr) *reason.Problem {
	if problem := a.withheld(address); problem != nil {
		return problem
	}
	return a.spare(s.Key, address)
}

// passedOver names a few addresses of the pools that nobody holds and that are withheld; empty when there are none. Equal states give
// equal texts.
func (a *Allocator) passedOver(families []Family, pools []*poolState) string {
	const most = 3
	var texts []string
	for _, p := range pools {
		for _, s := range p.spans {
			if !slices.Contains(families, s.family()) {
				continue
			}
			for _, address := range a.withheldIn(s) {
				if !p.usable(address) || a.holdings[address] != nil {
					continue
				}
				if len(texts) == most {
					return passed(texts, " and others")
				}
				texts = append(texts, address.String()+" ("+string(a.withheld(address).Reason)+")")
			}
		}
	}
	return passed(texts, "")
}

func passed(texts []string, more string) string {
	if len(texts) == 0 {
		return ""
	}
	return "; passed over: " + strings.Join(texts, ", ") + more
}

// withheldIn returns the withheld addresses of a span in their order.
func (a *Allocator) withheldIn(s *span) []netip.Addr {
	all := a.allWithheld()
	from := sort.Search(len(all), func(i int) bool { return !all[i].Less(s.bounds.From()) })
	to := sort.Search(len(all), func(i int) bool { return s.bounds.To().Less(all[i]) })
	return all[from:to]
}

// allWithheld are the withheld addresses in order; they are sorted when they have changed.
func (a *Allocator) allWithheld() []netip.Addr {
	if a.sorted == nil {
		all := slices.Collect(maps.Keys(a.forbidden))
		all = slices.AppendSeq(all, maps.Keys(a.occupied))
		all = slices.AppendSeq(all, maps.Keys(a.conflicts))
		slices.SortFunc(all, netip.Addr.Compare)
		a.sorted = append([]netip.Addr{}, slices.Compact(all)...)
	}
	return a.sorted
}
