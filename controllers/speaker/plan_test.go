// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/membership"
	"metalsuite.io/internal/policy"
)

// base returns a world of three fit nodes, one pool and one advertisement for everything, seen from node n1.
func base() World {
	w := World{
		Self:  "n1",
		Nodes: map[string]Node{"n1": {}, "n2": {}, "n3": {}},
		Policy: compile(
			[]v1beta1.IPAddressPool{pool("blue", "192.0.2.0/24", "2001:db8::/64")},
			[]v1beta1.L2Advertisement{advertisement("all", v1beta1.L2AdvertisementSpec{})},
		),
	}
	for _, n := range []string{"n1", "n2", "n3"} {
		w.Members = append(w.Members, membership.Member{Name: n, Known: true, State: membership.State{Fit: true, SubnetsTold: true}})
	}
	return w
}

func compile(pools []v1beta1.IPAddressPool, ads []v1beta1.L2Advertisement) *policy.Policy {
	nodes := map[string]map[string]string{}
	for _, n := range []string{"n1", "n2", "n3"} {
		nodes[n] = map[string]string{"kubernetes.io/hostname": n}
	}
	return policy.Compile(policy.Objects{
		Pools: pools, L2Advertisements: ads, Nodes: nodes, Namespaces: map[string]map[string]string{"default": {}},
	})
}

func pool(name string, addresses ...string) v1beta1.IPAddressPool {
	return v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1beta1.IPAddressPoolSpec{Addresses: addresses}}
}

func advertisement(name string, spec v1beta1.L2AdvertisementSpec) v1beta1.L2Advertisement {
	return v1beta1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
}

func onNode(names ...string) []metav1.LabelSelector {
	return []metav1.LabelSelector{{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: "kubernetes.io/hostname", Operator: metav1.LabelSelectorOpIn, Values: names,
	}}}}
}

// service returns a Service with a serving endpoint on node n2.
func service(name string, addresses ...string) Service {
	key := allocation.Key{Namespace: "default", Name: name}
	s := Service{
		Key: key.String(), ServingNodes: map[string]bool{"n2": true},
		Tenant: allocation.Tenant{Key: key}, Seniority: kube.Seniority{Key: key},
	}
	for _, a := range addresses {
		s.Addresses = append(s.Addresses, netip.MustParseAddr(a))
	}
	return s
}

func TestDecide(t *testing.T) {
	for _, row := range []struct {
		name   string
		mend   func(*World)
		owner  string
		reason reason.Reason
	}{
		{name: "somebody owns it", owner: "any"},
		{name: "no endpoint serves", mend: func(w *World) { w.Services[0].ServingNodes = nil }, reason: reason.NoEndpoints},
		{name: "an address of no pool", mend: func(w *World) { w.Services[0].Addresses[0] = netip.MustParseAddr("198.51.100.1") }, reason: reason.AddressNotInPool},
		{name: "no advertisement", mend: func(w *World) {
			w.Policy = compile([]v1beta1.IPAddressPool{pool("blue", "192.0.2.0/24")}, nil)
		}, reason: reason.NoMatchingAdvertisement},
		{name: "a shared address and serviceSelectors", mend: func(w *World) {
			w.Services[0].Shares, w.Services[0].Labels = true, map[string]string{"app": "web"}
			w.Policy = compile([]v1beta1.IPAddressPool{pool("blue", "192.0.2.0/24")},
				[]v1beta1.L2Advertisement{advertisement("web", v1beta1.L2AdvertisementSpec{ServiceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"app": "web"}}}})})
		}, reason: reason.SharingExcludesServiceSelectors},
		{name: "an advertisement for one node", mend: func(w *World) {
			w.Policy = compile([]v1beta1.IPAddressPool{pool("blue", "192.0.2.0/24")},
				[]v1beta1.L2Advertisement{advertisement("one", v1beta1.L2AdvertisementSpec{NodeSelectors: onNode("n3")})})
		}, owner: "n3"},
		{name: "local traffic goes where an endpoint serves", mend: func(w *World) { w.Services[0].Local = true }, owner: "n2"},
		{name: "local traffic without node", mend: func(w *World) {
			w.Services[0].Local, w.Services[0].ServingNodes = true, map[string]bool{"": true}
		}, reason: reason.NoLocalEndpoints},
		{name: "only one speaker lives", mend: func(w *World) { w.Members = w.Members[1:2] }, owner: "n2"},
		{name: "only one is fit", mend: func(w *World) { w.Members[0].State.Fit, w.Members[1].State.Fit = false, false }, owner: "n3"},
		{name: "only one has the interface that is named", mend: func(w *World) {
			w.Policy = compile([]v1beta1.IPAddressPool{pool("blue", "192.0.2.0/24")},
				[]v1beta1.L2Advertisement{advertisement("eth1", v1beta1.L2AdvertisementSpec{Interfaces: []string{"eth1"}})})
			for i := range w.Members {
				w.Members[i].State.Links = map[string]string{"eth0": "02:00:00:00:00:01"}
			}
			w.Members[1].State.Links["eth1"] = "02:00:00:00:00:02"
		}, owner: "n2"},
		{name: "a speaker that has not told its state does not count", mend: func(w *World) {
			w.Members[0].Known, w.Members[1].Known = false, false
		}, owner: "n3"},
		{name: "cut off from all others", mend: func(w *World) { w.Isolated = true }, reason: reason.NoCarrier},
		{name: "no announcer that needs an owner", mend: func(w *World) { w.Ownerless = true }, reason: reason.ComponentDisabled},
		{name: "no announcer and no endpoints", mend: func(w *World) {
			w.Ownerless, w.Services[0].ServingNodes = true, nil
		}, reason: reason.ComponentDisabled},
		{name: "addresses of two pools", mend: func(w *World) {
			w.Policy = compile([]v1beta1.IPAddressPool{pool("blue", "192.0.2.0/24"), pool("green", "2001:db8::/64")}, nil)
			w.Services[0].Addresses = append(w.Services[0].Addresses, netip.MustParseAddr("2001:db8::1"))
		}, reason: reason.AddressNotInPool},
		{name: "nobody is fit, so all count", mend: func(w *World) {
			for i := range w.Members {
				w.Members[i].State.Fit = false
			}
		}, owner: "any"},
		{name: "networks are down but one", mend: func(w *World) {
			w.Nodes["n1"], w.Nodes["n2"] = Node{NetworkUnavailable: true}, Node{NetworkUnavailable: true}
		}, owner: "n3"},
		{name: "every network is down", mend: func(w *World) {
			for n := range w.Nodes {
				w.Nodes[n] = Node{NetworkUnavailable: true}
			}
		}, reason: reason.NodeNetworkUnavailable},
		{name: "all nodes are excluded", mend: func(w *World) {
			for n := range w.Nodes {
				w.Nodes[n] = Node{Excluded: true}
			}
		}, reason: reason.NodeExcluded},
		{name: "the label is ignored", mend: func(w *World) {
			w.IgnoreExcludeLabel = true
			for n := range w.Nodes {
				w.Nodes[n] = Node{Excluded: true}
			}
		}, owner: "any"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := base()
			w.Services = []Service{service("web", "192.0.2.10")}
			if row.mend != nil {
				row.mend(&w)
			}
			got := Decide(w).Verdicts["default/web"]
			switch {
			case row.reason != "":
				if got.Problem == nil || got.Problem.Reason != row.reason || got.Owner != "" {
					t.Fatalf("got owner %q and problem %v, want reason %s", got.Owner, got.Problem, row.reason)
				}
			case got.Problem != nil || got.Owner == "" || (row.owner != "any" && got.Owner != row.owner):
				t.Fatalf("got owner %q and problem %v, want owner %q", got.Owner, got.Problem, row.owner)
			}
		})
	}
}

// One address has one owner on every node's own view, whatever is shared with whom.
func TestEveryNodeNamesTheSameOwner(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		w := base()
		for i := range 8 {
			s := service(fmt.Sprintf("s%d", i), fmt.Sprintf("192.0.2.%d", random.IntN(6)))
			if random.IntN(2) == 0 {
				s.Addresses = append(s.Addresses, netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", random.IntN(4))))
			}
			if random.IntN(3) == 0 {
				slices.Reverse(s.Addresses)
			}
			s.Tenant.SharingKey = []string{"", "k", "k", "k"}[random.IntN(4)]
			s.Local = random.IntN(3) == 0
			s.ServingNodes = map[string]bool{fmt.Sprintf("n%d", 1+random.IntN(3)): true}
			w.Services = append(w.Services, s)
		}
		owners := map[netip.Addr][]string{}
		for _, self := range []string{"n1", "n2", "n3"} {
			w.Self = self
			random.Shuffle(len(w.Services), func(i, j int) { w.Services[i], w.Services[j] = w.Services[j], w.Services[i] })
			for _, a := range Decide(w).Exclusive {
				owners[a.Addr] = append(owners[a.Addr], self)
			}
		}
		for a, nodes := range owners {
			if len(nodes) != 1 {
				t.Fatalf("round %d: %s is owned by %v", round, a, nodes)
			}
		}
	}
}

func TestAnnouncersWithoutOwnerGetEverySelectedService(t *testing.T) {
	w := base()
	w.Services = []Service{service("web", "192.0.2.10"), service("api", "192.0.2.11")}
	w.Services[1].Local = true // its endpoint is on n2
	w.Policy = policy.Compile(policy.Objects{
		Pools:             []v1beta1.IPAddressPool{pool("blue", "192.0.2.0/24")},
		BGPAdvertisements: []v1beta1.BGPAdvertisement{{ObjectMeta: metav1.ObjectMeta{Name: "all"}}},
		Nodes:             map[string]map[string]string{"n1": {}, "n2": {}},
	})
	for self, want := range map[string][]string{"n1": {"192.0.2.10"}, "n2": {"192.0.2.10", "192.0.2.11"}, "n3": nil} {
		w.Self = self
		var got []string
		plan := Decide(w)
		for _, a := range plan.Shared {
			got = append(got, a.Addr.String())
		}
		if !slices.Equal(got, want) || !plan.Verdicts["default/web"].Shared {
			t.Fatalf("node %s is to announce %v, want %v", self, got, want)
		}
	}
}

func TestInterfacesAreTheUnion(t *testing.T) {
	w := base()
	w.Services = []Service{service("web", "192.0.2.10")}
	only := func(interfaces ...string) v1beta1.L2AdvertisementSpec {
		return v1beta1.L2AdvertisementSpec{Interfaces: interfaces, NodeSelectors: onNode("n1")}
	}
	for _, row := range []struct {
		name string
		ads  []v1beta1.L2Advertisement
		want []string
	}{
		{"one advertisement", []v1beta1.L2Advertisement{advertisement("a", only("eth1"))}, []string{"eth1"}},
		{"two", []v1beta1.L2Advertisement{advertisement("a", only("eth1")), advertisement("b", only("eth0", "eth1"))}, []string{"eth0", "eth1"}},
		{"one of two names none", []v1beta1.L2Advertisement{advertisement("a", only("eth1")), advertisement("b", only())}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.Policy = compile([]v1beta1.IPAddressPool{pool("blue", "192.0.2.0/24")}, row.ads)
			plan := Decide(w)
			if len(plan.Exclusive) != 1 || !slices.Equal(plan.Exclusive[0].Interfaces, row.want) {
				t.Fatalf("got %+v, want interfaces %v", plan.Exclusive, row.want)
			}
			if got := plan.Verdicts["default/web"].Interfaces; !slices.Equal(got, row.want) {
				t.Fatalf("the verdict has interfaces %v, want %v", got, row.want)
			}
		})
	}
}
