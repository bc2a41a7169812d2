// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
)

func bgpAd(name string, spec v1beta1.BGPAdvertisementSpec) v1beta1.BGPAdvertisement {
	return v1beta1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
}

// routers is a world in which two routers speak with every node and announce everything to both.
func routers(ads ...v1beta1.BGPAdvertisement) World {
	w := base()
	if len(ads) == 0 {
		ads = []v1beta1.BGPAdvertisement{bgpAd("all", v1beta1.BGPAdvertisementSpec{})}
	}
	w.Ownerless, w.Routed = true, true
	w.Policy = routed(ads, bgpPeer("tor-a", "198.51.100.1"), bgpPeer("tor-b", "2001:db8::1"))
	w.Services = []Service{service("web", "198.18.0.10")}
	return w
}

// bothFamilies lets every session carry both.
func bothFamilies(w World) World {
	w.Policy.Peers = slices.Clone(w.Policy.Peers)
	for i := range w.Policy.Peers {
		w.Policy.Peers[i].Spec.DualStackAddressFamily = true
	}
	return w
}

// told writes down what each router is told: its name and prefixes with local preference and communities.
func toldTo(peers []announcers.Peer) string {
	var all []string
	for _, p := range peers {
		line := p.Name + ":"
		for _, r := range p.Routes {
			line += " " + r.Prefix.String()
			if r.LocalPref != 0 || len(r.Communities) > 0 || r.HasMED || r.Prepend > 0 || len(r.LargeCommunities) > 0 {
				line += fmt.Sprintf("(%d %v %v %d %v)", r.LocalPref, r.MED, r.Communities, r.Prepend, r.LargeCommunities)
			}
		}
		all = append(all, line)
	}
	return strings.Join(all, "; ")
}

func TestWhatRoutersAreTold(t *testing.T) {
	labelled := func(l map[string]string) []metav1.LabelSelector { return []metav1.LabelSelector{{MatchLabels: l}} }
	gold, web := map[string]string{"tier": "gold"}, map[string]string{"app": "web"}
	for _, row := range []struct {
		name  string
		world func() World
		told  string
		// peers are what is said of Service web, problem is why routers are not told and whether this node says so.
		peers   []string
		problem reason.Reason
		speaks  bool
	}{
		{"everything to every router", func() World { return routers() }, "tor-a: 198.18.0.10/32; tor-b:", []string{"tor-a"}, "", false},
		{"both families, each router its own", func() World {
			w := routers()
			w.Services[0].Addresses = append(w.Services[0].Addresses, netip.MustParseAddr("2001:db8:18::1"))
			return w
		}, "tor-a: 198.18.0.10/32; tor-b: 2001:db8:18::1/128", []string{"tor-a", "tor-b"}, "", false},
		{"both families to a router whose session carries both", func() World {
			w := bothFamilies(routers())
			w.Services[0].Addresses = append(w.Services[0].Addresses, netip.MustParseAddr("2001:db8:18::1"))
			return w
		}, "tor-a: 198.18.0.10/32 2001:db8:18::1/128; tor-b: 198.18.0.10/32 2001:db8:18::1/128", []string{"tor-a", "tor-b"}, "", false},
		{"both families to an unnumbered session", func() World {
			w := routers()
			peer := bgpPeer("tor", "")
			peer.Spec.Interface = "eth1"
			w.Policy = routed([]v1beta1.BGPAdvertisement{bgpAd("all", v1beta1.BGPAdvertisementSpec{})}, peer)
			w.Services[0].Addresses = append(w.Services[0].Addresses, netip.MustParseAddr("2001:db8:18::1"))
			return w
		}, "tor: 198.18.0.10/32 2001:db8:18::1/128", []string{"tor"}, "", false},
		{"by length, with attributes", func() World {
			return routers(bgpAd("all", v1beta1.BGPAdvertisementSpec{
				AggregationLength: ptr.To[int32](24), LocalPref: 7, Communities: []string{"65000:1", "large:1:2:3"},
			}))
		}, "tor-a: 198.18.0.0/24(7 0 [4259840001] 0 [[1 2 3]]); tor-b:", []string{"tor-a"}, "", false},
		{"only the routers that are named", func() World { return routers(bgpAd("all", v1beta1.BGPAdvertisementSpec{Peers: []string{"tor-a"}})) },
			"tor-a: 198.18.0.10/32; tor-b:", []string{"tor-a"}, "", false},
		{"nothing from a node that is not selected", func() World { return routers(bgpAd("all", v1beta1.BGPAdvertisementSpec{NodeSelectors: onNode("n2")})) },
			"tor-a:; tor-b:", nil, "", false},
		{"nothing of a Service that is not selected", func() World {
			return routers(bgpAd("all", v1beta1.BGPAdvertisementSpec{ServiceSelectors: labelled(gold)}))
		},
			"tor-a:; tor-b:", nil, "", false},
		{"nothing without an endpoint", func() World {
			w := routers()
			w.Services[0].ServingNodes = nil
			return w
		}, "tor-a:; tor-b:", nil, reason.NoEndpoints, true},
		{"nothing without an endpoint here, if it must be here", func() World {
			w := routers()
			w.Services[0].Local = true
			return w
		}, "tor-a:; tor-b:", nil, reason.NoLocalEndpoints, false},
		{"all from a node with an endpoint that must be here", func() World {
			w := routers()
			w.Services[0].Local, w.Services[0].ServingNodes = true, map[string]bool{"n1": true}
			return w
		}, "tor-a: 198.18.0.10/32; tor-b:", []string{"tor-a"}, "", false},
		{"nothing from a node without network", func() World {
			w := routers()
			w.Nodes = map[string]Node{"n1": {NetworkUnavailable: true}}
			return w
		}, "tor-a:; tor-b:", nil, reason.NodeNetworkUnavailable, false},
		{"nothing from an excluded node", func() World {
			w := routers()
			w.Nodes = map[string]Node{"n1": {Excluded: true}}
			return w
		}, "tor-a:; tor-b:", nil, reason.NodeExcluded, false},
		{"nothing when two advertisements give a Service different local preferences", func() World {
			w := routers(bgpAd("a", v1beta1.BGPAdvertisementSpec{LocalPref: 1, ServiceSelectors: labelled(gold)}),
				bgpAd("b", v1beta1.BGPAdvertisementSpec{LocalPref: 2, ServiceSelectors: labelled(web)}))
			w.Services[0].Labels = map[string]string{"tier": "gold", "app": "web"}
			w.Services = append(w.Services, service("other", "198.18.0.11"))
			w.Services[1].Labels = gold
			return w
		}, "tor-a: 198.18.0.11/32(1 0 [] 0 []); tor-b:", nil, reason.LocalPrefConflict, true},
		{"different local preferences for different routers", func() World {
			w := routers(bgpAd("a", v1beta1.BGPAdvertisementSpec{LocalPref: 1, Peers: []string{"tor-a"}, ServiceSelectors: labelled(gold)}),
				bgpAd("b", v1beta1.BGPAdvertisementSpec{LocalPref: 2, Peers: []string{"tor-b"}, ServiceSelectors: labelled(web)}))
			w.Services[0].Labels = map[string]string{"tier": "gold", "app": "web"}
			return bothFamilies(w)
		}, "tor-a: 198.18.0.10/32(1 0 [] 0 []); tor-b: 198.18.0.10/32(2 0 [] 0 [])", []string{"tor-a", "tor-b"}, "", false},
		{"another node tells of what concerns it as well", func() World {
			w := routers(bgpAd("a", v1beta1.BGPAdvertisementSpec{LocalPref: 1, ServiceSelectors: labelled(gold)}),
				bgpAd("b", v1beta1.BGPAdvertisementSpec{LocalPref: 2, ServiceSelectors: labelled(gold)}))
			w.Services[0].Labels, w.Self = gold, "n2"
			return w
		}, "tor-a:; tor-b:", nil, reason.LocalPrefConflict, false},
		{"Services on one address say of each other what routers are told", func() World {
			w := routers(bgpAd("a", v1beta1.BGPAdvertisementSpec{Communities: []string{"0:1"}, Peers: []string{"tor-a"}, ServiceSelectors: labelled(gold)}),
				bgpAd("b", v1beta1.BGPAdvertisementSpec{Communities: []string{"0:2"}, Peers: []string{"tor-b", "tor-a"}, ServiceSelectors: labelled(web)}))
			other := service("other", "198.18.0.10")
			w.Services[0].Labels, other.Labels = gold, web
			for _, s := range []*Service{&w.Services[0], &other} {
				s.Tenant.SharingKey = "together"
			}
			w.Services = append(w.Services, other)
			return bothFamilies(w)
		}, "tor-a: 198.18.0.10/32(0 0 [1 2] 0 []); tor-b: 198.18.0.10/32(0 0 [2] 0 [])", []string{"tor-a", "tor-b"}, "", false},
		{"nobody to tell, on any node", func() World {
			w := routers(bgpAd("all", v1beta1.BGPAdvertisementSpec{Peers: []string{"tor-c"}}))
			return w
		}, "tor-a:; tor-b:", nil, reason.NoPeers, true},
		{"nobody to tell, as another node says", func() World {
			w := routers(bgpAd("all", v1beta1.BGPAdvertisementSpec{Peers: []string{"tor-c"}}))
			w.Self = "n2"
			return w
		}, "tor-a:; tor-b:", nil, reason.NoPeers, false},
		{"nobody to tell on this node", func() World {
			w := routers()
			elsewhere := bgpPeer("tor-a", "198.51.100.1")
			elsewhere.Spec.NodeSelectors = onNode("n2")
			w.Policy = routed([]v1beta1.BGPAdvertisement{bgpAd("all", v1beta1.BGPAdvertisementSpec{})}, elsewhere)
			return w
		}, "", nil, reason.NoPeers, false},
		{"nobody to tell and nobody who would", func() World {
			w := routers(bgpAd("all", v1beta1.BGPAdvertisementSpec{Peers: []string{"tor-c"}}))
			w.Routed = false
			return w
		}, "", nil, "", false},
		{"too many communities on a prefix that the session does not carry", func() World {
			var many []string
			for i := range 64 {
				many = append(many, fmt.Sprintf("65000:%d", i))
			}
			w := routers(bgpAd("all", v1beta1.BGPAdvertisementSpec{Communities: many, Peers: []string{"tor-b"}}),
				bgpAd("few", v1beta1.BGPAdvertisementSpec{Peers: []string{"tor-a"}}))
			return w
		}, "tor-a: 198.18.0.10/32; tor-b:", []string{"tor-a"}, "", false},
		{"more communities than a prefix can have", func() World {
			var many []string
			for i := range 64 {
				many = append(many, fmt.Sprintf("65000:%d", i))
			}
			return routers(bgpAd("all", v1beta1.BGPAdvertisementSpec{Communities: many}))
		}, "tor-a:; tor-b:", nil, reason.TooManyCommunities, true},
		{"a node that is drained keeps its routes, and says no more that it has any", func() World {
			w := routers()
			w.Nodes = map[string]Node{"n1": {Drain: true}}
			return w
		}, "tor-a: 198.18.0.10/32; tor-b:", nil, "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := row.world()
			plan := Decide(w)
			if got := toldTo(plan.Peers); got != row.told {
				t.Errorf("routers are told %q, want %q", got, row.told)
			}
			v := plan.Verdicts["default/web"]
			var problem reason.Reason
			if v.SharedProblem != nil {
				problem = v.SharedProblem.Reason
			}
			if !slices.Equal(v.Peers, row.peers) || problem != row.problem || v.SharedSpeaks != row.speaks {
				t.Errorf("got peers %v, problem %v, speaks %v; want %v, %q, %v", v.Peers, v.SharedProblem, v.SharedSpeaks, row.peers, row.problem, row.speaks)
			}
		})
	}
}

func TestRoutersThatAreToldTheSameHaveOneSlice(t *testing.T) {
	w := routers()
	w.Policy = routed([]v1beta1.BGPAdvertisement{bgpAd("all", v1beta1.BGPAdvertisementSpec{})},
		bgpPeer("a", "198.51.100.1"), bgpPeer("b", "198.51.100.2"), bgpPeer("c", "2001:db8::1"), bgpPeer("d", "2001:db8::2"))
	w.Services[0].Addresses = append(w.Services[0].Addresses, netip.MustParseAddr("2001:db8:18::1"))
	peers := Decide(w).Peers
	if len(peers) != 4 || &peers[0].Routes[0] != &peers[1].Routes[0] || &peers[2].Routes[0] != &peers[3].Routes[0] {
		t.Errorf("got %s", toldTo(peers))
	}
}

func TestWhenANodeIsDrained(t *testing.T) {
	for _, row := range []struct {
		name     string
		node     Node
		onCordon bool
		want     bool
	}{
		{"not", Node{}, true, false},
		{"by the label", Node{Drain: true}, false, true},
		{"not by a cordon alone", Node{Cordoned: true}, false, false},
		{"by a cordon where that is asked for", Node{Cordoned: true}, true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := routers()
			w.Nodes, w.DrainOnCordon = map[string]Node{"n1": row.node}, row.onCordon
			if got := Decide(w).Drain; got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

func TestWithWhomANodeSpeaks(t *testing.T) {
	spec := func(name string, change func(*v1beta2.BGPPeerSpec)) v1beta2.BGPPeer {
		p := bgpPeer(name, "198.51.100.1")
		change(&p.Spec)
		return p
	}
	missing := reason.New(reason.PasswordSecretMissing, "Secret gone does not exist")
	w := routers()
	w.Policy = routed(nil,
		spec("elsewhere", func(s *v1beta2.BGPPeerSpec) { s.NodeSelectors, s.PasswordSecret.Name = onNode("n2"), "theirs" }),
		spec("missing", func(s *v1beta2.BGPPeerSpec) { s.PasswordSecret.Name, s.PeerPort = "gone", 1 }),
		spec("pending", func(s *v1beta2.BGPPeerSpec) { s.PasswordSecret.Name, s.PeerPort = "new", 2 }),
		spec("secret", func(s *v1beta2.BGPPeerSpec) { s.PasswordSecret.Name, s.PeerPort = "known", 3 }),
	)
	w.Passwords = map[string]Password{"gone": {Problem: missing}, "known": {Value: "hush"}}
	plan := Decide(w)
	if len(plan.Peers) != 1 || plan.Peers[0].Name != "secret" || plan.Peers[0].Password != "hush" {
		t.Errorf("speaks with %v", plan.Peers)
	}
	if want := map[string]*reason.Problem{"missing": missing}; !reflect.DeepEqual(plan.LeftOut, want) {
		t.Errorf("leaves out %v, want %v", plan.LeftOut, want)
	}
	if want := []string{"pending"}; !slices.Equal(plan.Pending, want) {
		t.Errorf("waits for the passwords of %v, want %v", plan.Pending, want)
	}
	if got := w.secrets(); !slices.Equal(got, []string{"gone", "known", "new"}) {
		t.Errorf("reads %v", got)
	}
	w.Routed = false
	if plan := Decide(w); len(plan.Peers)+len(plan.LeftOut)+len(plan.Pending) > 0 || w.secrets() != nil {
		t.Errorf("without an announcer for it: speaks with %v, leaves out %v, waits for %v, reads %v", plan.Peers, plan.LeftOut, plan.Pending, w.secrets())
	}
}
