// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta2"
)

func TestPeersWithOneEndpoint(t *testing.T) {
	for _, row := range []struct {
		name string
		// young is what the younger peer has besides the address of the older one.
		young func(*v1beta2.BGPPeerSpec)
		nodes int
		// detail is part of the problem; empty for none.
		detail string
	}{
		{name: "the same", detail: `peer "young" already exists: on nodes "n1", "n2", "n3" the older BGPPeer "old" has`},
		{name: "written otherwise", young: at("::ffff:192.0.2.1"), detail: "already exists"},
		{name: "another AS", young: func(s *v1beta2.BGPPeerSpec) { s.MyASN = 1 }, detail: "already exists"},
		{name: "the default port", young: func(s *v1beta2.BGPPeerSpec) { s.PeerPort = 179 }, detail: "already exists"},
		{name: "one node in common", young: func(s *v1beta2.BGPPeerSpec) { s.NodeSelectors = []metav1.LabelSelector{label("rack", "r1")} }, detail: `on node "n1" the`},
		{name: "another address", young: at("192.0.2.2"), nodes: 3},
		{name: "another port", young: func(s *v1beta2.BGPPeerSpec) { s.PeerPort = 1179 }, nodes: 3},
		{name: "another VRF", young: func(s *v1beta2.BGPPeerSpec) { s.VRF = "red" }, nodes: 3},
		{name: "invalid", young: func(s *v1beta2.BGPPeerSpec) { s.MyASN = 0 }, detail: "myASN"},
	} {
		t.Run(row.name, func(t *testing.T) {
			young := peer("young", row.young)
			young.CreationTimestamp = born("", 1).CreationTimestamp
			p := Compile(Objects{Nodes: threeNodes(), BGPPeers: []v1beta2.BGPPeer{young, peer("old", nil)}})
			if len(p.Peers[0].Nodes) != 3 || len(p.Peers) == 2 && len(p.Peers[1].Nodes) != row.nodes {
				t.Errorf("peers %+v", p.Peers)
			}
			problem, wrong := p.ProblemOf(ObjectRef{KindBGPPeer, "young"})
			if wrong != (row.detail != "") || !strings.Contains(problem.Detail, row.detail) {
				t.Errorf("problem %v", problem)
			}
		})
	}
}

func TestOnNodesOfTheirOwnPeersMayBeAlike(t *testing.T) {
	on := func(name, rack string, age int) v1beta2.BGPPeer {
		p := peer(name, func(s *v1beta2.BGPPeerSpec) { s.NodeSelectors = []metav1.LabelSelector{label("rack", rack)} })
		p.CreationTimestamp = born("", age).CreationTimestamp
		return p
	}
	everywhere := peer("everywhere", nil)
	everywhere.CreationTimestamp = born("", 3).CreationTimestamp
	p := Compile(Objects{Nodes: threeNodes(), BGPPeers: []v1beta2.BGPPeer{everywhere, on("a", "r1", 0), on("b", "r2", 1)}})
	nodes := map[string]int{}
	for _, peer := range p.Peers {
		nodes[peer.Name] = len(peer.Nodes)
	}
	problem, _ := p.ProblemOf(ObjectRef{KindBGPPeer, "everywhere"})
	if nodes["a"] == 0 || nodes["b"] == 0 || nodes["a"]+nodes["b"]+nodes["everywhere"] != 3 || problem.Reason != reason.DuplicatePeer || len(p.Problems) != 1 {
		t.Errorf("nodes %v, problems %v", nodes, p.Problems)
	}
	if !strings.Contains(problem.Detail, `"a", "b"`) {
		t.Errorf("the problem names not both: %s", problem.Detail)
	}
}
