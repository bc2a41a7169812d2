// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/api/reason"
	"metalsuite.io/internal/membership"
)

func TestNobodyAnnouncesWhatANodeUsesItself(t *testing.T) {
	const four, six = "192.0.2.10", "2001:db8::10"
	for _, row := range []struct {
		name     string
		services []Service
		mend     func(*World)
		// want are the announced addresses with the Services behind them; why is what users read of default/web.
		want []string
		why  string
	}{
		{"an address of a node", []Service{service("web", four)}, func(w *World) {
			w.Members[1].State.Uses = map[string]string{four: "LocalAddress"}
		}, nil, "address 192.0.2.10 is configured on node n2"},
		{"one of this node", []Service{service("web", four)}, func(w *World) {
			w.Members[0].State.Uses = map[string]string{four: "LocalAddress"}
		}, nil, "address 192.0.2.10 is configured on node n1"},
		{"a next hop", []Service{service("web", four)}, func(w *World) {
			w.Members[2].State.Uses = map[string]string{four: "NextHopAddress"}
		}, nil, "address 192.0.2.10 is a next hop of node n3"},
		{"a use of a kind that a newer speaker knows", []Service{service("web", four)}, func(w *World) {
			w.Members[2].State.Uses = map[string]string{four: "Mirror"}
		}, nil, "address 192.0.2.10 is used by node n3"},
		{"by several nodes, told of the first", []Service{service("web", four)}, func(w *World) {
			for i := range w.Members {
				w.Members[i].State.Uses = map[string]string{four: "NextHopAddress"}
			}
		}, nil, "address 192.0.2.10 is a next hop of node n1"},
		{"the other address stays", []Service{service("web", four, six)}, func(w *World) {
			w.Members[1].State.Uses = map[string]string{four: "LocalAddress"}
		}, []string{six + " default/web"}, "address 192.0.2.10 is configured on node n2"},
		{"all who share it lose it", []Service{sharing("k", 80, service("web", four)), sharing("k", 443, service("api", four, six))}, func(w *World) {
			w.Members[1].State.Uses = map[string]string{four: "LocalAddress"}
		}, []string{six + " default/api"}, "address 192.0.2.10 is configured on node n2"},
		{"a use is told rather than a duplicate", []Service{since(2, service("web", four)), since(1, service("api", four))}, func(w *World) {
			w.Members[1].State.Uses = map[string]string{four: "LocalAddress"}
		}, nil, "address 192.0.2.10 is configured on node n2"},
		{"what a speaker said that has not told its present state", []Service{service("web", four)}, func(w *World) {
			w.Members[1].State.Uses, w.Members[1].Known = map[string]string{four: "LocalAddress"}, false
		}, []string{four + " default/web"}, ""},
		{"what cannot be understood", []Service{service("web", four)}, func(w *World) {
			w.Members[1].State.Uses = map[string]string{"here": "LocalAddress", six: "LocalAddress"}
		}, []string{four + " default/web"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := base()
			w.Services = row.services
			row.mend(&w)
			var got []string
			for _, a := range announcedByAll(w) {
				got = append(got, a.Addr.String()+" "+strings.Join(a.Services, ","))
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("announced are %v, want %v", got, row.want)
			}
			v := Decide(w).Verdicts["default/web"]
			problem, _ := v.unannounced()
			if (problem == nil) != (row.why == "") || problem != nil && problem.Detail != row.why {
				t.Errorf("told is %v, want %q", problem, row.why)
			}
			if len(v.Addresses) == 0 && v.Problem == nil {
				t.Error("a Service that nobody announces has no problem")
			}
		})
	}
}

func TestWhatIsToldOfUses(t *testing.T) {
	uses := map[netip.Addr]announcers.Use{}
	for i := range 100 {
		uses[netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", 100-i))] = announcers.Use{Reason: reason.LocalAddress}
	}
	got := told(uses)
	if len(got) != membership.MaxUses || got["192.0.2.1"] != "LocalAddress" || got["192.0.2.17"] != "" {
		t.Errorf("%d are told: %v", len(got), got)
	}
	for a := range uses {
		uses[a] = announcers.Use{Reason: reason.LocalAddress, Internal: a != netip.MustParseAddr("192.0.2.90")}
	}
	if got = told(uses); len(got) != membership.MaxUses || got["192.0.2.90"] != "LocalAddress" || got["192.0.2.15"] != internalUse || got["192.0.2.16"] != "" {
		t.Errorf("of internal ones and another %d are told: %v", len(got), got)
	}
	if told(nil) != nil {
		t.Error("no use is something")
	}
}

func TestASpeakerTellsItsSubnetsAndUses(t *testing.T) {
	address := netip.MustParseAddr("192.0.2.10")
	fake, other := announcertest.NewFake("fake", announcers.Exclusive), announcertest.NewFake("other", announcers.Shared)
	r := start(t, fake, other)
	fake.SetSubnets(netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64"))
	other.SetSubnets(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.0.2.0/28"))
	w := base()
	w.Nodes = map[string]Node{"n1": {}}
	w.Services = []Service{service("web", "192.0.2.10")}
	r.world.set(w)
	r.trigger.Fire()
	r.until("the union of the subnets that a pool is on", func(o Outcome) bool {
		return fmt.Sprint(o.World.Members[0].State.Subnets) == "[192.0.2.0/24 2001:db8::/64]" && owns(o, "192.0.2.10")
	})
	fake.SetUse(netip.MustParseAddr("192.0.2.99"), announcers.Use{Reason: reason.LocalAddress})
	fake.SetUse(address, announcers.Use{Reason: reason.NextHopAddress})
	r.until("the use, which withdraws the address", func(o Outcome) bool {
		told := o.World.Members[0].State
		return fmt.Sprint(told.Uses, told.Unsuitable) == "map[192.0.2.10:NextHopAddress] [192.0.2.99]" && len(o.Plan.Exclusive) == 0 &&
			o.Unsuitable[netip.MustParseAddr("192.0.2.99")].Reason == reason.LocalAddress
	})
	fake.SetUse(address, announcers.Use{})
	r.until("the address again", func(o Outcome) bool { return owns(o, "192.0.2.10") })
}

// Rows are nodes n1 to n3 of an address that each has on an internal interface (i), on another one (o) or not at all (-); lower case lives,
// capitals are lost, a blank has not told its state.
func TestAnInternalAddressIsANodesOwnUnlessMostNodesHaveIt(t *testing.T) {
	const four = "192.0.2.10"
	for _, row := range []struct {
		nodes     string
		announced bool
		why       string
	}{
		{"---", true, ""},
		{"iii", true, ""},
		{"ii-", true, ""},
		{"-ii", true, ""},
		{"i--", false, "address 192.0.2.10 is configured on node n1 (1 of 3 nodes; a service proxy would configure it on most nodes)"},
		{"--i", false, "address 192.0.2.10 is configured on node n3 (1 of 3 nodes; a service proxy would configure it on most nodes)"},
		{"iio", false, "address 192.0.2.10 is configured on node n3"},
		{"o--", false, "address 192.0.2.10 is configured on node n1"},
		{"i", true, ""},
		{"ii", true, ""},
		{"i-", false, "address 192.0.2.10 is configured on node n1 (1 of 2 nodes; a service proxy would configure it on most nodes)"},
		{"i  ", true, ""},
		{"i- ", false, "address 192.0.2.10 is configured on node n1 (1 of 2 nodes; a service proxy would configure it on most nodes)"},
		{"--I", false, "address 192.0.2.10 is configured on node n3 (1 of 3 nodes; a service proxy would configure it on most nodes)"},
		{"iiI", true, ""},
		{"-II", true, ""},
		{"iiO", false, "address 192.0.2.10 is configured on node n3"},
	} {
		t.Run(row.nodes, func(t *testing.T) {
			w := base()
			w.Services = []Service{service("web", four)}
			var live, lost []membership.Member
			for i, kind := range row.nodes {
				m := w.Members[i]
				m.Known, m.State.Uses = kind != ' ', nil
				switch kind {
				case 'i', 'I':
					m.State.Uses = map[string]string{four: internalUse}
				case 'o', 'O':
					m.State.Uses = map[string]string{four: "LocalAddress"}
				}
				if kind == 'I' || kind == 'O' {
					lost = append(lost, m)
				} else {
					live = append(live, m)
				}
			}
			w.Members, w.Lost = live, lost
			if got := len(announcedByAll(w)) == 1; got != row.announced {
				t.Errorf("announced: %t, want %t", got, row.announced)
			}
			problem := w.used()[netip.MustParseAddr(four)]
			if (problem == nil) != row.announced || problem != nil && problem.Detail != row.why {
				t.Errorf("told is %v, want %q", problem, row.why)
			}
			reported := w.reported(map[netip.Addr]announcers.Use{netip.MustParseAddr(four): {Reason: reason.LocalAddress, Interfaces: []string{"dummy0"}, Internal: true}})
			if (len(reported) == 0) != row.announced {
				t.Errorf("this node reports %v", reported)
			}
		})
	}
}

func TestAServiceProxyShowsItselfByTheClusterIP(t *testing.T) {
	address, six := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")
	cluster, other := netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("10.96.0.11")
	internal := func(on ...string) announcers.Use {
		return announcers.Use{Reason: reason.LocalAddress, Interfaces: on, Internal: true}
	}
	for _, row := range []struct {
		name string
		uses map[netip.Addr]announcers.Use
		used string
	}{
		{"with the cluster IP beside it", map[netip.Addr]announcers.Use{address: internal("kube-dummy-if"), cluster: internal("kube-dummy-if")}, "[]"},
		{"both families, one cluster IP", map[netip.Addr]announcers.Use{address: internal("p"), six: internal("p"), cluster: internal("p")}, "[]"},
		{"alone", map[netip.Addr]announcers.Use{address: internal("kube-dummy-if")}, "[192.0.2.10]"},
		{"with the cluster IP of another Service", map[netip.Addr]announcers.Use{address: internal("p"), other: internal("p")}, "[192.0.2.10]"},
		{"with the cluster IP on another interface", map[netip.Addr]announcers.Use{address: internal("lo"), cluster: internal("p")}, "[192.0.2.10]"},
		{"on the loopback as well", map[netip.Addr]announcers.Use{address: internal("lo", "p"), cluster: internal("p")}, "[192.0.2.10]"},
		{"on a segment", map[netip.Addr]announcers.Use{address: {Reason: reason.LocalAddress, Interfaces: []string{"p"}}, cluster: internal("p")}, "[192.0.2.10]"},
		{"where a segment has the cluster IP", map[netip.Addr]announcers.Use{address: internal("p"), cluster: {Reason: reason.LocalAddress, Interfaces: []string{"p"}}}, "[192.0.2.10]"},
		{"as a next hop", map[netip.Addr]announcers.Use{address: {Reason: reason.NextHopAddress}, cluster: internal("p")}, "[192.0.2.10]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			fake := announcertest.NewFake("fake", announcers.Exclusive)
			for a, u := range row.uses {
				fake.SetUse(a, u)
			}
			web, db := service("web", "192.0.2.10", "2001:db8::10"), service("db", "192.0.2.11")
			web.ClusterIPs, db.ClusterIPs = []netip.Addr{cluster}, []netip.Addr{other}
			s := New(Options{Node: "n1", Modules: []announcers.Announcer{fake}})
			used := s.uses([]Service{web, db})
			if got := fmt.Sprint(slices.SortedFunc(maps.Keys(used), netip.Addr.Compare)); got != row.used {
				t.Errorf("used are %s, want %s", got, row.used)
			}
		})
	}
}
