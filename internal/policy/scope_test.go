// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
)

// on selects nodes by their names.
func on(names ...string) []metav1.LabelSelector {
	return []metav1.LabelSelector{{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "name", Operator: metav1.LabelSelectorOpIn, Values: names}}}}
}

func scopedPeer(name string, seconds int, nodes []metav1.LabelSelector, change func(*v1beta2.BGPPeerSpec)) v1beta2.BGPPeer {
	p := v1beta2.BGPPeer{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Unix(int64(seconds), 0)},
		Spec:       v1beta2.BGPPeerSpec{MyASN: 64512, PeerASN: 64999, PeerAddress: "192.0.2.1", NodeSelectors: nodes},
	}
	if change != nil {
		change(&p.Spec)
	}
	return p
}

func scopedAd(name string, nodes []metav1.LabelSelector, change func(*v1beta1.BGPAdvertisementSpec)) v1beta1.BGPAdvertisement {
	ad := v1beta1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1beta1.BGPAdvertisementSpec{NodeSelectors: nodes}}
	change(&ad.Spec)
	return ad
}

func TestProblemsConcernTheNodesThatWouldUseTheObject(t *testing.T) {
	unknownProfile := func(s *v1beta2.BGPPeerSpec) { s.BFDProfile = "gone" }
	wrongInterval := []v1beta1.BFDProfile{{ObjectMeta: metav1.ObjectMeta{Name: "gone"}, Spec: v1beta1.BFDProfileSpec{ReceiveInterval: number[uint32](1)}}}
	for _, row := range []struct {
		name    string
		objects Objects
		// want are the nodes with the kinds of the objects that have problems there; unknown is a node that the policy does not know.
		want map[string]string
	}{
		{"a peer without nodeSelectors", Objects{BGPPeers: []v1beta2.BGPPeer{scopedPeer("tor", 0, nil, unknownProfile)}},
			map[string]string{"n1": "BGPPeer", "n2": "BGPPeer", "unknown": "BGPPeer"}},
		{"a peer of one node", Objects{BGPPeers: []v1beta2.BGPPeer{scopedPeer("tor", 0, on("n2"), unknownProfile)}},
			map[string]string{"n1": "", "n2": "BGPPeer", "unknown": ""}},
		{"a peer of one node that contradicts itself", Objects{BGPPeers: []v1beta2.BGPPeer{scopedPeer("tor", 0, on("n2"), func(s *v1beta2.BGPPeerSpec) { s.MyASN = 0 })}},
			map[string]string{"n1": "", "n2": "BGPPeer"}},
		{"a peer with invalid nodeSelectors", Objects{BGPPeers: []v1beta2.BGPPeer{
			scopedPeer("tor", 0, []metav1.LabelSelector{{MatchLabels: map[string]string{"name": "not a value"}}}, nil)}},
			map[string]string{"n1": "BGPPeer", "n2": "BGPPeer"}},
		{"a peer of no node", Objects{BGPPeers: []v1beta2.BGPPeer{scopedPeer("tor", 0, on("n9"), unknownProfile)}},
			map[string]string{"n1": "", "n2": ""}},
		{"a peer that repeats an older one on one of its nodes", Objects{BGPPeers: []v1beta2.BGPPeer{scopedPeer("old", 0, on("n2"), nil), scopedPeer("new", 1, on("n1", "n2"), nil)}},
			map[string]string{"n1": "", "n2": "BGPPeer"}},
		{"a profile that a peer of one node uses", Objects{BFDProfiles: wrongInterval, BGPPeers: []v1beta2.BGPPeer{scopedPeer("tor", 0, on("n2"), unknownProfile)}},
			map[string]string{"n1": "", "n2": "BFDProfile BGPPeer"}},
		{"a profile that no peer uses", Objects{BFDProfiles: wrongInterval}, map[string]string{"n1": "BFDProfile", "n2": "BFDProfile"}},
		{"an L2Advertisement of one node", Objects{L2Advertisements: []v1beta1.L2Advertisement{{
			ObjectMeta: metav1.ObjectMeta{Name: "ad"}, Spec: v1beta1.L2AdvertisementSpec{NodeSelectors: on("n1"), IPAddressPools: []string{"a", "a"}}}}},
			map[string]string{"n1": "L2Advertisement", "n2": ""}},
		{"an L2Advertisement of one node with invalid preferences", Objects{L2Advertisements: []v1beta1.L2Advertisement{{
			ObjectMeta: metav1.ObjectMeta{Name: "ad"}, Spec: v1beta1.L2AdvertisementSpec{NodeSelectors: on("n1"), PreferredNodeSelectors: []v1beta1.PreferredNodeSelector{
				{Weight: 1, Preference: metav1.LabelSelector{MatchLabels: map[string]string{"name": "not a value"}}}}}}}},
			map[string]string{"n1": "L2Advertisement", "n2": ""}},
		{"a BGPAdvertisement of one node", Objects{BGPAdvertisements: []v1beta1.BGPAdvertisement{
			scopedAd("ad", on("n1"), func(s *v1beta1.BGPAdvertisementSpec) { s.Communities = []string{"unknown"} })}},
			map[string]string{"n1": "BGPAdvertisement", "n2": ""}},
		{"a community that an advertisement of one node uses", Objects{
			Communities: []v1beta1.Community{community("names", 0, "web", "1:x")},
			BGPAdvertisements: []v1beta1.BGPAdvertisement{
				scopedAd("ad", on("n1"), func(s *v1beta1.BGPAdvertisementSpec) { s.Communities = []string{"web"} })}},
			map[string]string{"n1": "BGPAdvertisement Community", "n2": ""}},
		{"a community that no advertisement uses", Objects{Communities: []v1beta1.Community{community("names", 0, "web", "1:x")}},
			map[string]string{"n1": "Community", "n2": "Community"}},
		{"a pool", Objects{Pools: []v1beta1.IPAddressPool{pool("blue", 0, "nonsense")}}, map[string]string{"n1": "IPAddressPool", "n2": "IPAddressPool"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.objects.Nodes = map[string]map[string]string{"n1": {"name": "n1"}, "n2": {"name": "n2"}}
			p := Compile(row.objects)
			if len(p.Problems) == 0 {
				t.Fatal("the object itself has no problem")
			}
			for node, want := range row.want {
				var kinds []string
				for _, problem := range p.ProblemsOn(node) {
					kinds = append(kinds, problem.Object.Kind)
				}
				if got := strings.Join(kinds, " "); got != want {
					t.Errorf("on %s: got %q, want %q", node, got, want)
				}
			}
		})
	}
}

func TestNotesConcernTheNodesThatUseTheObject(t *testing.T) {
	p := Compile(Objects{
		Nodes: map[string]map[string]string{"n1": {"name": "n1"}, "n2": {"name": "n2"}},
		BGPAdvertisements: []v1beta1.BGPAdvertisement{
			scopedAd("ad", on("n1"), func(s *v1beta1.BGPAdvertisementSpec) { s.Peers = []string{"nobody"} })},
	})
	if here, there := p.NotesOn("n1"), p.NotesOn("n2"); len(p.Notes) != 1 || len(here) != 1 || here[0] != p.Notes[0] || len(there) != 0 {
		t.Errorf("on n1 %v, on n2 %v, in all %v", here, there, p.Notes)
	}
}

func TestOfSeveralFindingsANodeHasItsOwn(t *testing.T) {
	nodes := map[string]map[string]string{"n1": {"name": "n1"}, "n2": {"name": "n2"}}
	p := Compile(Objects{Nodes: nodes, Communities: []v1beta1.Community{community("names", 0, "web", "1:x", "db", "1:y")},
		BGPAdvertisements: []v1beta1.BGPAdvertisement{
			scopedAd("web", on("n1"), func(s *v1beta1.BGPAdvertisementSpec) { s.Communities = []string{"web"} }),
			scopedAd("db", on("n2"), func(s *v1beta1.BGPAdvertisementSpec) { s.Communities = []string{"db"} }),
		}})
	last := func(problems []Problem) string { return problems[len(problems)-1].Detail }
	if here, there := last(p.ProblemsOn("n1")), last(p.ProblemsOn("n2")); strings.Contains(here, "db") || strings.Contains(there, "web") || here == there {
		t.Errorf("on n1 %q, on n2 %q", here, there)
	}
}
