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
	w.Services, w.ClusterIPs = []Service{service("web", "192.0.2.10")}, []netip.Addr{netip.MustParseAddr("10.96.0.10")}
	r.world.set(w)
	r.trigger.Fire()
	r.until("the union of the subnets that a pool is on", func(o Outcome) bool {
		return fmt.Sprint(o.World.Members[0].State.Subnets) == "[192.0.2.0/24 2001:db8::/64]" && owns(o, "192.0.2.10")
	})
	if got := fake.Last().Proxied; !slices.Equal(got, w.ClusterIPs) {
		t.Errorf("the announcer is told of %v as a service proxy's", got)
	}
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
// capitals are lost, a blank has not told its state. The speaker of x tells nothing of interfaces, that of c tells other uses and had to leave
// some out, that of j too, but tells this one.
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
		{"i-c", false, "address 192.0.2.10 is configured on node n1 (1 of 2 nodes; a service proxy would configure it on most nodes)"},
		{"icc", true, ""},
		{"iic", true, ""},
		{"jcc", true, ""},
		{"-jc", false, "address 192.0.2.10 is configured on node n2 (1 of 2 nodes; a service proxy would configure it on most nodes)"},
		{"ixx", true, ""},
		{"i-x", false, "address 192.0.2.10 is configured on node n1 (1 of 2 nodes; a service proxy would configure it on most nodes)"},
		{"xcI", true, ""},
	} {
		t.Run(row.nodes, func(t *testing.T) {
			w := base()
			w.Services = []Service{service("web", four)}
			var live, lost []membership.Member
			for i, kind := range row.nodes {
				m := w.Members[i]
				m.Known, m.State.Uses = kind != ' ', nil
				m.State.SubnetsTold, m.State.UsesCut = kind != 'x', kind == 'c' || kind == 'j'
				switch kind {
				case 'c':
					m.State.Uses = map[string]string{"192.0.2.1": internalUse}
				case 'i', 'I', 'j':
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

func TestWhatTheObjectOfANodeSaysOfAnAddressOnAnInterface(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.10")
	internal := announcers.Use{Reason: reason.LocalAddress, Interfaces: []string{"dummy0", "lo"}, Internal: true}
	segment := announcers.Use{Reason: reason.LocalAddress, Interfaces: []string{"eth1"}}
	for _, row := range []struct {
		name   string
		use    announcers.Use
		others [2]string
		want   string
	}{
		{"an internal one of few nodes", internal, [2]string{}, "192.0.2.10 is configured on interface dummy0, lo of this node (1 of 3 nodes; a service proxy would configure it on most nodes)"},
		{"an internal one of most nodes", internal, [2]string{internalUse, internalUse}, ""},
		{"an internal one beside a segment of another node", internal, [2]string{internalUse, "LocalAddress"}, "192.0.2.10 is configured on interface dummy0, lo of this node"},
		{"one with a segment", segment, [2]string{}, "192.0.2.10 is configured on interface eth1 of this node, and the kernel answers for it"},
	} {
		w := base()
		w.Services = []Service{service("web", a.String())}
		w.Members[0].State.Uses = told(map[netip.Addr]announcers.Use{a: row.use})
		for i, why := range row.others {
			if why != "" {
				w.Members[i+1].State.Uses = map[string]string{a.String(): why}
			}
		}
		problem, got := w.reported(map[netip.Addr]announcers.Use{a: row.use})[a], ""
		if problem != nil {
			got = problem.Detail
		}
		if got != row.want {
			t.Errorf("%s: it says %q, want %q", row.name, got, row.want)
		}
	}
}

func TestAServiceProxyShowsItselfByAClusterIP(t *testing.T) {
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
		{"with the cluster IP of another Service", map[netip.Addr]announcers.Use{address: internal("p"), other: internal("p")}, "[]"},
		{"with an address that is no cluster IP any more", map[netip.Addr]announcers.Use{address: internal("p"), netip.MustParseAddr("10.96.0.12"): internal("p")}, "[192.0.2.10]"},
		{"with the cluster IP on another interface", map[netip.Addr]announcers.Use{address: internal("lo"), cluster: internal("p")}, "[192.0.2.10]"},
		{"on the loopback as well", map[netip.Addr]announcers.Use{address: internal("lo", "p"), cluster: internal("p")}, "[192.0.2.10]"},
		{"on two interfaces of proxies", map[netip.Addr]announcers.Use{address: internal("p", "q"), cluster: internal("p"), other: internal("q")}, "[]"},
		{"one address of a proxy, another of the node", map[netip.Addr]announcers.Use{address: internal("p"), six: internal("lo"), cluster: internal("p")}, "[2001:db8::10]"},
		{"on a segment", map[netip.Addr]announcers.Use{address: {Reason: reason.LocalAddress, Interfaces: []string{"p"}}, cluster: internal("p")}, "[192.0.2.10]"},
		{"where a segment has the cluster IP", map[netip.Addr]announcers.Use{address: internal("p"), cluster: {Reason: reason.LocalAddress, Interfaces: []string{"p"}}}, "[192.0.2.10]"},
		{"as a next hop", map[netip.Addr]announcers.Use{address: {Reason: reason.NextHopAddress}, cluster: internal("p")}, "[192.0.2.10]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := base()
			w.Services = []Service{service("web", "192.0.2.10", "2001:db8::10")}
			w.ClusterIPs = []netip.Addr{cluster, other}
			used := usesOn("n1", w, row.uses)
			if got := fmt.Sprint(slices.SortedFunc(maps.Keys(used), netip.Addr.Compare)); got != row.used {
				t.Errorf("used are %s, want %s", got, row.used)
			}
		})
	}
}

// usesOn returns what the speaker of a node finds whose announcer tells these uses.
func usesOn(node string, w World, uses map[netip.Addr]announcers.Use) map[netip.Addr]announcers.Use {
	fake := announcertest.NewFake("fake", announcers.Exclusive)
	for a, u := range uses {
		fake.SetUse(a, u)
	}
	return New(Options{Node: node, Modules: []announcers.Announcer{fake}}).uses(w)
}

func TestASpeakerSaysThatItLeavesUsesOut(t *testing.T) {
	fake := announcertest.NewFake("fake", announcers.Exclusive)
	r := start(t, fake)
	w := base()
	w.Nodes = map[string]Node{"n1": {}}
	for i := range membership.MaxUses + 1 {
		a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		w.Services = append(w.Services, service(fmt.Sprint("web-", i), a.String()))
		fake.SetUse(a, announcers.Use{Reason: reason.LocalAddress, Interfaces: []string{"lo"}, Internal: true})
	}
	r.world.set(w)
	r.trigger.Fire()
	r.until("as many as there is room for", func(o Outcome) bool {
		told := o.World.Members[0].State
		return len(told.Uses) == membership.MaxUses && told.UsesCut
	})
	fake.SetUse(netip.AddrFrom4([4]byte{192, 0, 2, 0}), announcers.Use{})
	r.until("all", func(o Outcome) bool {
		told := o.World.Members[0].State
		return len(told.Uses) == membership.MaxUses && !told.UsesCut
	})
}

// Rows are the internal interfaces of nodes n1 to n3 as "name address address"; several of a node are divided by a comma. The Service web has
// the address .10, which Service old had before. The cluster IPs are .1 of default/kubernetes, .10 of web and .11 of old; .99 was one.
func TestAServiceProxyThatStandsStillWithdrawsNoAddress(t *testing.T) {
	const address, kubernetes, web, old, gone = " 192.0.2.10", " 10.96.0.1", " 10.96.0.10", " 10.96.0.11", " 10.96.0.99"
	const current, stale = "ipvs" + kubernetes + web + old + address, "ipvs" + kubernetes + old + address
	const oneOf3 = "address 192.0.2.10 is configured on node n2 (1 of 3 nodes; a service proxy would configure it on most nodes)"
	for _, row := range []struct {
		name  string
		nodes [3]string
		why   string
	}{
		{"all are current", [3]string{current, current, current}, ""},
		{"the address moved between Services and one proxy has not seen it", [3]string{current, stale, current}, ""},
		{"two have not seen it", [3]string{stale, current, stale}, ""},
		{"the Service was created again and one proxy knows its former cluster IP", [3]string{current, "ipvs" + kubernetes + gone + address, current}, ""},
		{"one proxy does not know the address yet", [3]string{current, "ipvs" + kubernetes, current}, ""},
		{"one node alone has a proxy that configures addresses", [3]string{"", stale, ""}, ""},
		{"a proxy shows nothing but what is gone", [3]string{current, "ipvs" + gone + address, current}, oneOf3},
		{"one node has it as its own beside proxies", [3]string{current, "ipvs" + kubernetes + web + ",lo" + address, current}, oneOf3},
		{"one node has it as its own and from its proxy", [3]string{current, current + ",lo" + address, current}, oneOf3},
		{"one node has it as its own and none has a proxy", [3]string{"", "lo" + address, ""}, oneOf3},
		{"an administrator configured it on most nodes, a proxy on the other", [3]string{"lo" + address, "lo" + address, stale}, ""},
		{"an administrator configured it on all nodes beside proxies", [3]string{current + ",lo" + address, current + ",lo" + address, stale + ",lo" + address}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := base()
			w.Services = []Service{service("web", "192.0.2.10")}
			for _, text := range strings.Fields(kubernetes + web + old) {
				w.ClusterIPs = append(w.ClusterIPs, netip.MustParseAddr(text))
			}
			for i, interfaces := range row.nodes {
				w.Members[i].State.Uses = told(usesOn(w.Members[i].Name, w, internalUses(interfaces)))
			}
			if got := len(announcedByAll(w)) == 1; got != (row.why == "") {
				t.Errorf("announced: %t", got)
			}
			problem := w.used()[netip.MustParseAddr("192.0.2.10")]
			if (problem == nil) != (row.why == "") || problem != nil && problem.Detail != row.why {
				t.Errorf("told is %v, want %q", problem, row.why)
			}
		})
	}
}

// internalUses returns the uses by a node with internal interfaces, each written as "name address address" and divided by commas.
func internalUses(interfaces string) map[netip.Addr]announcers.Use {
	uses := map[netip.Addr]announcers.Use{}
	for _, nic := range strings.Split(interfaces, ",") {
		for i, text := range strings.Fields(nic) {
			if i == 0 {
				continue
			}
			a := netip.MustParseAddr(text)
			uses[a] = announcers.Use{Reason: reason.LocalAddress, Interfaces: append(uses[a].Interfaces, strings.Fields(nic)[0]), Internal: true}
		}
	}
	return uses
}
