// SPDX-License-Identifier: Apache-2.0

package route

import (
	"net/netip"
	"slices"

	"metalsuite.io/api/reason"
)

// MaxCommunities is how many standard communities a prefix may have, as in MetalLB: 64 of them and more need an attribute with extended
// length, which not every router takes. All communities together are bounded by the length of a message, see Attributes.Fits.
const MaxCommunities = 63

// Advertisement is how addresses are announced.
type Advertisement struct {
	// Length4 and Length6 are the prefix lengths of the families, within 0 to 32 and 0 to 128.
	Length4, Length6 int
	// Attributes of the prefixes; the communities may have any order and be repeated.
	Attributes
	// Peers are the names of the peers that are meant; empty means every peer.
	Peers []string
}

// Attributes of a route. The fields are those of announcers.Attributes, so that one converts to the other.
type Attributes struct {
	// LocalPref is the local preference; 0 means none (RFC 4271 5.1.5).
	LocalPref uint32
	// MED is the multi-exit discriminator when HasMED is set (RFC 4271 5.1.4).
	MED    uint32
	HasMED bool
	// Prepend is how often our ASN is put in front of the path once more.
	Prepend uint8
	// Communities are those of RFC 1997, LargeCommunities those of RFC 8092. In a Route they are distinct and sorted, and several routes
	// may have the same slices.
	Communities      []uint32
	LargeCommunities [][3]uint32
}

// Claim is an address with the advertisements that it is announced through.
type Claim struct {
	// Address is valid and without zone; several claims may have the same one.
	Address netip.Addr
	// Through is told apart by pointer; the fewer different advertisements there are, the less is to be computed.
	Through []*Advertisement
}

// Route is one prefix with its attributes.
type Route struct {
	Prefix netip.Prefix
	Attributes
}

// Refusal is a prefix that is not announced.
type Refusal struct {
	Prefix  netip.Prefix
	Problem *reason.Problem
}

// Peer is what one peer is told.
type Peer struct {
	Name string
	// Routes are distinct by Prefix and sorted by netip.Prefix.Compare. Refusals have the prefixes that are left out, sorted alike. Peers
	// that the same advertisements mean have the same slices.
	Routes   []Route
	Refusals []Refusal
}

// Compute returns what the peers of these names are told, in the order of the names.
//
// An address is announced as the prefix of the advertisement's length that it lies in. What several claims and advertisements say of one
// prefix is united: every community, the highest local preference, the lowest MED of those that are given, the smallest number of
// prepends. The order of claims and advertisements has no influence.
func Compute(claims []Claim, peers []string) []Peer {
	all := collect(claims)
	computed := map[string]Peer{}
	out := make([]Peer, 0, len(peers))
	for _, name := range peers {
		meant, key := all.meaning(name)
		told, known := computed[key]
		if !known {
			told.Routes, told.Refusals = all.table(claims, meant)
			computed[key] = told
		}
		told.Name = name
		out = append(out, told)
	}
	return out
}

// Means says whether the advertisement is for a peer.
func (a *Advertisement) Means(peer string) bool {
	return len(a.Peers) == 0 || slices.Contains(a.Peers, peer)
}

// index numbers the advertisements of all claims.
type index struct {
	numbers map[*Advertisement]int
	all     []*Advertisement
}

func collect(claims []Claim) index {
	x := index{numbers: map[*Advertisement]int{}}
	for _, c := range claims {
		for _, ad := range c.Through {
			if _, known := x.numbers[ad]; !known {
				x.numbers[ad] = len(x.all)
				x.all = append(x.all, ad)
			}
		}
	}
	return x
}

// meaning returns for every advertisement whether it is for the peer, also as a string that is equal for peers of the same meaning.
func (x index) meaning(peer string) ([]bool, string) {
	meant, key := make([]bool, len(x.all)), make([]byte, len(x.all))
	for i, ad := range x.all {
		if ad.Means(peer) {
			meant[i], key[i] = true, 1
		}
	}
	return meant, string(key)
}

// mention is that an advertisement of some number announces a prefix.
type mention struct {
	prefix netip.Prefix
	number int
}

// table returns the routes and refusals that the meant advertisements make of the claims.
func (x index) table(claims []Claim, meant []bool) ([]Route, []Refusal) {
	mentions := x.mentions(claims, meant)
	united := uniter{all: x.all, known: map[string]union{}}
	routes := make([]Route, 0, len(mentions))
	var refusals []Refusal
	for len(mentions) > 0 {
		prefix, end := mentions[0].prefix, 1
		for end < len(mentions) && mentions[end].prefix == prefix {
			end++
		}
		u := united.of(mentions[:end])
		mentions = mentions[end:]
		if u.problem != nil {
			refusals = append(refusals, Refusal{prefix, u.problem})
			continue
		}
		routes = append(routes, Route{prefix, u.attributes})
	}
	return slices.Clip(routes), refusals
}

// mentions returns every prefix with each advertisement that announces it, sorted.
func (x index) mentions(claims []Claim, meant []bool) []mention {
	out := make([]mention, 0, len(claims))
	for _, c := range claims {
		address := c.Address.Unmap()
		for _, ad := range c.Through {
			number := x.numbers[ad]
			if prefix, ok := ad.Prefix(address); ok && meant[number] {
				out = append(out, mention{prefix, number})
			}
		}
	}
	slices.SortFunc(out, func(a, b mention) int {
		if c := a.prefix.Compare(b.prefix); c != 0 {
			return c
		}
		return a.number - b.number
	})
	return slices.Compact(out)
}

// Prefix returns the prefix that an address is announced as, and false when there is none of that length.
func (a *Advertisement) Prefix(address netip.Addr) (netip.Prefix, bool) {
	length := a.Length6
	if address.Is4() {
		length = a.Length4
	}
	prefix, err := address.Prefix(length)
	return prefix, err == nil
}
