// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"cmp"
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
	// Peers are the routers that this node speaks with, sorted by name, with the routes of each. LeftOut says of other BGPPeers of this node,
	// by name, why it does not speak with them; Warned has a warning about some of Peers. Pending are the names of those whose passwords have
	// not been read yet.
	Peers           []announcers.Peer
	LeftOut, Warned map[string]*reason.Problem
	Pending         []string
	// Drain is whether the traffic is to leave this node.
	Drain bool
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
	// Peers are the names of the routers that this node tells of it, sorted.
	Peers []string
	// SharedProblem says why announcers that need no owner do not announce it, or no router is told of it, from this node; nil when they do
	// or are not to. SharedSpeaks is whether this node is the one that tells users of it; what concerns one node of several is told by nobody.
	SharedProblem *reason.Problem
	SharedSpeaks  bool
	// Exclusive is whether an owner is to announce it, from any node. Problem says why none does; nil when there is one. It is SharedProblem
	// when the same keeps everybody from announcing.
	Exclusive bool
	Problem   *reason.Problem
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
	plan := Plan{Verdicts: make(map[string]Verdict, len(w.Services)), Drain: w.draining()}
	neighbours := w.neighbours()
	plan.LeftOut, plan.Warned, plan.Pending = neighbours.leftOut, neighbours.warned, neighbours.pending
	refused := w.withheld()
	w.subnets, w.pools = w.onSubnets(), map[string]*reason.Problem{}
	w.unserved = reason.New(reason.ComponentDisabled, "no announcer for L2Advertisements is running")
	if len(refused) > 0 {
		w.Services = slices.Clone(w.Services)
	}
	verdicts := make([]Verdict, len(w.Services))
	var claims []claim
	bearers := make([]bearer, 0, len(w.Services))
	routing := w.routing(neighbours.peers)
	for i := range w.Services {
		s := &w.Services[i]
		taken := firstWithheld(s.Addresses, refused[s.Key])
		if len(refused[s.Key]) > 0 {
			*s = s.without(refused[s.Key])
		}
		c, by, v := w.judge(*s, routing)
		v.Withheld = taken
		if len(s.Addresses) == 0 {
			v.Problem, v.SharedHere = taken, false
		} else if v.Problem == nil {
			claims = append(claims, c)
		}
		if v.SharedHere {
			for _, a := range s.Addresses {
				bearers = append(bearers, bearer{address: a, service: i, by: by})
			}
		}
		verdicts[i] = v
	}
	routing.announce(&plan, bearers, verdicts)
	for i := range w.Services {
		plan.Verdicts[w.Services[i].Key] = verdicts[i]
	}
	for _, group := range groups(claims) {
		plan.settle(group, w)
	}
	return plan
}

// judge looks at one Service by itself: how an owner may announce it, and whether announcers that need none do, through what.
func (w World) judge(s Service, r *routing) (claim, *selection, Verdict) {
	v := Verdict{Addresses: s.Addresses}
	pool, problem := w.poolOf(s)
	by := r.of(pool, s)
	v.Shared = len(by.all) > 0
	if problem != nil {
		v.Problem = problem
		return claim{}, by, v
	}
	c, unclaimed := w.claim(s, pool)
	v.Exclusive = unclaimed == nil || unclaimed.Reason == reason.SharingExcludesServiceSelectors
	if problem := w.announceable(s, v.Shared); problem != nil {
		v.Problem = problem
		if v.Shared && w.Routed {
			v.SharedProblem, v.SharedSpeaks = problem, w.first()
		}
		return claim{}, by, v
	}
	v.SharedHere, v.SharedProblem, v.SharedSpeaks = w.sharedHere(s, by)
	v.Problem = unclaimed
	return c, by, v
}

// first says whether this node tells users what concerns all nodes alike: the first one with a live speaker does.
func (w World) first() bool { return len(w.Members) > 0 && w.Members[0].Name == w.Self }

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

// announceable checks what every kind of announcement needs.
func (w World) announceable(s Service, shared bool) *reason.Problem {
	switch {
	case w.Ownerless && !shared:
		return w.unserved // nobody need be told that endpoints are missing for what is not to be announced
	case len(s.ServingNodes) == 0:
		return reason.New(reason.NoEndpoints, "")
	}
	return nil
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

// claim collects what the L2Advertisements say of a Service.
func (w World) claim(s Service, pool string) (claim, *reason.Problem) {
	if w.Ownerless {
		return claim{}, w.unserved
	}
	ads := w.Policy.L2(pool, s.Labels)
	if len(ads) == 0 {
		return claim{}, w.unselected(pool)
	}
	c := claim{service: s, nodes: map[string]reach{}}
	for _, ad := range ads {
		if ad.ServiceSelected && s.Shares {
			return claim{}, reason.New(reason.SharingExcludesServiceSelectors, "L2Advertisement %s has serviceSelectors and the Service shares its address", ad.Name)
		}
		for node, preference := range ad.Nodes {
			c.nodes[node] = c.nodes[node].with(preference, ad.Interfaces)
		}
	}
	if len(c.nodes) == 0 {
		return claim{}, w.unselected(pool)
	}
	return c, nil
}

// unselected says that no L2Advertisement selects Services of a pool; the sentence is made once for all of them.
func (w World) unselected(pool string) *reason.Problem {
	said := w.pools[pool]
	if said == nil {
		said = reason.New(reason.NoMatchingAdvertisement, "no L2Advertisement selects pool %s, this Service and a node", pool)
		w.pools[pool] = said
	}
	return said
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
		return "", cmp.Or(w.missingSpeaker(group, nodes), why)
	}
	return owner, nil
}

// missingSpeaker returns the problem that nobody announces a group because the nodes with its endpoints, or the nodes that its advertisements
// select, have no live speaker; nil when that is not so.
func (w World) missingSpeaker(group []claim, nodes map[string]int) *reason.Problem {
	for _, c := range group {
		selected := func(node string) bool { _, ok := nodes[node]; return ok }
		if problem := w.endpointsWithoutSpeaker(c.service, selected); problem != nil {
			return problem
		}
	}
	return speakerless(w, "L2Advertisements select", nodes)
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
	if problem := w.barred(node); problem != nil {
		return problem
	}
	for _, c := range group {
		if c.service.Local && !c.service.ServingNodes[node] {
			return reason.New(reason.NoLocalEndpoints, "")
		}
	}
	return nil
}

// barred says why a node must not announce anything.
func (w World) barred(node string) *reason.Problem {
	switch n := w.Nodes[node]; {
	case n.NetworkUnavailable:
		return reason.New(reason.NodeNetworkUnavailable, "the network of node %s is not available", node)
	case n.Excluded && !w.IgnoreExcludeLabel:
		return reason.New(reason.NodeExcluded, "node %s is labelled node.kubernetes.io/exclude-from-external-load-balancers", node)
	}
	return nil
}
