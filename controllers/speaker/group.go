// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"
	"sort"

	"metalsuite.io/announcers"
	"metalsuite.io/internal/election"
)

// claim is a Service that may be announced, with the nodes that may do so.
type claim struct {
	service Service
	nodes   map[string]reach
}

// reach is how a Service may be announced from one node.
type reach struct {
	preference int
	// interfaces are those that the advertisements name, sorted and distinct; empty means every usable one.
	interfaces []string
	named      bool
}

// with adds what one more advertisement says: preferences add up, interfaces unite, and one that names none opens them all.
func (r reach) with(preference int, interfaces []string) reach {
	r.preference += preference
	switch {
	case len(interfaces) == 0, r.named && len(r.interfaces) == 0:
		r.interfaces = nil
	default:
		r.interfaces = slices.Compact(slices.Sorted(slices.Values(slices.Concat(r.interfaces, interfaces))))
	}
	r.named = true
	return r
}

// carried says whether a node has, for each Service of the group, an interface to announce on. Links are the interfaces that work there;
// a speaker that tells none is taken at its word that it is fit.
func carried(group []claim, node string, links map[string]string) bool {
	for _, c := range group {
		wanted := c.nodes[node].interfaces
		works := func(name string) bool { return links[name] != "" }
		if len(links) > 0 && len(wanted) > 0 && !slices.ContainsFunc(wanted, works) {
			return false
		}
	}
	return true
}

// allowed returns the nodes that every Service of the group allows, with the sum of their preferences.
func allowed(group []claim) map[string]int {
	nodes := map[string]int{}
	for node, r := range group[0].nodes {
		nodes[node] = r.preference
	}
	for _, c := range group[1:] {
		for node := range nodes {
			r, ok := c.nodes[node]
			if !ok {
				delete(nodes, node)
				continue
			}
			nodes[node] += r.preference
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

// addresses returns the distinct addresses of a group as a node announces them, with the union of their Services and interfaces.
func addresses(group []claim, node string) []announcers.Address {
	services := map[netip.Addr][]string{}
	reached := map[netip.Addr]reach{}
	for _, c := range group {
		for _, a := range c.service.Addresses {
			services[a] = append(services[a], c.service.Key)
			reached[a] = reached[a].with(0, c.nodes[node].interfaces)
		}
	}
	out := make([]announcers.Address, 0, len(services))
	for a, keys := range services {
		slices.Sort(keys)
		out = append(out, announcers.Address{Addr: a, Services: keys, Interfaces: reached[a].interfaces})
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
