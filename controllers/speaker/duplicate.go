// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/allocation"
)

// duplicates returns, by key, which of their addresses Services have to leave to another one, each with why. Two Services bear an
// address that they may not share when two controllers have decided at the same time; until one of them has healed that, every speaker
// announces the address for the senior one alone, so that the network is not told two things.
func duplicates(services []Service) map[string]map[netip.Addr]*reason.Problem {
	var refused map[string]map[netip.Addr]*reason.Problem
	for address, bearers := range sharedAddresses(services) {
		slices.SortFunc(bearers, func(x, y *Service) int { return x.Seniority.Compare(y.Seniority) })
		var stay []allocation.Tenant
		for _, s := range bearers {
			problem := crowded(s.Tenant, stay, address)
			if problem == nil {
				stay = append(stay, s.Tenant)
				continue
			}
			if refused == nil {
				refused = map[string]map[netip.Addr]*reason.Problem{}
			}
			if refused[s.Key] == nil {
				refused[s.Key] = map[netip.Addr]*reason.Problem{}
			}
			refused[s.Key][address] = problem
		}
	}
	return refused
}

// sharedAddresses returns the bearers of every address that more than one Service bears.
func sharedAddresses(services []Service) map[netip.Addr][]*Service {
	first := make(map[netip.Addr]*Service, len(services))
	shared := map[netip.Addr][]*Service{}
	for i := range services {
		for _, a := range services[i].Addresses {
			switch other := first[a]; {
			case other == nil:
				first[a] = &services[i]
			case other.Key == services[i].Key || slices.Contains(shared[a], &services[i]):
			case shared[a] == nil:
				shared[a] = []*Service{other, &services[i]}
			default:
				shared[a] = append(shared[a], &services[i])
			}
		}
	}
	return shared
}

// crowded says why a Service may not be on an address beside those that stay; nil when it may.
func crowded(s allocation.Tenant, stay []allocation.Tenant, address netip.Addr) *reason.Problem {
	for _, other := range stay {
		if why := allocation.MayShare(s, other, address); why != nil {
			return reason.New(reason.AddressDuplicate, "%s is announced for the older Service %s (%s)", address, other.Key, why.Reason)
		}
	}
	return nil
}

// without returns the Service without the addresses that it has to leave to another one. The given one is not changed.
func (s Service) without(refused map[netip.Addr]*reason.Problem) Service {
	if len(refused) > 0 {
		s.Addresses = slices.DeleteFunc(slices.Clone(s.Addresses), func(a netip.Addr) bool { return refused[a] != nil })
	}
	return s
}

// firstWithheld is the first of the problems with addresses in their order; nil when there is none.
func firstWithheld(addresses []netip.Addr, refused map[netip.Addr]*reason.Problem) *reason.Problem {
	for _, a := range addresses {
		if problem := refused[a]; problem != nil {
			return problem
		}
	}
	return nil
}
