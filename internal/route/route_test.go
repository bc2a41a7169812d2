// SPDX-License-Identifier: Apache-2.0

package route

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"metalsuite.io/api/reason"
)

func host(peers ...string) *Advertisement {
	return &Advertisement{Length4: 32, Length6: 128, Peers: peers}
}

func with(ad *Advertisement, a Attributes) *Advertisement {
	ad.Attributes = a
	return ad
}

func claim(address string, through ...*Advertisement) Claim {
	return Claim{Address: netip.MustParseAddr(address), Through: through}
}

func plain(prefix string) Route { return Route{Prefix: netip.MustParsePrefix(prefix)} }

func attributed(prefix string, a Attributes) Route {
	return Route{Prefix: netip.MustParsePrefix(prefix), Attributes: a}
}

func TestRoutesOfAPeer(t *testing.T) {
	all := host()
	wide := &Advertisement{Length4: 24, Length6: 64}
	for _, row := range []struct {
		name   string
		claims []Claim
		want   []Route
	}{
		{"nothing", nil, []Route{}},
		{"an address without advertisement", []Claim{claim("192.0.2.1")}, []Route{}},
		{"both families, each by its length", []Claim{claim("2001:db8::1", all), claim("192.0.2.1", all)},
			[]Route{plain("192.0.2.1/32"), plain("2001:db8::1/128")}},
		{"an IPv4 address in its IPv6 form", []Claim{claim("::ffff:192.0.2.1", all)}, []Route{plain("192.0.2.1/32")}},
		{"an address twice", []Claim{claim("192.0.2.1", all), claim("192.0.2.1", all)}, []Route{plain("192.0.2.1/32")}},
		{"many addresses of one aggregate", []Claim{claim("192.0.2.1", wide), claim("192.0.2.77", wide), claim("2001:db8::1", wide), claim("2001:db8::2", wide)},
			[]Route{plain("192.0.2.0/24"), plain("2001:db8::/64")}},
		{"an aggregate and its parts", []Claim{claim("192.0.2.1", wide, all)}, []Route{plain("192.0.2.0/24"), plain("192.0.2.1/32")}},
		{"an advertisement for another peer", []Claim{claim("192.0.2.1", host("b")), claim("192.0.2.2", host("a", "b"))}, []Route{plain("192.0.2.2/32")}},
		{"communities are united, sorted and distinct", []Claim{claim("192.0.2.1",
			with(host(), Attributes{Communities: []uint32{3, 1}, LargeCommunities: [][3]uint32{{1, 2, 3}, {1, 1, 9}}}),
			with(host(), Attributes{Communities: []uint32{2, 3, 2}, LargeCommunities: [][3]uint32{{1, 2, 3}}}))},
			[]Route{attributed("192.0.2.1/32", Attributes{Communities: []uint32{1, 2, 3}, LargeCommunities: [][3]uint32{{1, 1, 9}, {1, 2, 3}}})}},
		{"communities of an advertisement for another peer are not", []Claim{claim("192.0.2.1",
			with(host("a"), Attributes{Communities: []uint32{1}}), with(host("b"), Attributes{Communities: []uint32{2}}))},
			[]Route{attributed("192.0.2.1/32", Attributes{Communities: []uint32{1}})}},
		{"the highest local preference", []Claim{claim("192.0.2.1", with(host(), Attributes{LocalPref: 100}), all, with(host(), Attributes{LocalPref: 200}))},
			[]Route{attributed("192.0.2.1/32", Attributes{LocalPref: 200})}},
		{"the lowest MED that is given", []Claim{claim("192.0.2.1",
			with(host(), Attributes{MED: 9, HasMED: true}), all, with(host(), Attributes{MED: 7, HasMED: true}))},
			[]Route{attributed("192.0.2.1/32", Attributes{MED: 7, HasMED: true})}},
		{"a MED of 0 is one", []Claim{claim("192.0.2.1", with(host(), Attributes{MED: 9, HasMED: true}), with(host(), Attributes{HasMED: true}))},
			[]Route{attributed("192.0.2.1/32", Attributes{HasMED: true})}},
		{"the smallest number of prepends", []Claim{claim("192.0.2.1", with(host(), Attributes{Prepend: 3}), with(host(), Attributes{Prepend: 1}))},
			[]Route{attributed("192.0.2.1/32", Attributes{Prepend: 1})}},
		{"addresses of one aggregate unite what is said of each", []Claim{
			claim("192.0.2.1", &Advertisement{Length4: 24, Attributes: Attributes{Communities: []uint32{1}}}),
			claim("192.0.2.2", &Advertisement{Length4: 24, Attributes: Attributes{Communities: []uint32{2}}})},
			[]Route{attributed("192.0.2.0/24", Attributes{Communities: []uint32{1, 2}})}},
		{"a length that does not exist announces nothing", []Claim{claim("192.0.2.1", &Advertisement{Length4: 33}, &Advertisement{Length4: -1})}, []Route{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := Compute(row.claims, []string{"a"})
			if len(got) != 1 || got[0].Name != "a" || len(got[0].Refusals) > 0 || !reflect.DeepEqual(got[0].Routes, row.want) {
				t.Errorf("got %+v\nwant %+v", got, row.want)
			}
		})
	}
}

func TestPeersOfOneMeaningHaveOneSlice(t *testing.T) {
	claims := []Claim{claim("192.0.2.1", host()), claim("192.0.2.2", host("c"))}
	got := Compute(claims, []string{"a", "b", "c"})
	a, b, c := got[0], got[1], got[2]
	if &a.Routes[0] != &b.Routes[0] {
		t.Error("peers that the same advertisements mean have slices of their own")
	}
	if len(a.Routes) != 1 || len(c.Routes) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestAPeerThatNobodyNamesGetsWhatNamesNobody(t *testing.T) {
	got := Compute([]Claim{claim("192.0.2.1", host("known")), claim("192.0.2.2", host())}, []string{"new"})
	if want := []Route{plain("192.0.2.2/32")}; !reflect.DeepEqual(got[0].Routes, want) {
		t.Errorf("got %+v, want %+v", got[0].Routes, want)
	}
}

func TestTooManyCommunities(t *testing.T) {
	most := func(from, n uint32) *Advertisement {
		ad := host()
		for i := range n {
			ad.Communities = append(ad.Communities, from+i)
		}
		return ad
	}
	for _, row := range []struct {
		name    string
		through []*Advertisement
		refused bool
	}{
		{"as many as are possible", []*Advertisement{most(0, MaxCommunities)}, false},
		{"the same ones twice", []*Advertisement{most(0, MaxCommunities), most(1, MaxCommunities-1)}, false},
		{"one more", []*Advertisement{most(0, MaxCommunities+1)}, true},
		{"one more by another advertisement", []*Advertisement{most(0, MaxCommunities), most(MaxCommunities, 1)}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := Compute([]Claim{claim("192.0.2.1", row.through...), claim("192.0.2.2", host())}, []string{"a"})[0]
			if refused := len(got.Refusals) > 0; refused != row.refused || len(got.Routes)+len(got.Refusals) != 2 {
				t.Fatalf("got %d routes, refusals %v", len(got.Routes), got.Refusals)
			}
			if row.refused && (got.Refusals[0].Prefix != netip.MustParsePrefix("192.0.2.1/32") || got.Refusals[0].Problem.Reason != reason.TooManyCommunities) {
				t.Errorf("got %v", got.Refusals)
			}
		})
	}
}

// world is made of numbers: the same ones make the same claims.
func world(r *rand.Rand) ([]Claim, []string) {
	peers := []string{"a", "b", "c"}
	ads := make([]*Advertisement, 1+r.IntN(5))
	for i := range ads {
		ads[i] = &Advertisement{Length4: 24 + r.IntN(9), Length6: 112 + r.IntN(17), Attributes: Attributes{
			LocalPref: uint32(r.IntN(3)), HasMED: r.IntN(2) == 0, MED: uint32(r.IntN(3)), Prepend: uint8(r.IntN(3)),
		}}
		for range r.IntN(30) {
			ads[i].Communities = append(ads[i].Communities, uint32(r.IntN(100)))
		}
		for range r.IntN(3) {
			ads[i].LargeCommunities = append(ads[i].LargeCommunities, [3]uint32{1, uint32(r.IntN(2)), uint32(r.IntN(2))})
		}
		for range r.IntN(3) {
			ads[i].Peers = append(ads[i].Peers, peers[r.IntN(len(peers))])
		}
	}
	claims := make([]Claim, r.IntN(40))
	for i := range claims {
		address := netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(256))})
		if r.IntN(3) == 0 {
			address = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(r.IntN(256))})
		}
		claims[i].Address = address
		for range r.IntN(4) {
			claims[i].Through = append(claims[i].Through, ads[r.IntN(len(ads))])
		}
	}
	return claims, peers
}

// naive is what a peer is told, as one would say it: no more is said than the rules, and nothing of speed.
func naive(claims []Claim, peer string) map[netip.Prefix][]*Advertisement {
	out := map[netip.Prefix][]*Advertisement{}
	for _, c := range claims {
		for _, ad := range c.Through {
			length := ad.Length6
			if c.Address.Is4() {
				length = ad.Length4
			}
			if prefix, err := c.Address.Prefix(length); err == nil && ad.Means(peer) {
				out[prefix] = append(out[prefix], ad)
			}
		}
	}
	return out
}

func TestRoutesAreWhatTheRulesSay(t *testing.T) {
	for seed := range uint64(500) {
		claims, peers := world(rand.New(rand.NewPCG(seed, 1)))
		for _, p := range Compute(claims, peers) {
			check(t, p, naive(claims, p.Name))
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func check(t *testing.T, p Peer, want map[netip.Prefix][]*Advertisement) {
	t.Helper()
	if len(p.Routes)+len(p.Refusals) != len(want) {
		t.Errorf("peer %s: %d routes and %d refusals, want %d prefixes", p.Name, len(p.Routes), len(p.Refusals), len(want))
	}
	if !slices.IsSortedFunc(p.Routes, func(a, b Route) int { return a.Prefix.Compare(b.Prefix) }) {
		t.Errorf("peer %s: the routes are not sorted: %v", p.Name, p.Routes)
	}
	for _, r := range p.Refusals {
		if n := len(union32(want[r.Prefix])); n <= MaxCommunities {
			t.Errorf("peer %s: %s is refused with %d communities", p.Name, r.Prefix, n)
		}
	}
	for _, r := range p.Routes {
		ads := want[r.Prefix]
		if r.Prefix.Masked() != r.Prefix || len(ads) == 0 {
			t.Fatalf("peer %s: nobody announces %s", p.Name, r.Prefix)
		}
		if communities := union32(ads); !slices.Equal(r.Communities, communities) || len(communities) > MaxCommunities {
			t.Errorf("peer %s: %s has %v, want %v", p.Name, r.Prefix, r.Communities, communities)
		}
		for _, ad := range ads {
			if r.LocalPref < ad.LocalPref || r.Prepend > ad.Prepend || ad.HasMED && (!r.HasMED || r.MED > ad.MED) {
				t.Errorf("peer %s: %s has %+v beside %+v", p.Name, r.Prefix, r.Attributes, ad.Attributes)
			}
		}
	}
}

func union32(ads []*Advertisement) []uint32 {
	var out []uint32
	for _, ad := range ads {
		out = append(out, ad.Communities...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestTheOrderHasNoInfluence(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		claims, peers := world(r)
		want := Compute(claims, peers)
		r.Shuffle(len(claims), func(i, j int) { claims[i], claims[j] = claims[j], claims[i] })
		for _, c := range claims {
			r.Shuffle(len(c.Through), func(i, j int) { c.Through[i], c.Through[j] = c.Through[j], c.Through[i] })
		}
		if got := Compute(claims, peers); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got %+v\nwant %+v", seed, got, want)
		}
	}
}

func TestAnAggregateStaysUntilItsLastAddressGoes(t *testing.T) {
	wide := &Advertisement{Length4: 24}
	claims := []Claim{claim("192.0.2.1", wide), claim("192.0.2.2", wide), claim("192.0.2.3", wide)}
	for ; len(claims) > 0; claims = claims[1:] {
		if got := Compute(claims, []string{"a"})[0].Routes; !reflect.DeepEqual(got, []Route{plain("192.0.2.0/24")}) {
			t.Fatalf("with %d addresses: got %v", len(claims), got)
		}
	}
	if got := Compute(claims, []string{"a"})[0].Routes; len(got) != 0 {
		t.Fatalf("without an address: got %v", got)
	}
}

func FuzzCompute(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Add(uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		claims, peers := world(rand.New(rand.NewPCG(a, b)))
		got := Compute(claims, peers)
		for _, p := range got {
			check(t, p, naive(claims, p.Name))
		}
		slices.Reverse(claims)
		if again := Compute(claims, peers); !reflect.DeepEqual(again, got) {
			t.Errorf("another order: got %+v\nwant %+v", again, got)
		}
	})
}

func BenchmarkCompute(b *testing.B) {
	for _, row := range []struct {
		name  string
		peers []string
		ads   []*Advertisement
	}{
		{"shared", []string{"a", "b"}, []*Advertisement{host()}},
		{"apart", []string{"a", "b"}, []*Advertisement{with(host("a"), Attributes{Communities: []uint32{1}}), with(host("b"), Attributes{Communities: []uint32{2}})}},
		{"united", []string{"a", "b"}, []*Advertisement{with(host(), Attributes{Communities: []uint32{1}}), with(host(), Attributes{Communities: []uint32{2}})}},
		{"aggregate", []string{"a", "b"}, []*Advertisement{{Length4: 16, Length6: 64}}},
	} {
		claims := make([]Claim, 10000)
		for i := range claims {
			claims[i] = Claim{Address: netip.AddrFrom4([4]byte{198, 18, byte(i % 251), byte(i / 251)}), Through: row.ads}
		}
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Compute(claims, row.peers)
			}
		})
	}
}
