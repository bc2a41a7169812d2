// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

func TestLocalPrefsOnAPool(t *testing.T) {
	type spec = v1beta1.BGPAdvertisementSpec
	rack := func(r string) []metav1.LabelSelector { return []metav1.LabelSelector{label("rack", r)} }
	const v4, v6 = "10.0.0.0/24", "2001:db8::/64"
	for _, row := range []struct {
		name       string
		pool       []string
		old, young spec
		conflict   bool
	}{
		{name: "another preference", pool: []string{v4}, old: spec{LocalPref: 100}, young: spec{LocalPref: 200}, conflict: true},
		{name: "a preference and none", pool: []string{v4}, young: spec{LocalPref: 200}, conflict: true},
		{name: "the same", pool: []string{v4}, old: spec{LocalPref: 200}, young: spec{LocalPref: 200}},
		{name: "IPv4 differs", pool: []string{v4}, old: spec{LocalPref: 1}, young: spec{AggregationLength: number[int32](24)}},
		{name: "IPv6 differs on an IPv4 pool", pool: []string{v4}, old: spec{LocalPref: 1}, young: spec{AggregationLengthV6: number[int32](64)}, conflict: true},
		{name: "IPv6 differs on an IPv6 pool", pool: []string{v6}, old: spec{LocalPref: 1}, young: spec{AggregationLengthV6: number[int32](64)}},
		{name: "one of two differs", pool: []string{v4, v6}, old: spec{LocalPref: 1}, young: spec{AggregationLength: number[int32](24)}, conflict: true},
		{name: "both differ", pool: []string{v4, v6}, old: spec{LocalPref: 1},
			young: spec{AggregationLength: number[int32](24), AggregationLengthV6: number[int32](64)}},
		{name: "peers of their own", pool: []string{v4}, old: spec{LocalPref: 1, Peers: []string{"a", "b"}}, young: spec{Peers: []string{"c"}}},
		{name: "a peer in common", pool: []string{v4}, old: spec{LocalPref: 1, Peers: []string{"a", "b"}}, young: spec{Peers: []string{"b", "c"}}, conflict: true},
		{name: "all peers and one", pool: []string{v4}, old: spec{LocalPref: 1}, young: spec{Peers: []string{"c"}}, conflict: true},
		{name: "nodes of their own", pool: []string{v4}, old: spec{LocalPref: 1, NodeSelectors: rack("r1")}, young: spec{NodeSelectors: rack("r2")}},
		{name: "a node in common", pool: []string{v4}, old: spec{LocalPref: 1, NodeSelectors: rack("r1")}, young: spec{}, conflict: true},
		{name: "one chooses Services", pool: []string{v4}, old: spec{LocalPref: 1, ServiceSelectors: rack("r1")}, young: spec{}},
		{name: "the other chooses Services", pool: []string{v4}, old: spec{LocalPref: 1}, young: spec{ServiceSelectors: rack("r1")}},
		{name: "the older is left out", pool: []string{v4}, old: spec{LocalPref: 1, Communities: []string{"nobody"}}, young: spec{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			old, young := bgp("z-old", row.old), bgp("a-young", row.young)
			young.CreationTimestamp = born("", 1).CreationTimestamp
			p := Compile(Objects{
				Pools: []v1beta1.IPAddressPool{pool("blue", 0, row.pool...)}, Nodes: threeNodes(), BGPAdvertisements: []v1beta1.BGPAdvertisement{young, old},
			})
			problem, wrong := p.ProblemOf(ObjectRef{KindBGPAdvertisement, "a-young"})
			if wrong != row.conflict || wrong && (problem.Reason != reason.LocalPrefConflict || !strings.Contains(problem.Detail, `older BGPAdvertisement "z-old"`)) {
				t.Errorf("problem %v", problem)
			}
			ads := p.BGP("blue", map[string]string{"rack": "r1"})
			if served := fmt.Sprint(ads); strings.Contains(served, "a-young") == row.conflict {
				t.Errorf("served: %s", served)
			}
		})
	}
}

func TestAContradictedAdvertisementServesItsOtherPools(t *testing.T) {
	first := bgp("a", v1beta1.BGPAdvertisementSpec{LocalPref: 1, IPAddressPools: []string{"blue"}})
	second := bgp("b", v1beta1.BGPAdvertisementSpec{LocalPref: 2})
	third := bgp("c", v1beta1.BGPAdvertisementSpec{LocalPref: 1})
	p := Compile(Objects{
		Pools: []v1beta1.IPAddressPool{pool("blue", 0, "10.0.0.0/24"), pool("red", 0, "10.0.1.0/24")}, Nodes: threeNodes(),
		BGPAdvertisements: []v1beta1.BGPAdvertisement{third, second, first},
	})
	names := func(pool string) (out []string) {
		for _, ad := range p.BGP(pool, nil) {
			out = append(out, ad.Name)
		}
		return out
	}
	if blue, red := fmt.Sprint(names("blue")), fmt.Sprint(names("red")); blue != "[a c]" || red != "[b]" {
		t.Errorf("blue %s, red %s", blue, red)
	}
	if len(p.Problems) != 2 {
		t.Errorf("problems %v", p.Problems)
	}
}

func TestConflictingLocalPrefs(t *testing.T) {
	here, there := map[string]int{"n1": 0}, map[string]int{"n2": 0}
	for _, row := range []struct {
		name   string
		ads    []BGP
		v4, v6 bool
		want   bool
	}{
		{name: "nothing", v4: true},
		{name: "two preferences", ads: []BGP{{Nodes: here, LocalPref: 1}, {Nodes: here}}, v4: true, want: true},
		{name: "one of them elsewhere", ads: []BGP{{Nodes: here, LocalPref: 1}, {Nodes: there}}, v4: true},
		{name: "both elsewhere", ads: []BGP{{Nodes: there, LocalPref: 1}, {Nodes: there}}, v4: true},
		{name: "lengths of their own", ads: []BGP{{Nodes: here, LocalPref: 1, Length4: 32}, {Nodes: here, Length4: 24}}, v4: true},
		{name: "lengths of their own in one family", ads: []BGP{{Nodes: here, LocalPref: 1, Length4: 32}, {Nodes: here, Length4: 24}}, v4: true, v6: true, want: true},
		{name: "the third", ads: []BGP{{Nodes: here, LocalPref: 1}, {Nodes: here, LocalPref: 1}, {Nodes: here, LocalPref: 2}}, v6: true, want: true},
		{name: "peers of their own", ads: []BGP{{Nodes: here, LocalPref: 1, Peers: []string{"a"}}, {Nodes: here, Peers: []string{"b"}}}, v4: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			problem := ConflictingLocalPrefs(row.ads, "n1", row.v4, row.v6)
			if (problem != nil) != row.want || problem != nil && problem.Reason != reason.LocalPrefConflict {
				t.Errorf("problem %v", problem)
			}
		})
	}
}

func TestUnknownPeersAreNoted(t *testing.T) {
	ref := ObjectRef{KindBGPAdvertisement, "ad"}
	for _, row := range []struct {
		peers []string
		note  string
	}{
		{},
		{peers: []string{"tor-a"}},
		{peers: []string{"tor-a", "gone"}, note: `no valid BGPPeer "gone"`},
		{peers: []string{"bad"}, note: `no valid BGPPeer "bad"`},
		{peers: []string{"p", "q", "r", "s", "t"}, note: `"p", "q", "r" and 2 more`},
	} {
		o := manyObjects()
		o.BGPAdvertisements = []v1beta1.BGPAdvertisement{bgp("ad", v1beta1.BGPAdvertisementSpec{Peers: row.peers})}
		p := Compile(o)
		note, noted := p.NoteOf(ref)
		if noted != (row.note != "") || !strings.Contains(note.Detail, row.note) || noted && note.Reason != reason.UnknownPeer {
			t.Errorf("%v: note %v", row.peers, note)
		}
		if problem, wrong := p.ProblemOf(ref); wrong || len(p.BGP("b", nil)) != 1 {
			t.Errorf("%v: problem %v, served %v", row.peers, problem, p.BGP("b", nil))
		}
	}
}
