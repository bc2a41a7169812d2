// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"net/netip"
	"slices"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
	routing "metalsuite.io/internal/route"
)

// painter turns routes into what GoBGP takes. Neighbouring routes mostly have the same attributes, so it remembers the last ones.
type painter struct {
	localASN uint32
	session  agreed

	last   announcers.Attributes
	next   string
	packed []*anypb.Any
}

// agreed is what the form of a route depends on.
type agreed struct {
	// external is whether the peer is in another autonomous system. Prepending is for those only: a peer in our own would find itself in
	// the path and take the route for a loop (RFC 4271 5.1.2, 9.1.2).
	external bool
	// over6 is whether the session runs over IPv6, extended whether the peer takes IPv6 next hops for IPv4 routes (RFC 8950 4). local is our
	// address on the session, not valid as long as it is not known.
	over6, extended bool
	local           netip.Addr
}

// nextHop returns the next hop of a route; not valid when there is none that the peer could use.
func (s agreed) nextHop(a bgp.Announcement) netip.Addr {
	next := nextHopOf(a.NextHop)
	if !a.NextHop.IsValid() {
		next = s.local
	}
	if a.Prefix.Addr().Is4() && !s.extended && (next.Is6() || !next.IsValid() && s.over6) {
		return nextHopOf(a.NextHop4)
	}
	return next
}

// announce returns the path for a.
func (p *painter) announce(a bgp.Announcement) (*api.Path, error) {
	nlri, err := nlriOf(a.Prefix)
	if err != nil {
		return nil, err
	}
	next := p.session.nextHop(a).String()
	if p.packed == nil || next != p.next || !sameAttributes(a.Attributes, p.last) {
		packed, err := p.pack(a.Attributes, next)
		if err != nil {
			return nil, err
		}
		p.last, p.next, p.packed = a.Attributes, next, packed
	}
	return &api.Path{Family: familyOfPrefix(a.Prefix), Nlri: nlri, Pattrs: p.packed}, nil
}

// withdraw returns the path that takes prefix away.
func withdraw(prefix netip.Prefix) (*api.Path, error) {
	nlri, err := nlriOf(prefix)
	if err != nil {
		return nil, err
	}
	return &api.Path{Family: familyOfPrefix(prefix), Nlri: nlri, IsWithdraw: true}, nil
}

func nlriOf(p netip.Prefix) (*anypb.Any, error) {
	return anypb.New(&api.IPAddressPrefix{Prefix: p.Addr().String(), PrefixLen: uint32(p.Bits())})
}

func familyOfPrefix(p netip.Prefix) *api.Family {
	if p.Addr().Is4() {
		return familyIPv4
	}
	return familyIPv6
}

func (p *painter) pack(a announcers.Attributes, next string) ([]*anypb.Any, error) {
	attributes := []proto.Message{&api.OriginAttribute{Origin: 0}, &api.NextHopAttribute{NextHop: next}}
	if p.session.external && a.Prepend > 0 {
		own := slices.Repeat([]uint32{p.localASN}, int(a.Prepend))
		attributes = append(attributes, &api.AsPathAttribute{Segments: []*api.AsSegment{{Type: api.AsSegment_AS_SEQUENCE, Numbers: own}}})
	}
	if a.HasMED {
		attributes = append(attributes, &api.MultiExitDiscAttribute{Med: a.MED})
	}
	if a.LocalPref != 0 {
		attributes = append(attributes, &api.LocalPrefAttribute{LocalPref: a.LocalPref}) // GoBGP leaves it out on external sessions
	}
	if len(a.Communities) > 0 {
		attributes = append(attributes, &api.CommunitiesAttribute{Communities: a.Communities})
	}
	if len(a.LargeCommunities) > 0 {
		attributes = append(attributes, largeCommunities(a.LargeCommunities))
	}
	packed := make([]*anypb.Any, len(attributes))
	for i, message := range attributes {
		one, err := anypb.New(message)
		if err != nil {
			return nil, err
		}
		packed[i] = one
	}
	return packed, nil
}

func largeCommunities(in [][3]uint32) *api.LargeCommunitiesAttribute {
	out := &api.LargeCommunitiesAttribute{}
	for _, c := range in {
		out.Communities = append(out.Communities, &api.LargeCommunity{GlobalAdmin: c[0], LocalData1: c[1], LocalData2: c[2]})
	}
	return out
}

func sameAttributes(a, b announcers.Attributes) bool {
	return a.LocalPref == b.LocalPref && a.MED == b.MED && a.HasMED == b.HasMED && a.Prepend == b.Prepend &&
		slices.Equal(a.Communities, b.Communities) && slices.Equal(a.LargeCommunities, b.LargeCommunities)
}

// refusal says why GoBGP must not get a, since it would make nonsense of it; empty when nothing is wrong.
func refusal(s bgp.Settings, a bgp.Announcement) string {
	p := a.Prefix
	switch {
	case !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "":
		return "not a prefix in its shortest form"
	case p.Addr().Is4() && !s.IPv4, p.Addr().Is6() && !s.IPv6:
		return "not of a family of the session"
	case p.Addr().Is6() && !a.NextHop.IsValid() && s.Remote.Unmap().Is4():
		return "no IPv6 next hop on an IPv4 session"
	case p.Addr().Is6() && a.NextHop.IsValid() && a.NextHop.Unmap().Is4():
		return "an IPv4 next hop for an IPv6 prefix"
	case !routing.Attributes(a.Attributes).Fits():
		return "more attributes than a BGP message has room for"
	}
	return ""
}
