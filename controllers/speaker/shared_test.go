// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/policy"
)

// What all speakers together tell users of a Service that is not announced, once that has lasted.
func TestWhatUsersAreToldOfAServiceThatIsNotAnnounced(t *testing.T) {
	type node = map[string]Node
	all := func(n Node) node { return node{"n1": n, "n2": n, "n3": n} }
	layer2 := func(w *World, l2 v1beta1.L2AdvertisementSpec) {
		w.Ownerless = false
		w.Policy = policy.Compile(policy.Objects{
			Pools:            []v1beta1.IPAddressPool{pool("blue", "198.18.0.0/16", "2001:db8:18::/64")},
			L2Advertisements: []v1beta1.L2Advertisement{advertisement("l2", l2)}, BGPAdvertisements: []v1beta1.BGPAdvertisement{bgpAd("all", v1beta1.BGPAdvertisementSpec{})},
			BGPPeers: []v1beta2.BGPPeer{bgpPeer("tor-a", "198.51.100.1")},
			Nodes:    map[string]map[string]string{"n1": {"kubernetes.io/hostname": "n1"}, "n2": {"kubernetes.io/hostname": "n2"}, "n3": {"kubernetes.io/hostname": "n3"}},
		})
	}
	only4 := func(w *World) {
		w.Policy = routed([]v1beta1.BGPAdvertisement{bgpAd("all", v1beta1.BGPAdvertisementSpec{})}, bgpPeer("tor-a", "198.51.100.1"))
	}
	six := netip.MustParseAddr("2001:db8:18::1")
	for _, row := range []struct {
		name string
		mend func(*World)
		// want are the events, each with the node that tells it, in parts that must occur.
		want []string
	}{
		{"all is well", func(*World) {}, nil},
		{"no endpoint", func(w *World) { w.Services[0].ServingNodes = nil }, []string{"n1 NoEndpoints no node announces the Service:"}},
		{"no endpoint, by either way", func(w *World) {
			layer2(w, v1beta1.L2AdvertisementSpec{})
			w.Services[0].ServingNodes = nil
		}, []string{"n1 NoEndpoints no node announces the Service:"}},
		{"no endpoint, and only layer 2 runs", func(w *World) {
			layer2(w, v1beta1.L2AdvertisementSpec{})
			w.Services[0].ServingNodes, w.Routed = nil, false
		}, []string{"n1 NoEndpoints no node announces the Service at layer 2:"}},
		{"no endpoint, and nothing runs", func(w *World) { w.Services[0].ServingNodes, w.Routed = nil, false }, nil},
		{"every node is excluded", func(w *World) { w.Nodes = all(Node{Excluded: true}) }, []string{"n1 NodeExcluded no BGP router receives a route to the Service:"}},
		{"every node is excluded, and that is ignored", func(w *World) { w.Nodes, w.IgnoreExcludeLabel = all(Node{Excluded: true}), true }, nil},
		{"one node is excluded", func(w *World) { w.Nodes = node{"n1": {Excluded: true}} }, nil},
		{"every network is down", func(w *World) { w.Nodes = all(Node{NetworkUnavailable: true}) }, []string{"n1 NodeNetworkUnavailable no BGP router"}},
		{"one network is down", func(w *World) { w.Nodes = node{"n2": {NetworkUnavailable: true}} }, nil},
		{"each node for its own reason", func(w *World) {
			w.Nodes = node{"n1": {Excluded: true}, "n3": {NetworkUnavailable: true}}
			w.Services[0].Local, w.Services[0].ServingNodes = true, map[string]bool{"n3": true}
		}, []string{"n1 NodeExcluded no BGP router"}},
		{"local traffic, endpoints on some nodes", func(w *World) { w.Services[0].Local = true }, nil},
		{"local traffic, endpoints on a node that is not there", func(w *World) {
			w.Services[0].Local, w.Services[0].ServingNodes = true, map[string]bool{"n4": true}
		}, []string{"n1 NoLocalEndpoints no BGP router"}},
		{"local traffic, endpoints on a node that has no speaker", func(w *World) {
			w.Services[0].Local, w.Services[0].ServingNodes, w.Members = true, map[string]bool{"n1": true}, w.Members[1:]
		}, []string{"n2 NoSpeakerOnNode no BGP router receives a route to the Service: the Service has externalTrafficPolicy Local and endpoints on no node with a live speaker, only node n1 ("}},
		{"local traffic, endpoints on a node without and on one with a speaker", func(w *World) {
			w.Services[0].Local, w.Services[0].ServingNodes, w.Members = true, map[string]bool{"n1": true, "n2": true}, w.Members[1:]
		}, nil},
		{"local traffic, endpoints on a node that is not selected", func(w *World) {
			w.Policy = routed([]v1beta1.BGPAdvertisement{bgpAd("some", v1beta1.BGPAdvertisementSpec{NodeSelectors: onNode("n2", "n3")})}, bgpPeer("tor-a", "198.51.100.1"))
			w.Services[0].Local, w.Services[0].ServingNodes = true, map[string]bool{"n1": true}
		}, []string{"n2 NoLocalEndpoints no BGP router"}},
		{"a node that is cut off knows nothing of the others", func(w *World) {
			w.Services[0].Local, w.Isolated, w.Members = true, true, w.Members[:1]
		}, nil},
		{"the selected node has no speaker", func(w *World) {
			w.Policy = routed([]v1beta1.BGPAdvertisement{bgpAd("one", v1beta1.BGPAdvertisementSpec{NodeSelectors: onNode("n3")})}, bgpPeer("tor-a", "198.51.100.1"))
			w.Members = w.Members[:2]
		}, []string{"n1 NoSpeakerOnNode no BGP router receives a route to the Service: BGPAdvertisements select no node with a live speaker, only node n3 ("}},
		{"no node is selected", func(w *World) {
			w.Policy = routed([]v1beta1.BGPAdvertisement{bgpAd("none", v1beta1.BGPAdvertisementSpec{NodeSelectors: onNode("n9")})}, bgpPeer("tor-a", "198.51.100.1"))
		}, []string{"n1 NoMatchingAdvertisement no BGP router receives a route to the Service: BGPAdvertisement none selects no node"}},
		{"layer 2 alone is kept from it", func(w *World) {
			layer2(w, v1beta1.L2AdvertisementSpec{NodeSelectors: onNode("n3")})
			w.Nodes = node{"n3": {Excluded: true}}
		}, []string{"n1 NodeExcluded no node announces the Service at layer 2:"}},
		{"a shared address and serviceSelectors", func(w *World) {
			layer2(w, v1beta1.L2AdvertisementSpec{ServiceSelectors: []metav1.LabelSelector{{}}})
			w.Services[0].Shares = true
		}, []string{"n1 SharingExcludesServiceSelectors no node announces the Service at layer 2:"}},
		{"no L2Advertisement is there for it", func(w *World) { layer2(w, v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"green"}}) }, nil},
		{"both are kept from it", func(w *World) {
			layer2(w, v1beta1.L2AdvertisementSpec{})
			w.Nodes = all(Node{Excluded: true})
		}, []string{"n1 NodeExcluded no node announces the Service at layer 2:", "n1 NodeExcluded no BGP router receives a route to the Service:"}},
		{"only routers of the other family", func(w *World) {
			only4(w)
			w.Services[0].Addresses = []netip.Addr{six}
		}, []string{"n1 NoPeers no BGP router receives a route to the Service: no BGPPeer accepts the IPv6 addresses that BGPAdvertisement all announces, on any node: a session with an IPv4 peer carries IPv6 only with dualStackAddressFamily"}},
		{"only routers of one family", func(w *World) {
			only4(w)
			w.Services[0].Addresses = append(w.Services[0].Addresses, six)
		}, []string{"n1 NoPeers BGP routers receive routes to some addresses of the Service only: no BGPPeer accepts the IPv6 addresses"}},
		{"routers of one family whose sessions carry both", func(w *World) {
			only4(w)
			*w = bothFamilies(*w)
			w.Services[0].Addresses = append(w.Services[0].Addresses, six)
		}, nil},
		{"no router at all", func(w *World) {
			w.Policy = routed([]v1beta1.BGPAdvertisement{bgpAd("all", v1beta1.BGPAdvertisementSpec{})})
			w.Services[0].Addresses = append(w.Services[0].Addresses, six)
		}, []string{"n1 NoPeers no BGP router receives a route to the Service: no BGPPeer accepts the routes of BGPAdvertisement all, on any node"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got []string
			w := routers()
			row.mend(&w)
			for _, m := range w.Members {
				w.Self = m.Name
				for _, e := range lastingly(Outcome{Node: m.Name, World: w, Plan: Decide(w)}.service("default/web"), m.Name) {
					got = append(got, m.Name+" "+e.reason+" "+e.message)
				}
			}
			if len(got) != len(row.want) {
				t.Fatalf("told is %q, want %q", got, row.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], row.want[i]) {
					t.Errorf("told is %q, want %q", got[i], row.want[i])
				}
			}
		})
	}
}

// lastingly returns what a speaker tells of a Service once it has been so for a while.
func lastingly(o serviceOutcome, node string) []event {
	now := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	e := newEvents(nil, nil, node, namespace, now)
	e.nobody("default/web", o)
	e.untold("default/web", o)
	now.SetTime(now.Now().Add(silenceTold))
	nobody, _ := e.nobody("default/web", o)
	untold, _ := e.untold("default/web", o)
	return append(nobody, untold...)
}
