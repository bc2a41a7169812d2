// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
)

// TestAdvertisementsThatSelectNothingAreNoted gives each row's selection to an L2Advertisement and to a BGPAdvertisement.
func TestAdvertisementsThatSelectNothingAreNoted(t *testing.T) {
	selectors := func(value string) []metav1.LabelSelector { return []metav1.LabelSelector{label("zone", value)} }
	none, pools := (map[string]map[string]string)(nil), twoPools()
	for _, row := range []struct {
		name    string
		spec    v1beta1.L2AdvertisementSpec
		objects Objects
		want    string // reason and detail on n1
		on      []string
	}{
		{name: "everything", objects: Objects{Pools: pools, Nodes: threeNodes()}},
		{name: "everything, before there is a pool", objects: Objects{Nodes: threeNodes()}},
		{name: "a pool", spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"blue"}}, objects: Objects{Pools: pools, Nodes: threeNodes()}},
		{name: "an invalid pool", spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"bad"}}, objects: Objects{Pools: []v1beta1.IPAddressPool{pool("bad", 0, "x")}, Nodes: threeNodes()}},
		{name: "a pool that does not exist", spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"bleu"}}, objects: Objects{Pools: pools, Nodes: threeNodes()},
			want: `UnknownPool no IPAddressPool "bleu"; the advertisement announces nothing`, on: []string{"n1", "n2", "n3"}},
		{name: "one that does and one that does not", spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"bleu", "green"}}, objects: Objects{Pools: pools, Nodes: threeNodes()},
			want: `UnknownPool no IPAddressPool "bleu"`, on: []string{"n1", "n2", "n3"}},
		{name: "pools by label", spec: v1beta1.L2AdvertisementSpec{IPAddressPoolSelectors: selectors("a")}, objects: Objects{Pools: pools, Nodes: threeNodes()}},
		{name: "pools by a label that none has", spec: v1beta1.L2AdvertisementSpec{IPAddressPoolSelectors: selectors("c")}, objects: Objects{Pools: pools, Nodes: threeNodes()},
			want: "UnknownPool ipAddressPoolSelectors match no IPAddressPool; the advertisement announces nothing", on: []string{"n1", "n2", "n3"}},
		{name: "a pool by name and none by label", spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"blue"}, IPAddressPoolSelectors: selectors("c")},
			objects: Objects{Pools: pools, Nodes: threeNodes()}},
		{name: "no pool for one node", spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"bleu"}, NodeSelectors: []metav1.LabelSelector{label("rack", "r1")}},
			objects: Objects{Pools: pools, Nodes: threeNodes()}, want: `UnknownPool no IPAddressPool "bleu"; the advertisement announces nothing`, on: []string{"n1"}},
		{name: "no node", spec: v1beta1.L2AdvertisementSpec{NodeSelectors: []metav1.LabelSelector{label("rack", "r9")}}, objects: Objects{Pools: pools, Nodes: threeNodes()},
			want: "NoNodeSelected nodeSelectors match no node", on: []string{"n1", "n2", "n3"}},
		{name: "neither", spec: v1beta1.L2AdvertisementSpec{NodeSelectors: []metav1.LabelSelector{label("rack", "r9")}, IPAddressPools: []string{"bleu"}},
			objects: Objects{Pools: pools, Nodes: threeNodes()}, on: []string{"n1", "n2", "n3"},
			want: `NoNodeSelected nodeSelectors match no node; no IPAddressPool "bleu"; the advertisement announces nothing`},
		{name: "nodes that are not known", spec: v1beta1.L2AdvertisementSpec{NodeSelectors: []metav1.LabelSelector{label("rack", "r9")}}, objects: Objects{Pools: pools, Nodes: none}},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.objects.L2Advertisements = []v1beta1.L2Advertisement{l2("ad", row.spec)}
			row.objects.BGPAdvertisements = []v1beta1.BGPAdvertisement{bgp("ad", v1beta1.BGPAdvertisementSpec{
				IPAddressPools: row.spec.IPAddressPools, IPAddressPoolSelectors: row.spec.IPAddressPoolSelectors, NodeSelectors: row.spec.NodeSelectors,
			})}
			p := Compile(row.objects)
			for _, kind := range []string{KindL2Advertisement, KindBGPAdvertisement} {
				ref := ObjectRef{kind, "ad"}
				got := ""
				if note, noted := p.NoteOf(ref); noted {
					got = string(note.Reason) + " " + note.Detail
				}
				if got != row.want {
					t.Errorf("%s: noted is %q, want %q", kind, got, row.want)
				}
				if problem, wrong := p.ProblemOf(ref); wrong {
					t.Errorf("%s is invalid: %v", kind, problem)
				}
				var on []string
				for _, node := range []string{"n1", "n2", "n3"} {
					if slices.ContainsFunc(p.NotesOn(node), func(n Problem) bool { return n.Object == ref }) {
						on = append(on, node)
					}
				}
				if !slices.Equal(on, row.on) {
					t.Errorf("%s: noted on %v, want %v", kind, on, row.on)
				}
			}
		})
	}
}
