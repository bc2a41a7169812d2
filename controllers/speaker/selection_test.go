// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// What several advertisements together say of one Service.
func TestAdvertisementsAreUnited(t *testing.T) {
	type spec = v1beta1.L2AdvertisementSpec
	web := []metav1.LabelSelector{{MatchLabels: map[string]string{"app": "web"}}}
	prefer := func(node string, weight int32) []v1beta1.PreferredNodeSelector {
		return []v1beta1.PreferredNodeSelector{preferring(node, weight)}
	}
	for _, row := range []struct {
		name string
		ads  []spec
		mend func(*World)
		// nodes are the candidates; owner is who must win, if that is not up to the hash; interfaces are those of the owner.
		nodes, owner, interfaces string
		reason                   reason.Reason
	}{
		{name: "one for all", ads: []spec{{}}, nodes: "n1 n2 n3"},
		{name: "nodes add up", ads: []spec{{NodeSelectors: onNode("n1")}, {NodeSelectors: onNode("n3")}}, nodes: "n1 n3"},
		{name: "several selectors of one are alternatives", ads: []spec{{NodeSelectors: append(onNode("n1"), onNode("n2")...)}}, nodes: "n1 n2"},
		{name: "selectors that match no node", ads: []spec{{NodeSelectors: onNode("n9")}}, reason: reason.NoMatchingAdvertisement},
		{name: "one of them selects the Service", ads: []spec{{NodeSelectors: onNode("n1"), ServiceSelectors: web}, {NodeSelectors: onNode("n2")}}, nodes: "n1 n2"},
		{name: "one of them selects another Service", ads: []spec{
			{NodeSelectors: onNode("n1"), ServiceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"app": "db"}}}}, {NodeSelectors: onNode("n2")},
		}, nodes: "n2"},
		{name: "one of them is of another pool", ads: []spec{{NodeSelectors: onNode("n1"), IPAddressPools: []string{"green"}}, {NodeSelectors: onNode("n2")}}, nodes: "n2"},
		{name: "one of them selects the pool by label", ads: []spec{
			{NodeSelectors: onNode("n1"), IPAddressPoolSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"zone": "a"}}}},
			{NodeSelectors: onNode("n2"), IPAddressPoolSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"zone": "b"}}}},
		}, nodes: "n1"},
		{name: "the highest preference wins", ads: []spec{{PreferredNodeSelectors: append(prefer("n1", 10), prefer("n3", 20)...)}}, nodes: "n1 n2 n3", owner: "n3"},
		{name: "preferences of several add up", ads: []spec{
			{PreferredNodeSelectors: prefer("n1", 60)}, {PreferredNodeSelectors: prefer("n2", 40)}, {PreferredNodeSelectors: prefer("n2", 30)},
		}, nodes: "n1 n2 n3", owner: "n2"},
		{name: "a preference counts only for nodes of its own advertisement", ads: []spec{
			{NodeSelectors: onNode("n1"), PreferredNodeSelectors: prefer("n2", 100)}, {NodeSelectors: onNode("n2", "n3"), PreferredNodeSelectors: prefer("n3", 1)},
		}, nodes: "n1 n2 n3", owner: "n3"},
		{name: "the same preference twice counts twice", ads: []spec{
			{PreferredNodeSelectors: prefer("n1", 20)}, {PreferredNodeSelectors: prefer("n1", 20)}, {PreferredNodeSelectors: prefer("n2", 30)},
		}, nodes: "n1 n2 n3", owner: "n1"},
		{name: "a preferred node that is not able is passed over", ads: []spec{{PreferredNodeSelectors: append(prefer("n1", 20), prefer("n2", 10)...)}}, mend: func(w *World) {
			w.Members[0].State.Fit = false
		}, nodes: "n1 n2 n3", owner: "n2"},
		{name: "a preferred node that is excluded is passed over", ads: []spec{{PreferredNodeSelectors: append(prefer("n1", 20), prefer("n2", 10)...)}}, mend: func(w *World) {
			w.Nodes["n1"] = Node{Excluded: true}
		}, nodes: "n1 n2 n3", owner: "n2"},
		{name: "it is not when the label is ignored", ads: []spec{{PreferredNodeSelectors: append(prefer("n1", 20), prefer("n2", 10)...)}}, mend: func(w *World) {
			w.Nodes["n1"], w.IgnoreExcludeLabel = Node{Excluded: true}, true
		}, nodes: "n1 n2 n3", owner: "n1"},
		{name: "a preferred node without endpoint is passed over with local traffic", ads: []spec{{PreferredNodeSelectors: prefer("n1", 20)}}, mend: func(w *World) {
			w.Services[0].Local = true
		}, nodes: "n1 n2 n3", owner: "n2"},
		{name: "interfaces are those of the advertisements for the owner", ads: []spec{
			{NodeSelectors: onNode("n1"), Interfaces: []string{"eth1"}},
			{NodeSelectors: onNode("n1", "n2"), Interfaces: []string{"eth0"}, PreferredNodeSelectors: prefer("n1", 1)},
			{NodeSelectors: onNode("n2")},
		}, nodes: "n1 n2", owner: "n1", interfaces: "eth0 eth1"},
		{name: "one for the owner that names none opens all", ads: []spec{
			{NodeSelectors: onNode("n2"), Interfaces: []string{"eth1"}, PreferredNodeSelectors: prefer("n2", 1)}, {NodeSelectors: onNode("n1", "n2")},
		}, nodes: "n1 n2", owner: "n2"},
		{name: "a shared address and serviceSelectors of one among them", ads: []spec{{ServiceSelectors: web}, {}}, mend: func(w *World) {
			w.Services[0].Shares = true
		}, reason: reason.SharingExcludesServiceSelectors},
		{name: "a shared address and serviceSelectors for others", ads: []spec{
			{ServiceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"app": "db"}}}}, {},
		}, mend: func(w *World) {
			w.Services[0].Shares = true
		}, nodes: "n1 n2 n3"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := base()
			w.Services = []Service{service("web", "192.0.2.10")}
			w.Services[0].Labels = map[string]string{"app": "web"}
			blue := pool("blue", "192.0.2.0/24")
			blue.Labels = map[string]string{"zone": "a"}
			var ads []v1beta1.L2Advertisement
			for i, s := range row.ads {
				ads = append(ads, advertisement(string(rune('a'+i)), s))
			}
			w.Policy = compile([]v1beta1.IPAddressPool{blue, pool("green", "198.51.100.0/24")}, ads)
			if row.mend != nil {
				row.mend(&w)
			}
			got := Decide(w).Verdicts["default/web"]
			if row.reason != "" {
				if got.Problem == nil || got.Problem.Reason != row.reason || got.Owner != "" {
					t.Fatalf("got owner %q and problem %v, want %s", got.Owner, got.Problem, row.reason)
				}
				return
			}
			c, _ := w.claim(w.Services[0], "blue")
			if nodes := slices.Sorted(maps.Keys(c.nodes)); !slices.Equal(nodes, strings.Fields(row.nodes)) {
				t.Fatalf("candidates are %v, want %s", nodes, row.nodes)
			}
			if got.Owner == "" || row.owner != "" && got.Owner != row.owner {
				t.Fatalf("the owner is %q, want %q (problem %v)", got.Owner, row.owner, got.Problem)
			}
			w.Self = got.Owner
			plan := Decide(w)
			if len(plan.Exclusive) != 1 || !slices.Equal(plan.Exclusive[0].Interfaces, strings.Fields(row.interfaces)) {
				t.Fatalf("announced is %+v, want interfaces %q", plan.Exclusive, row.interfaces)
			}
		})
	}
}
