// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/internal/policy"
	"metalsuite.io/internal/route"
)

// routing is what the BGPAdvertisements ask of this node, in one decision. Services that the same ones select are treated alike, so what
// follows from those is found out once.
type routing struct {
	world World
	peers []announcers.Peer
	ads   map[string]*route.Advertisement
	sets  map[string]*selection
	key   []byte
}

func (w World) routing(peers []announcers.Peer) *routing {
	return &routing{world: w, peers: peers, ads: map[string]*route.Advertisement{}, sets: map[string]*selection{}}
}

// selection are the BGPAdvertisements that select a Service.
type selection struct {
	all []policy.BGP
	// here are those of them that this node announces for, and the same as values for the computation of routes.
	here    []policy.BGP
	through []*route.Advertisement
	// peers are the names of the routers that are told of an IPv4 address and of an IPv6 address, sorted.
	peers [2][]string
	// conflicts say why an address of neither family, of one of them and of both cannot be announced.
	conflicts [4]*reason.Problem
	// lacks say of each family that no router is told.
	lacks [2]lack
	// live are the nodes with a live speaker that any of them selects, in the order of the members; able are those of them whose own state
	// does not keep them from announcing.
	live, able []string
	// unselected says that there is no such node.
	unselected *reason.Problem
}

// family is the index of an address in arrays by family.
func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// of returns the advertisements that select a Service whose addresses are of a pool.
func (r *routing) of(pool string, s Service) *selection {
	ads := r.world.Policy.BGP(pool, s.Labels)
	r.key = r.key[:0]
	for i := range ads {
		r.key = append(append(r.key, ads[i].Name...), '/')
	}
	found := r.sets[string(r.key)]
	if found == nil {
		found = r.selection(ads)
		r.sets[string(r.key)] = found
	}
	return found
}

func (r *routing) selection(ads []policy.BGP) *selection {
	s := &selection{all: ads}
	for _, ad := range ads {
		if _, mine := ad.Nodes[r.world.Self]; mine {
			s.here = append(s.here, ad)
			s.through = append(s.through, r.advertisement(ad))
		}
	}
	for families := range s.conflicts {
		s.conflicts[families] = policy.ConflictingLocalPrefs(s.here, r.world.Self, families&1 != 0, families&2 != 0)
	}
	for _, p := range r.peers {
		for i := range s.peers {
			if carries(&p.PeerSettings, i == 0) && slices.ContainsFunc(s.through, func(ad *route.Advertisement) bool { return ad.Means(p.Name) }) {
				s.peers[i] = append(s.peers[i], p.Name)
			}
		}
	}
	for i := range s.lacks {
		s.lacks[i] = r.lack(s, i)
	}
	for _, m := range r.world.Members {
		if selects(ads, m.Name) {
			s.live = append(s.live, m.Name)
			if r.world.barred(m.Name) == nil {
				s.able = append(s.able, m.Name)
			}
		}
	}
	if len(ads) > 0 && len(s.live) == 0 {
		s.unselected = cmp.Or(speakerless(r.world, "BGPAdvertisements select", selectedNodes(ads)),
			reason.New(reason.NoMatchingAdvertisement, "BGPAdvertisement %s selects no node", ads[0].Name))
	}
	return s
}

// selectedNodes are the nodes that any of the advertisements selects.
func selectedNodes(ads []policy.BGP) map[string]int {
	nodes := map[string]int{}
	for _, ad := range ads {
		maps.Copy(nodes, ad.Nodes)
	}
	return nodes
}

// selects says whether any of the advertisements selects a node.
func selects(ads []policy.BGP, node string) bool {
	return slices.ContainsFunc(ads, func(ad policy.BGP) bool { _, selected := ad.Nodes[node]; return selected })
}

// advertisement returns an advertisement as routes are computed from it; one of a name is the same for every pool.
func (r *routing) advertisement(ad policy.BGP) *route.Advertisement {
	if known := r.ads[ad.Name]; known != nil {
		return known
	}
	out := &route.Advertisement{Length4: ad.Length4, Length6: ad.Length6, Peers: ad.Peers, Attributes: route.Attributes{
		LocalPref: ad.LocalPref, MED: ad.MED, HasMED: ad.HasMED, Prepend: ad.Prepend,
	}}
	for _, c := range ad.Communities {
		if c.Large {
			out.LargeCommunities = append(out.LargeCommunities, c.Parts)
		} else {
			out.Communities = append(out.Communities, c.Parts[0]<<16|c.Parts[1])
		}
	}
	r.ads[ad.Name] = out
	return out
}

// bearer is an address of a Service that is announced to routers from here.
type bearer struct {
	address netip.Addr
	// service is the index of the Service in the world.
	service int
	by      *selection
}

// announce notes in the plan what routers are told of the addresses, and in the verdicts, which are those of the Services in their order,
// which routers that are.
func (r *routing) announce(plan *Plan, bearers []bearer, verdicts []Verdict) {
	services := r.world.Services
	slices.SortFunc(bearers, func(a, b bearer) int {
		if c := a.address.Compare(b.address); c != 0 {
			return c
		}
		return strings.Compare(services[a.service].Key, services[b.service].Key)
	})
	claims := make([]route.Claim, 0, len(bearers))
	plan.Shared = make([]announcers.Address, 0, len(bearers))
	keys := make([]string, len(bearers))
	for start, end := 0, 0; start < len(bearers); start = end {
		for end = start; end < len(bearers) && bearers[end].address == bearers[start].address; end++ {
			keys[end] = services[bearers[end].service].Key
		}
		together := bearers[start:end]
		plan.Shared = append(plan.Shared, announcers.Address{Addr: together[0].address, Services: keys[start:end:end]})
		claims = append(claims, route.Claim{Address: together[0].address, Through: through(together)})
		r.attribute(together, verdicts)
	}
	plan.Peers = r.tell(claims, bearers, verdicts)
}

// through returns the advertisements of all bearers of one address.
func through(together []bearer) []*route.Advertisement {
	all := together[0].by.through
	for _, b := range together[1:] {
		if b.by != together[0].by {
			all = slices.Concat(all, b.by.through)
		}
	}
	return all
}

// attribute notes for each Service on one address the routers that are told of it through any of them.
func (r *routing) attribute(together []bearer, verdicts []Verdict) {
	if !r.world.Routed || r.world.draining() {
		return
	}
	f := family(together[0].address)
	told := together[0].by.peers[f]
	for _, b := range together[1:] {
		told = united(told, b.by.peers[f])
	}
	for _, b := range together {
		v := &verdicts[b.service]
		v.Peers = united(v.Peers, told)
	}
}

// united returns the sorted union of sorted slices and leaves both as they are.
func united(a, b []string) []string {
	switch {
	case len(b) == 0 || slices.Equal(a, b):
		return a
	case len(a) == 0:
		return b
	}
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}

// tell returns the routers with their routes, each with those of the families that its session carries. Routers with the same routes have
// parts of one slice.
func (r *routing) tell(claims []route.Claim, bearers []bearer, verdicts []Verdict) []announcers.Peer {
	names := make([]string, len(r.peers))
	for i := range r.peers {
		names[i] = r.peers[i].Name
	}
	converted := map[*route.Route][]announcers.Route{}
	refusals := map[string][]route.Refusal{}
	peers := slices.Clone(r.peers)
	for i, p := range route.Compute(claims, names) {
		if refused := carriedRefusals(&peers[i].PeerSettings, p.Refusals); len(refused) > 0 {
			refusals[p.Name] = refused
		}
		if len(p.Routes) == 0 {
			continue
		}
		routes := converted[&p.Routes[0]]
		if routes == nil {
			routes = make([]announcers.Route, len(p.Routes))
			for j := range p.Routes {
				routes[j] = announcers.Route{Prefix: p.Routes[j].Prefix, Attributes: announcers.Attributes(p.Routes[j].Attributes)}
			}
			converted[&p.Routes[0]] = routes
		}
		peers[i].Routes = carriedRoutes(&peers[i].PeerSettings, routes)
	}
	r.refuse(refusals, bearers, verdicts)
	return peers
}

// carriedRoutes returns the part of routes that a session carries. They are sorted, IPv4 before IPv6 (netip.Prefix.Compare).
func carriedRoutes(s *announcers.PeerSettings, routes []announcers.Route) []announcers.Route {
	other := sort.Search(len(routes), func(i int) bool { return !routes[i].Prefix.Addr().Is4() })
	if !carries(s, true) {
		routes = routes[other:]
	} else if !carries(s, false) {
		routes = routes[:other:other]
	}
	if len(routes) == 0 {
		return nil
	}
	return routes
}

func carriedRefusals(s *announcers.PeerSettings, refusals []route.Refusal) []route.Refusal {
	return slices.DeleteFunc(slices.Clone(refusals), func(r route.Refusal) bool { return !carries(s, r.Prefix.Addr().Is4()) })
}

// refuse notes for the Services on refused prefixes that a router is not told of them.
func (r *routing) refuse(refusals map[string][]route.Refusal, bearers []bearer, verdicts []Verdict) {
	for _, name := range slices.Sorted(maps.Keys(refusals)) {
		why := make(map[netip.Prefix]*reason.Problem, len(refusals[name]))
		for _, refusal := range refusals[name] {
			why[refusal.Prefix] = refusal.Problem
		}
		for _, b := range bearers {
			if problem, told := b.refused(name, why); problem != nil {
				v := &verdicts[b.service]
				v.SharedProblem, v.SharedSpeaks = problem, b.by.spokesman(r.world) == r.world.Self
				if !told {
					v.Peers = slices.DeleteFunc(slices.Clone(v.Peers), func(p string) bool { return p == name })
				}
			}
		}
	}
}

// refused says why a router is not told of a prefix that the address lies in, and whether it is told of another one.
func (b bearer) refused(peer string, why map[netip.Prefix]*reason.Problem) (problem *reason.Problem, told bool) {
	for _, ad := range b.by.through {
		if !ad.Means(peer) {
			continue
		}
		prefix, ok := ad.Prefix(b.address)
		if refused := why[prefix]; refused != nil {
			problem = refused
		} else {
			told = told || ok
		}
	}
	return problem, told
}
