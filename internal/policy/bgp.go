// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"net/netip"
	"slices"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// BGP is what one BGPAdvertisement says on a pool and a Service.
type BGP struct {
	// Name of the BGPAdvertisement.
	Name string
	// Length4 and Length6 are the prefix lengths that addresses are announced with.
	Length4, Length6 int
	// LocalPref is the local preference; 0 means unset.
	LocalPref uint32
	// MED is the multi-exit discriminator when HasMED is set; Prepend is how many times our ASN is put in front of the path once more.
	MED     uint32
	HasMED  bool
	Prepend uint8
	// Communities are distinct and sorted.
	Communities []Community
	// Peers are names of BGPPeers, sorted; empty means every peer.
	Peers []string
	// Nodes that announce; the numbers have no meaning.
	Nodes map[string]int
	// ServiceSelected is true when the advertisement chooses among Services.
	ServiceSelected bool
}

type bgpAdvertisement struct {
	BGP
	services selectors
}

// BGP returns what each BGPAdvertisement of the pool that matches the labels of a Service says, sorted by name.
func (p *Policy) BGP(pool string, serviceLabels map[string]string) []BGP {
	var out []BGP
	for _, ad := range p.bgp[pool] {
		if ad.services.matchesOrEmpty(serviceLabels) {
			out = append(out, ad.BGP)
		}
	}
	return out
}

func (p *Policy) compileBGP(o Objects, found findings) {
	p.bgp = map[string][]bgpAdvertisement{}
	p.BFDProfiles = compileProfiles(o, found)
	p.Peers = compilePeers(o, p.BFDProfiles, found, p.noted)
	aliases := compileAliases(o, found)
	finest := finestPrefixes(o.Pools)
	for _, in := range byAge(o.BGPAdvertisements) {
		p.compileBGPAdvertisement(in, o, aliases, finest, found)
	}
	for _, ads := range p.bgp {
		slices.SortFunc(ads, func(a, b bgpAdvertisement) int { return cmp.Compare(a.Name, b.Name) })
	}
}

// compileBGPAdvertisement adds an advertisement to the pools that it selects; those that are older are there already. A pool whose ranges
// are finer than its aggregation length is left out, as is one that an older advertisement contradicts; the others are announced. That a community is not defined yet hides nothing else that is wrong: it is said last.
func (p *Policy) compileBGPAdvertisement(in *v1beta1.BGPAdvertisement, o Objects, aliases map[string]Community, finest map[string][]prefixOf, found findings) {
	ref := ObjectRef{KindBGPAdvertisement, in.Name}
	ad, pools, problem := readBGPAdvertisement(in, o)
	communities, unknown, invalid := readCommunities(in.Spec.Communities, aliases)
	ad.Communities = communities
	nodes := scopeOf(in.Spec.NodeSelectors, ad.Nodes)
	if problem := firstOf(problem, invalid); problem != nil {
		found.addOn(nodes, ref, problem)
		pools = nil
	} else {
		selection{in.Spec.IPAddressPools, in.Spec.IPAddressPoolSelectors, in.Spec.NodeSelectors, pools, ad.Nodes}.note(ref, o, p.noted)
	}
	for _, pool := range pools {
		if problem := ad.tooCoarse(pool, finest[pool]); problem != nil {
			found.addOn(nodes, ref, problem)
		} else if problem := p.contradicted(pool, &ad, finest[pool]); problem != nil && unknown == nil {
			found.addOn(nodes, ref, problem)
		} else if unknown == nil {
			p.bgp[pool] = append(p.bgp[pool], ad)
		}
	}
	found.addOn(nodes, ref, unknown)
	if problem == nil && invalid == nil {
		p.noted.addOn(nodes, ref, p.unknownPeers(ad.Peers))
	}
}

// unknownPeers says which peers there are not. It stops nothing: the others are served, and objects come in any order.
func (p *Policy) unknownPeers(names []string) *reason.Problem {
	unknown := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(p.Peers, func(peer Peer) bool { return peer.Name == name })
	})
	if len(unknown) == 0 {
		return nil
	}
	return reason.New(reason.UnknownPeer, "no valid BGPPeer %s", quoted(unknown))
}

// readBGPAdvertisement reads everything but the communities.
func readBGPAdvertisement(in *v1beta1.BGPAdvertisement, o Objects) (bgpAdvertisement, []string, *reason.Problem) {
	spec := &in.Spec
	pools, poolProblem := selectPools(spec.IPAddressPools, spec.IPAddressPoolSelectors, o.Pools)
	nodes, nodeProblem := selectNodes(spec.NodeSelectors, o.Nodes)
	services, serviceProblem := compileSelectors("serviceSelectors", spec.ServiceSelectors)
	ad := bgpAdvertisement{services: services, BGP: BGP{
		Name: in.Name, Length4: length(spec.AggregationLength, 32), Length6: length(spec.AggregationLengthV6, 128), LocalPref: spec.LocalPref,
		Peers: slices.Sorted(slices.Values(spec.Peers)), Nodes: nodes, ServiceSelected: len(services) > 0,
	}}
	return ad, pools, firstOf(poolProblem, nodeProblem, serviceProblem, repeated("peers", spec.Peers), ad.wrongLength(), ad.readMetrics(spec))
}

// maxPrepend is how often our ASN may be put in front of a path; the schema says the same.
const maxPrepend = 10

// readMetrics reads what makes the way through us more or less attractive.
func (ad *bgpAdvertisement) readMetrics(spec *v1beta1.BGPAdvertisementSpec) *reason.Problem {
	if spec.MED != nil {
		ad.MED, ad.HasMED = *spec.MED, true
	}
	if spec.ASPathPrepend < 0 || spec.ASPathPrepend > maxPrepend {
		return reason.New(reason.InvalidMetric, "invalid asPathPrepend %d: must be from 0 to %d", spec.ASPathPrepend, maxPrepend)
	}
	ad.Prepend = uint8(spec.ASPathPrepend)
	return nil
}

func length(given *int32, otherwise int) int {
	if given == nil {
		return otherwise
	}
	return int(*given)
}

func (ad *bgpAdvertisement) wrongLength() *reason.Problem {
	switch {
	case ad.Length4 < 1 || ad.Length4 > 32:
		return reason.New(reason.InvalidAggregation, "invalid aggregation length %d for IPv4", ad.Length4)
	case ad.Length6 < 0 || ad.Length6 > 128:
		return reason.New(reason.InvalidAggregation, "invalid aggregation length %d for IPv6", ad.Length6)
	case ad.ServiceSelected && (ad.Length4 != 32 || ad.Length6 != 128):
		return reason.New(reason.InvalidAggregation, "serviceSelectors and aggregationLength are mutually exclusive")
	}
	return nil
}

func (ad *bgpAdvertisement) tooCoarse(pool string, finest []prefixOf) *reason.Problem {
	for _, f := range finest {
		length := ad.Length6
		if f.prefix.Addr().Is4() {
			length = ad.Length4
		}
		if length < f.prefix.Bits() {
			return reason.New(reason.InvalidAggregation,
				"pool %q: invalid aggregation length %d: prefix %d in this pool is more specific than the aggregation length for addresses %s",
				pool, length, f.prefix.Bits(), f.entry)
		}
	}
	return nil
}

// prefixOf is a prefix that an entry of a pool consists of.
type prefixOf struct {
	prefix netip.Prefix
	entry  string
}

// finestPrefixes returns for each pool and family the entry whose widest prefix is the finest: nothing coarser may be announced.
func finestPrefixes(pools []v1beta1.IPAddressPool) map[string][]prefixOf {
	out := map[string][]prefixOf{}
	for i := range pools {
		var v4, v6 prefixOf
		for _, entry := range pools[i].Spec.Addresses {
			widest, ok := widestPrefix(entry)
			finest := &v6
			if ok && widest.Addr().Is4() {
				finest = &v4
			}
			if ok && (!finest.prefix.IsValid() || widest.Bits() > finest.prefix.Bits()) {
				*finest = prefixOf{widest, entry}
			}
		}
		out[pools[i].Name] = slices.DeleteFunc([]prefixOf{v4, v6}, func(p prefixOf) bool { return !p.prefix.IsValid() })
	}
	return out
}

func widestPrefix(entry string) (netip.Prefix, bool) {
	r, err := ParseRange(entry)
	if err != nil {
		return netip.Prefix{}, false
	}
	return slices.MinFunc(r.Prefixes(), func(a, b netip.Prefix) int { return cmp.Compare(a.Bits(), b.Bits()) }), true
}

// readCommunities returns the communities that are written out or named, distinct and sorted. A name that nobody defines yet is another
// problem than an entry that is wrong.
func readCommunities(given []string, aliases map[string]Community) (out []Community, unknown, invalid *reason.Problem) {
	for _, text := range given {
		c, literal, err := parseCommunity(text)
		if err != nil {
			invalid = firstOf(invalid, reason.New(reason.InvalidCommunity, "%v", err))
			continue
		}
		if !literal {
			var known bool
			if c, known = communityNamed(text, aliases); !known {
				unknown = firstOf(unknown, reason.New(reason.UnknownCommunity, "no Community resource defines %q", text))
				continue
			}
		}
		out = append(out, c)
	}
	slices.SortFunc(out, Community.compare)
	return slices.Compact(out), unknown, firstOf(invalid, repeated("communities", given))
}
