// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"maps"
	"net/netip"
	"slices"

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
	// Shared is whether announcers that need no owner have been asked to announce it as well.
	Shared bool
	// Problem says why no owner announces it; nil when there is one.
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
	var shared []claim
	for _, s := range w.Services {
		pool, problem := w.announceable(s)
		if problem == nil && w.sharedHere(s, pool) {
			shared = append(shared, claim{service: s})
		}
		var c claim
		if problem == nil {
			c, problem = w.claim(s, pool)
		}
		if problem != nil {
			plan.Verdicts[s.Key] = Verdict{Addresses: s.Addresses, Problem: problem, Shared: w.sharedAnywhere(s, pool)}
			continue
		}
		claims = append(claims, c)
	}
	plan.Shared = addresses(shared)
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

// announceable checks what every kind of announcement needs, and returns the pool of the addresses.
func (w World) announceable(s Service) (string, *reason.Problem) {
	pool, problem := w.poolOf(s)
	if problem == nil && len(s.ServingNodes) == 0 {
		problem = reason.New(reason.NoEndpoints, "")
	}
	return pool, problem
}

// sharedHere says whether announcers that need no owner announce the Service from this node.
func (w World) sharedHere(s Service, pool string) bool {
	if w.blocked(w.Self, []claim{{service: s}}) != nil {
		return false
	}
	for _, ad := range w.Policy.BGP(pool, s.Labels) {
		if _, mine := ad.Nodes[w.Self]; mine {
			return true
		}
	}
	return false
}

// sharedAnywhere says whether a BGPAdvertisement selects the Service, on any node.
func (w World) sharedAnywhere(s Service, pool string) bool {
	return len(w.Policy.BGP(pool, s.Labels)) > 0
}

// claim collects what the L2Advertisements say of a Service.
func (w World) claim(s Service, pool string) (claim, *reason.Problem) {
	c := claim{service: s, nodes: map[string]int{}}
	all := false
	for _, ad := range w.Policy.L2(pool, s.Labels) {
		if ad.ServiceSelected && s.Shares {
			return claim{}, reason.New(reason.SharingExcludesServiceSelectors, "L2Advertisement %s has serviceSelectors and the Service shares its address", ad.Name)
		}
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
