// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"metalsuite.io/announcers"
)

// randomRoutes returns some of few possible routes, sorted.
func randomRoutes(r *rand.Rand) []announcers.Route {
	var out []announcers.Route
	for i := range 40 {
		if r.IntN(2) == 0 {
			continue
		}
		a := netip.AddrFrom4([4]byte{198, 18, byte(i), 0})
		bits := 24 + r.IntN(2)*8
		if i%2 == 0 {
			a, bits = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i)}), 64+r.IntN(2)*64
		}
		next := announcers.Route{Prefix: netip.PrefixFrom(a, bits).Masked()}
		next.LocalPref, next.HasMED, next.MED = uint32(r.IntN(2)), r.IntN(2) == 0, uint32(r.IntN(2))
		for c := range r.IntN(3) {
			next.Communities = append(next.Communities, uint32(c))
			next.LargeCommunities = append(next.LargeCommunities, [3]uint32{1, 2, uint32(c)})
		}
		out = append(out, next)
	}
	slices.SortFunc(out, func(a, b announcers.Route) int { return a.Prefix.Compare(b.Prefix) })
	return out
}

// Whatever was announced before, following the difference leads to what is wanted, and then there is none any more.
func TestDifferenceConverges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	have := newTable()
	for range 2000 {
		w := wish{routes: randomRoutes(r), marked: r.IntN(3) == 0, withdrawn: r.IntN(5) == 0}
		c := carriage{ipv4: r.IntN(4) > 0, ipv6: r.IntN(4) > 0, nextHop6: second}
		have.apply(have.difference(w, c))
		if withdraw, announce := have.difference(w, c); len(withdraw)+len(announce) != 0 {
			t.Fatalf("there is still something to withdraw (%v) and announce (%v)", withdraw, announce)
		}
		count := 0
		for _, route := range w.routes {
			wanted := !w.withdrawn && c.carries(route.Prefix)
			got, ok := have.routes[route.Prefix]
			if ok != wanted || have.covers(route.Prefix.Addr()) != wanted {
				t.Fatalf("%v is announced: %v, want %v", route.Prefix, ok, wanted)
			}
			if !ok {
				continue
			}
			count++
			if slices.Contains(got.Communities, gracefulShutdown) != w.marked || got.nextHop != c.nextHop(route.Prefix) {
				t.Fatalf("%v is announced as %+v", route.Prefix, got)
			}
		}
		if len(have.routes) != count || have.of(true, true) != count || have.of(true, false)+have.of(false, true) != count {
			t.Fatalf("the table has %d routes, %d by length, want %d", len(have.routes), have.of(true, true), count)
		}
	}
}

func TestCovering(t *testing.T) {
	routes := []announcers.Route{
		{Prefix: netip.MustParsePrefix("198.18.0.0/24")}, {Prefix: netip.MustParsePrefix("198.18.1.7/32")}, {Prefix: netip.MustParsePrefix("2001:db8::/32")},
	}
	lengths := lengthsOf(routes)
	for address, want := range map[string]bool{
		"198.18.0.0": true, "198.18.0.255": true, "198.18.1.0": false, "198.18.1.7": true, "198.18.1.8": false,
		"2001:db8:ffff::1": true, "2001:db9::": false,
	} {
		if got := covering(routes, lengths, netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is covered: %v, want %v", address, got, want)
		}
	}
}

func TestMarkedLeavesTheOriginalAlone(t *testing.T) {
	shared := make([]uint32, 1, 8)
	shared[0] = 7
	if got := marked(announcers.Attributes{Communities: shared}); !slices.Equal(got.Communities, []uint32{7, gracefulShutdown}) {
		t.Errorf("communities = %v", got.Communities)
	}
	if rest := shared[:2]; rest[1] != 0 {
		t.Error("the slice of another route was written to")
	}
	twice := marked(marked(announcers.Attributes{}))
	if len(twice.Communities) != 1 {
		t.Errorf("communities = %v, want one", twice.Communities)
	}
}

func TestRoutesOfOneMannerShareIt(t *testing.T) {
	have := newTable()
	announce := make([]Announcement, 1000)
	for i := range announce {
		announce[i].Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 32)
		announce[i].Communities = []uint32{uint32(i % 4)}
	}
	have.apply(nil, announce)
	manners := map[*manner]int{}
	for _, m := range have.routes {
		manners[m]++
	}
	if len(manners) != 4 {
		t.Errorf("4 ways to announce are kept %d times", len(manners))
	}
	for i := range announce {
		announce[i].MED = uint32(i)
	}
	have.apply(nil, announce)
	if len(have.recent) != recentManners {
		t.Errorf("%d manners are remembered, want the last %d", len(have.recent), recentManners)
	}
}
