// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
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
	uses := map[netip.Addr]*reason.Problem{}
	for i := range 100 {
		uses[netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", 100-i))] = reason.New(reason.LocalAddress, "")
	}
	got := told(uses)
	if len(got) != membership.MaxUses || got["192.0.2.1"] != "LocalAddress" || got["192.0.2.17"] != "" {
		t.Errorf("%d are told: %v", len(got), got)
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
	fake.SetUse(netip.MustParseAddr("192.0.2.99"), reason.New(reason.LocalAddress, "no Service has it"))
	fake.SetUse(address, reason.New(reason.NextHopAddress, ""))
	r.until("the use, which withdraws the address", func(o Outcome) bool {
		return fmt.Sprint(o.World.Members[0].State.Uses) == "map[192.0.2.10:NextHopAddress]" && len(o.Plan.Exclusive) == 0
	})
	fake.SetUse(address, nil)
	r.until("the address again", func(o Outcome) bool { return owns(o, "192.0.2.10") })
}
