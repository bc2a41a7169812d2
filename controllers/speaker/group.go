// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"
	"sort"

	"metalsuite.io/announcers"
	"metalsuite.io/internal/election"
)

// allowed returns the nodes that every Service of the group allows, with the sum of their preferences.
func allowed(group []claim) map[string]int {
	nodes := map[string]int{}
	for node, preference := range group[0].nodes {
		nodes[node] = preference
	}
	for _, c := range group[1:] {
		for node := range nodes {
			preference, ok := c.nodes[node]
			if !ok {
				delete(nodes, node)
				continue
			}
			nodes[node] += preference
		}
	}
	return nodes
}

// groupKey returns the address that stands for the group in the election.
func groupKey(group []claim) netip.Addr {
	var all []netip.Addr
	for _, c := range group {
		all = append(all, c.service.Addresses...)
	}
	key, _ := election.Key(all)
	return key
}

// addresses returns the distinct addresses of a group with the union of their Services and interfaces.
func addresses(group []claim) []announcers.Address {
	byAddr := map[netip.Addr]*announcers.Address{}
	everywhere := map[netip.Addr]bool{}
	for _, c := range group {
		for _, a := range c.service.Addresses {
			if byAddr[a] == nil {
				byAddr[a] = &announcers.Address{Addr: a}
			}
			byAddr[a].Services = append(byAddr[a].Services, c.service.Key)
			byAddr[a].Interfaces = append(byAddr[a].Interfaces, c.interfaces...)
			everywhere[a] = everywhere[a] || len(c.interfaces) == 0
		}
	}
	out := make([]announcers.Address, 0, len(byAddr))
	for a, address := range byAddr {
		if everywhere[a] {
			address.Interfaces = nil
		}
		slices.Sort(address.Services)
		slices.Sort(address.Interfaces)
		address.Interfaces = slices.Compact(address.Interfaces)
		out = append(out, *address)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Addr.Less(out[j].Addr) })
	return out
}

// groups divides claims so that two Services are in one group when they have an address in common, directly or through others.
func groups(claims []claim) [][]claim {
	parent := make([]int, len(claims))
	for i := range parent {
		parent[i] = i
	}
	first := map[netip.Addr]int{}
	for i, c := range claims {
		for _, a := range c.service.Addresses {
			if j, seen := first[a]; seen {
				parent[find(parent, i)] = find(parent, j)
			} else {
				first[a] = i
			}
		}
	}
	index := map[int]int{}
	var out [][]claim
	for i, c := range claims {
		root := find(parent, i)
		if _, ok := index[root]; !ok {
			index[root] = len(out)
			out = append(out, nil)
		}
		out[index[root]] = append(out[index[root]], c)
	}
	return out
}

// find returns the root of i, with path halving.
func find(parent []int, i int) int {
	for parent[i] != i {
		parent[i] = parent[parent[i]]
		i = parent[i]
	}
	return i
}
