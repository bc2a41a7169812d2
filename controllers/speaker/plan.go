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
	// Addresses are those of the Service, but for any that it has to leave to another one.
	Addresses []netip.Addr
	// Interfaces are those that this node announces it on as its owner, sorted; empty means every usable one.
	Interfaces []string
	// Shared is whether announcers that need no owner are to announce it, from any node; SharedHere, from this one.
	Shared, SharedHere bool
	// Problem says why no owner announces it; nil when there is one.
	Problem *reason.Problem
	// Withheld says why no node announces an address of the Service: another Service bears it too, or a node uses it itself. It is nil
	// when there is no such address.
	Withheld *reason.Problem
}

// Decide is a pure function: every speaker that sees the same world names the same owner of every address.
//
// An address that a node uses itself is announced by nobody. One that Services bear although they may not share it belongs to the senior
// one alone.
// Services that share an address are decided together: the nodes that all of them allow are the candidates, and the lowest address of
// the group is the key of the election, so that one address never has two owners.
func Decide(w World) Plan {
	plan := Plan{Verdicts: make(map[string]Verdict, len(w.Services))}
	var claims, shared []claim
	refused := w.withheld()
	w.subnets = w.onSubnets()
	for _, s := range w.Services {
		taken := firstWithheld(s.Addresses, refused[s.Key])
		s = s.without(refused[s.Key])
		pool, problem := w.announceable(s)
		v := Verdict{Addresses: s.Addresses, Shared: len(w.Policy.BGP(pool, s.Labels)) > 0, Withheld: taken}
		if len(s.Addresses) == 0 {
			problem = taken
		}
		if problem == nil && w.sharedHere(s, pool) {
			v.SharedHere = true
			shared = append(shared, claim{service: s})
		}
		var c claim
		if problem == nil {
			c, problem = w.claim(s, pool)
		}
		if problem == nil {
			claims = append(claims, c)
		}
		v.Problem = problem
		plan.Verdicts[s.Key] = v
	}
	plan.Shared = addresses(shared, w.Self)
	for _, group := range groups(claims) {
		plan.settle(group, w)
	}
	return plan
}

// settle elects the owner of a group and notes what that means for this node.
func (p *Plan) settle(group []claim, w World) {
	owner, problem := w.elect(group)
	for _, c := range group {
		v := p.Verdicts[c.service.Key]
		v.Owner, v.Problem, v.Interfaces = owner, problem, c.nodes[w.Self].interfaces
		p.Verdicts[c.service.Key] = v
	}
	if owner == w.Self && owner != "" {
		p.Exclusive = append(p.Exclusive, addresses(group, w.Self)...)
	}
}

// announceable checks what every kind of announcement needs, and returns the pool of the addresses.
func (w World) announceable(s Service) (string, *reason.Problem) {
	pool, problem := w.poolOf(s)
	switch {
	case problem != nil:
	case w.Ownerless && len(w.Policy.BGP(pool, s.Labels)) == 0:
		problem = unserved() // nobody need be told that endpoints are missing for what is not to be announced
	case len(s.ServingNodes) == 0:
		problem = reason.New(reason.NoEndpoints, "")
	}
	return pool, problem
}

func unserved() *reason.Problem {
	return reason.New(reason.ComponentDisabled, "no announcer runs that announces what L2Advertisements select")
}

// poolOf returns the one pool that holds all addresses.
func (w World) poolOf(s Service) (string, *reason.Problem) {
	pool := ""
	for _, a := range s.Addresses {
		p, ok := w.Policy.PoolHolding(a, s.Pool)
		switch {
		case !ok:
			return "", reason.New(reason.AddressNotInPool, "address %s is in no IPAddressPool", a)
		case pool != "" && p != pool:
			return "", reason.New(reason.AddressNotInPool, "address %s is in pool %s and the other one in pool %s", a, p, pool)
		}
		pool = p
	}
	return pool, nil
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

// claim collects what the L2Advertisements say of a Service.
func (w World) claim(s Service, pool string) (claim, *reason.Problem) {
	if w.Ownerless {
		return claim{}, unserved()
	}
	c := claim{service: s, nodes: map[string]reach{}}
	for _, ad := range w.Policy.L2(pool, s.Labels) {
		if ad.ServiceSelected && s.Shares {
			return claim{}, reason.New(reason.SharingExcludesServiceSelectors, "L2Advertisement %s has serviceSelectors and the Service shares its address", ad.Name)
		}
		for node, preference := range ad.Nodes {
			c.nodes[node] = c.nodes[node].with(preference, ad.Interfaces)
		}
	}
	if len(c.nodes) == 0 {
		return claim{}, reason.New(reason.NoMatchingAdvertisement, "no L2Advertisement selects pool %s, this Service and a node", pool)
	}
	return c, nil
}

// elect returns the owner of a group of Services, or why it has none. A node that was cut off from all others and is not sure of itself
// elects nobody: whoever is on the other side serves.
func (w World) elect(group []claim) (string, *reason.Problem) {
	if w.Isolated {
		return "", reason.New(reason.NoCarrier, "node %s is cut off from the other nodes", w.Self)
	}
	var candidates []election.Candidate
	why := reason.New(reason.NoMatchingAdvertisement, "no node with a live speaker is selected by an L2Advertisement of every Service on this address")
	nodes := allowed(group)
	live := w.live(group)
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
	owner, ok := election.Owner(groupKey(group), w.onLink(group, election.Eligible(candidates, live)))
	if !ok {
		return "", why
	}
	return owner, nil
}

// live says of every node with a live speaker whether it is fit for the group: able to announce, and on an interface that is wanted. A
// speaker that has not told its state yet has read nothing and announces nothing: it does not count.
func (w World) live(group []claim) election.Live {
	live := make(election.Live, len(w.Members))
	for _, m := range w.Members {
		if m.Known {
			live[m.Name] = m.State.Fit && carried(group, m.Name, m.State.Links)
		}
	}
	return live
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
