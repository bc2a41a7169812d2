// SPDX-License-Identifier: Apache-2.0

package election_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"metalsuite.io/internal/election"
)

func candidates(nodes ...string) []election.Candidate {
	all := make([]election.Candidate, len(nodes))
	for i, n := range nodes {
		all[i].Node = n
	}
	return all
}

// The orders are those that MetalLB computes, so that speakers of both agree during a migration.
func TestOrderMatchesUpstream(t *testing.T) {
	nodes := candidates("node-a", "node-b", "node-c", "iris1", "iris2")
	for address, want := range map[string][]string{
		"10.20.30.1":   {"node-b", "node-c", "node-a", "iris2", "iris1"},
		"10.20.30.2":   {"iris1", "iris2", "node-c", "node-a", "node-b"},
		"10.20.30.3":   {"iris1", "node-a", "node-c", "node-b", "iris2"},
		"192.168.10.1": {"iris2", "node-c", "iris1", "node-b", "node-a"},
		"fc00::1":      {"node-b", "iris2", "node-c", "node-a", "iris1"},
	} {
		t.Run(address, func(t *testing.T) {
			got := election.Order(netip.MustParseAddr(address), nodes)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	key := netip.MustParseAddr("10.20.30.1") // without preferences: node-b, node-c, node-a
	tests := []struct {
		name       string
		candidates []election.Candidate
		want       []string
	}{
		{"nobody", nil, []string{}},
		{"one", candidates("node-a"), []string{"node-a"}},
		{"preference before hash", []election.Candidate{{"node-b", 0}, {"node-c", 5}, {"node-a", 10}}, []string{"node-a", "node-c", "node-b"}},
		{"negative preference last", []election.Candidate{{"node-b", -1}, {"node-c", 0}, {"node-a", 0}}, []string{"node-c", "node-a", "node-b"}},
		{"hash within a preference", []election.Candidate{{"node-a", 1}, {"node-c", 1}, {"node-b", 0}}, []string{"node-c", "node-a", "node-b"}},
		{"twice the same node", candidates("node-b", "node-a", "node-b"), []string{"node-b", "node-a"}},
		{"twice, higher preference counts", []election.Candidate{{"node-a", 0}, {"node-b", 1}, {"node-a", 2}}, []string{"node-a", "node-b"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			given := slices.Clone(test.candidates)
			got := election.Order(key, given)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
			if !slices.Equal(given, test.candidates) {
				t.Errorf("the input was changed to %v", given)
			}
			owner, ok := election.Owner(key, given)
			if ok != (len(got) > 0) || ok && owner != got[0] {
				t.Errorf("owner %q, %v does not head the order %v", owner, ok, got)
			}
		})
	}
}

func TestOrderOfMappedAddress(t *testing.T) {
	nodes := candidates("node-a", "node-b", "node-c", "iris1", "iris2")
	plain := election.Order(netip.MustParseAddr("10.20.30.2"), nodes)
	mapped := election.Order(netip.MustParseAddr("::ffff:10.20.30.2"), nodes)
	if diff := cmp.Diff(plain, mapped); diff != "" {
		t.Errorf("an IPv6-mapped address has another order:\n%s", diff)
	}
}

func TestKey(t *testing.T) {
	tests := []struct {
		name      string
		addresses []string
		want      string
	}{
		{"none", nil, ""},
		{"one IPv4", []string{"10.0.0.9"}, "10.0.0.9"},
		{"one IPv6", []string{"fc00::9"}, "fc00::9"},
		{"lowest by value, not by text", []string{"10.0.0.10", "10.0.0.9"}, "10.0.0.9"},
		{"IPv4 wins", []string{"::1", "10.0.0.9"}, "10.0.0.9"},
		{"IPv4 wins in the other order", []string{"10.0.0.9", "::1"}, "10.0.0.9"},
		{"lowest IPv6", []string{"fc00::10", "fc00::9"}, "fc00::9"},
		{"mapped IPv4 is IPv4", []string{"fc00::9", "::ffff:10.0.0.9"}, "10.0.0.9"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var addresses []netip.Addr
			for _, a := range test.addresses {
				addresses = append(addresses, netip.MustParseAddr(a))
			}
			got, ok := election.Key(addresses)
			if ok != (test.want != "") || ok && got.String() != test.want {
				t.Errorf("got %v, %v, want %q", got, ok, test.want)
			}
		})
	}
	if got, ok := election.Key([]netip.Addr{{}, netip.MustParseAddr("10.0.0.1")}); !ok || got.String() != "10.0.0.1" {
		t.Errorf("with an invalid address: got %v, %v", got, ok)
	}
}

func TestEligible(t *testing.T) {
	all := []election.Candidate{{"node-a", 1}, {"node-b", 2}, {"node-c", 3}}
	tests := []struct {
		name string
		live election.Live
		want []election.Candidate
	}{
		{"nobody lives", nil, nil},
		{"all fit", election.Live{"node-a": true, "node-b": true, "node-c": true}, all},
		{"only the fit count", election.Live{"node-a": false, "node-b": true, "node-c": false}, all[1:2]},
		{"nobody is fit: all that live", election.Live{"node-a": false, "node-c": false}, []election.Candidate{all[0], all[2]}},
		{"the dead do not count", election.Live{"node-b": true}, all[1:2]},
		{"fit strangers do not count", election.Live{"node-a": false, "node-x": true}, all[:1]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, election.Eligible(all, test.live)); diff != "" {
				t.Errorf("eligible (-want +got):\n%s", diff)
			}
		})
	}
}

// A node that leaves moves its own addresses and no others, and they spread over those that stay.
func TestNodeThatLeavesMovesOnlyItsOwnAddresses(t *testing.T) {
	nodes := make([]election.Candidate, 7)
	for i := range nodes {
		nodes[i] = election.Candidate{Node: fmt.Sprintf("node-%d", i), Preference: i / 5}
	}
	moved := map[string]int{}
	for i := range 500 {
		key := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		before := election.Order(key, nodes)
		for _, gone := range before {
			rest := slices.DeleteFunc(slices.Clone(nodes), func(c election.Candidate) bool { return c.Node == gone })
			want := slices.DeleteFunc(slices.Clone(before), func(n string) bool { return n == gone })
			after := election.Order(key, rest)
			if !slices.Equal(want, after) {
				t.Fatalf("%s: without %s the order is %v, want %v", key, gone, after, want)
			}
		}
		moved[before[0]]++
	}
	// Only the two with the higher preference may own anything; each must own a fair share.
	if len(moved) != 2 || moved["node-5"] < 150 || moved["node-6"] < 150 {
		t.Errorf("addresses per owner: %v", moved)
	}
}

func TestOrderIsIndependentOfInputOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	nodes := []election.Candidate{{"a", 1}, {"b", 0}, {"c", 2}, {"d", 0}, {"e", 1}, {"a", 0}, {"b", 2}}
	for i := range 200 {
		key := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		want := election.Order(key, nodes)
		shuffled := slices.Clone(nodes)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := election.Order(key, shuffled); !slices.Equal(want, got) {
			t.Fatalf("%s: %v for %v, %v for %v", key, got, shuffled, want, nodes)
		}
	}
}

func TestOnLink(t *testing.T) {
	const four, six = "192.0.2.10", "2001:db8::10"
	for _, row := range []struct {
		name string
		// on are the nodes on the subnet of an address.
		on        map[string]string
		addresses string
		want      string
	}{
		{"only who is on the subnet stays", map[string]string{four: "b c"}, four, "b c"},
		{"all stay when nobody is", nil, four, "a b c"},
		{"each address narrows further", map[string]string{four: "a b", six: "b c"}, four + " " + six, "b"},
		{"the lower address comes first, whatever the order", map[string]string{four: "a", six: "b"}, six + " " + four, "a"},
		{"an address where nobody is says nothing", map[string]string{six: "c"}, four + " " + six, "c"},
		{"an address given twice counts once", map[string]string{four: "a"}, four + " " + four, "a"},
		{"no address, no choice", nil, "", "a b c"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var addresses []netip.Addr
			for _, a := range strings.Fields(row.addresses) {
				addresses = append(addresses, netip.MustParseAddr(a))
			}
			var got []string
			for _, c := range election.OnLink(candidates("a", "b", "c"), addresses, func(node string, a netip.Addr) bool {
				return slices.Contains(strings.Fields(row.on[a.String()]), node)
			}) {
				got = append(got, c.Node)
			}
			if want := strings.Fields(row.want); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
