// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"maps"
	"net/netip"
	"slices"
	"sort"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/internal/election"
)

// Plan is what this node does about every Service.
type Plan struct {
	// Exclusive is what announcers get that announce an address from one node: the addresses this node owns.
	Exclusive []announcers.Address
	// Shared is what announcers get that announce an address from every selected node.
	Shared []announcers.Address
	// Verdicts say for every Service, by key, who announces it and why not.
	Verdicts map[string]Verdict
}

// Verdict is what was decided on one Service.
type Verdict struct {
	// Owner is the node that announces the Service through exclusive announcers; empty when nobody does.
	Owner string
	// Addresses are those of the Service.
	Addresses []netip.Addr
	// Interfaces are those that this node announces it on, sorted; empty means every usable one.
	Interfaces []string
	// Problem says why nobody announces it; nil when somebody does.
	Problem *reason.Problem
}

// claim is a Service that may be announced, with the nodes that may do so and their preference.
type claim struct {
	service    Service
	nodes      map[string]int
	interfaces []string
}

// Decide is a pure function: every speaker that sees the same world names the same owner of every address.
//
// Services that share an address are decided together: the nodes that all of them allow are the candidates, and the lowest address of
// the group is the key of the election, so that one address never has two owners.
func Decide(w World) Plan {
	plan := Plan{Verdicts: make(map[string]Verdict, len(w.Services))}
	claims := make([]claim, 0, len(w.Services))
	for _, s := range w.Services {
		plan.Verdicts[s.Key] = Verdict{Addresses: s.Addresses}
		c, problem := w.claim(s)
		if problem != nil {
			plan.Verdicts[s.Key] = Verdict{Addresses: s.Addresses, Problem: problem}
			continue
		}
		claims = append(claims, c)
	}
	live := w.live()
	for _, group := range groups(claims) {
		owner, problem := w.elect(group, live)
		for _, c := range group {
			plan.Verdicts[c.service.Key] = Verdict{Owner: owner, Addresses: c.service.Addresses, Interfaces: c.interfaces, Problem: problem}
		}
		if owner == w.Self && owner != "" {
			plan.Exclusive = append(plan.Exclusive, addresses(group)...)
		}
	}
	return plan
}

// claim checks what does not depend on who is alive: the pool, the endpoints, the advertisements.
func (w World) claim(s Service) (claim, *reason.Problem) {
	pool, problem := w.poolOf(s)
	if problem != nil {
		return claim{}, problem
	}
	if len(s.ServingNodes) == 0 {
		return claim{}, reason.New(reason.NoEndpoints, "")
	}
	c := claim{service: s, nodes: map[string]int{}}
	all := false
	for _, ad := range w.Policy.L2(pool, s.Labels) {
		for node, preference := range ad.Nodes {
			c.nodes[node] += preference
		}
		if _, mine := ad.Nodes[w.Self]; mine {
			all = all || len(ad.Interfaces) == 0
			c.interfaces = append(c.interfaces, ad.Interfaces...)
		}
	}
	if all {
		c.interfaces = nil
	}
	slices.Sort(c.interfaces)
	c.interfaces = slices.Compact(c.interfaces)
	if len(c.nodes) == 0 {
		return claim{}, reason.New(reason.NoMatchingAdvertisement, "no L2Advertisement selects pool %s, this Service and a node", pool)
	}
	return c, nil
}

// poolOf returns the one pool that holds all addresses.
func (w World) poolOf(s Service) (string, *reason.Problem) {
	pool := ""
	for _, a := range s.Addresses {
		p, ok := w.Policy.PoolHolding(a, s.Pool)
		if !ok {
			return "", reason.New(reason.AddressNotInPool, "address %s is in no IPAddressPool", a)
		}
		pool = p
	}
	return pool, nil
}

// live says of every node with a live speaker whether it is fit.
func (w World) live() election.Live {
	live := make(election.Live, len(w.Members))
	for _, m := range w.Members {
		live[m.Name] = m.State.Fit
	}
	return live
}

// elect returns the owner of a group of Services, or why it has none.
func (w World) elect(group []claim, live election.Live) (string, *reason.Problem) {
	var candidates []election.Candidate
	why := reason.New(reason.NoMatchingAdvertisement, "no node with a live speaker is selected by an L2Advertisement of every Service on this address")
	nodes := allowed(group)
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		if _, alive := live[node]; !alive {
			continue
		}
		if problem := w.blocked(node, group); problem != nil {
			why = problem
			continue
		}
		candidates = append(candidates, election.Candidate{Node: node, Preference: nodes[node]})
	}
	owner, ok := election.Owner(groupKey(group), election.Eligible(candidates, live))
	if !ok {
		return "", why
	}
	return owner, nil
}

// blocked says why a live, selected node must not announce the group.
func (w World) blocked(node string, group []claim) *reason.Problem {
	switch n := w.Nodes[node]; {
	case n.NetworkUnavailable:
		return reason.New(reason.NodeNetworkUnavailable, "the network of node %s is not available", node)
	case n.Excluded && !w.IgnoreExcludeLabel:
		return reason.New(reason.NodeExcluded, "node %s is labelled node.kubernetes.io/exclude-from-external-load-balancers", node)
	}
	for _, c := range group {
		if c.service.Local && !c.service.ServingNodes[node] {
			return reason.New(reason.NoLocalEndpoints, "")
		}
	}
	return nil
}

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
