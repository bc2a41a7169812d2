// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/membership"
)

func TestWhatASpeakerTellsOfUnsuitableAddresses(t *testing.T) {
	hop := announcers.Use{Reason: reason.NextHopAddress}
	local := announcers.Use{Reason: reason.LocalAddress, Interfaces: []string{"eth0"}}
	for _, row := range []struct {
		name  string
		uses  map[string]announcers.Use
		edges []string
		want  string
	}{
		{"nothing", nil, nil, "[]"},
		{"a next hop in a pool", map[string]announcers.Use{"192.0.2.1": hop}, nil, "[192.0.2.1]"},
		{"one outside of the pools", map[string]announcers.Use{"198.51.100.1": hop, "fe80::1": hop}, nil, "[]"},
		{"an address of an interface", map[string]announcers.Use{"2001:db8::5": local}, nil, "[2001:db8::5]"},
		{"one that the object of a Node has", map[string]announcers.Use{"192.0.2.5": local, "192.0.2.6": hop}, nil, "[]"},
		{"one that a Service bears: it is in the uses", map[string]announcers.Use{"192.0.2.10": hop}, nil, "[]"},
		{"an internal address", map[string]announcers.Use{"192.0.2.9": {Reason: reason.LocalAddress, Internal: true}}, nil, "[]"},
		{"the edge of a subnet", nil, []string{"2001:db8::"}, "[2001:db8::]"},
		{"an edge that a Service bears", nil, []string{"192.0.2.10"}, "[192.0.2.10]"},
		{"an edge that is in use by the node", map[string]announcers.Use{"192.0.2.0": hop}, []string{"192.0.2.0"}, "[192.0.2.0]"},
		{"uses before edges, then by address", map[string]announcers.Use{"2001:db8::1": hop, "192.0.2.4": local}, []string{"192.0.2.255", "192.0.2.0"},
			"[192.0.2.4 2001:db8::1 192.0.2.0 192.0.2.255]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			fake := announcertest.NewFake("fake", announcers.Exclusive)
			for text, u := range row.uses {
				fake.SetUse(netip.MustParseAddr(text), u)
			}
			for _, text := range row.edges {
				fake.SetUnsuitable(netip.MustParseAddr(text), reason.New(reason.NetworkAddress, ""))
			}
			w := base()
			w.Services = []Service{service("web", "192.0.2.10")}
			w.Nodes = map[string]Node{"n1": {Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.5")}}, "n2": {Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.6")}}}
			s := New(Options{Node: "n1", Modules: []announcers.Announcer{announcertest.NewFake("other", announcers.Shared), fake}})
			s.pools.update(w.Policy)
			s.used = s.uses(w)
			told, why := s.unsuitable(w)
			if got := fmt.Sprint(told); got != row.want {
				t.Errorf("told are %s, want %s", got, row.want)
			}
			for _, a := range told {
				if why[a] == nil || row.uses[a.String()].Reason != "" && edge(why[a]) {
					t.Errorf("%s is unsuitable because of %v", a, why[a])
				}
			}
		})
	}
}

func TestASpeakerTellsOfSoManyUnsuitableAddresses(t *testing.T) {
	fake := announcertest.NewFake("fake", announcers.Exclusive)
	for i := range 100 {
		fake.SetUse(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), announcers.Use{Reason: reason.NextHopAddress})
	}
	s := New(Options{Node: "n1", Modules: []announcers.Announcer{fake}})
	w := base()
	s.pools.update(w.Policy)
	if told, _ := s.unsuitable(w); len(told) != membership.MaxUses || told[membership.MaxUses-1] != netip.MustParseAddr("192.0.2.15") {
		t.Errorf("told are %v", told)
	}
}

func TestTheFirstLiveSpeakerThatKnowsReportsAnUnsuitableAddress(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::")
	knows := func(indexes ...int) func(*Outcome) {
		return func(o *Outcome) {
			for _, i := range indexes {
				o.World.Members[i].State.Unsuitable = []netip.Addr{six, four}
			}
		}
	}
	for _, row := range []struct {
		name            string
		address         netip.Addr
		why             reason.Reason
		change          func(*Outcome)
		muted, withdraw bool
	}{
		{"a next hop, told here first", four, reason.NextHopAddress, knows(1, 2), false, true},
		{"told by another one", four, reason.NextHopAddress, knows(0, 1, 2), true, true},
		{"told by nobody, since there were too many", four, reason.NextHopAddress, knows(), true, true},
		{"told by one that is not known yet", four, reason.LocalAddress, func(o *Outcome) {
			knows(0, 1)(o)
			o.World.Members[0].Known = false
		}, false, true},
		{"an edge that can be announced", four, reason.BroadcastAddress, knows(1), false, false},
		{"another one", four, reason.NetworkAddress, knows(1), false, false},
		{"the subnet-router anycast address", six, reason.SubnetRouterAnycast, knows(1), false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := Outcome{Node: "n2", World: base(), Unsuitable: map[netip.Addr]*reason.Problem{row.address: reason.New(row.why, "so it is")}}
			row.change(&o)
			got := o.sightings(time.Unix(5, 0))[row.address]
			if got.why != row.why || got.detail != "so it is" || got.muted != row.muted || got.withdrawn != row.withdraw || !got.followed {
				t.Errorf("reported is %+v", got)
			}
		})
	}
}

func TestTheSubnetRouterAnycastAddressIsWithdrawnUnlessAnyNodeTellsARouterOfIt(t *testing.T) {
	address := netip.MustParseAddr("2001:db8:18::")
	ad := func(nodes ...string) v1beta1.BGPAdvertisement {
		return bgpAd("some", v1beta1.BGPAdvertisementSpec{NodeSelectors: onNode(nodes...)})
	}
	peer := func(address string, nodes ...string) v1beta2.BGPPeer {
		p := bgpPeer("tor", address)
		p.Spec.NodeSelectors = onNode(nodes...)
		return p
	}
	for _, row := range []struct {
		name      string
		mend      func(*World)
		withdrawn bool
	}{
		{"every node tells a router", func(*World) {}, false},
		{"another node than the one that reports", func(w *World) { w.Policy = routed([]v1beta1.BGPAdvertisement{ad("n3")}, peer("2001:db8::1", "n3")) }, false},
		{"a node whose speaker is away", func(w *World) {
			w.Policy = routed([]v1beta1.BGPAdvertisement{ad("n3")}, peer("2001:db8::1", "n3"))
			w.Members = w.Members[:2]
		}, false},
		{"no endpoint is there for now", func(w *World) { w.Services[0].ServingNodes = nil }, false},
		{"the node that reports is drained", func(w *World) { w.Nodes = map[string]Node{"n2": {Drain: true}} }, false},
		{"the router speaks with other nodes", func(w *World) {
			w.Policy = routed([]v1beta1.BGPAdvertisement{ad("n3")}, peer("2001:db8::1", "n1", "n2"))
		}, true},
		{"the router takes IPv4 alone", func(w *World) {
			w.Policy = routed([]v1beta1.BGPAdvertisement{ad("n1", "n2")}, peer("198.51.100.1", "n1", "n2"))
		}, true},
		{"no BGPAdvertisement selects a node", func(w *World) { w.Policy = routed([]v1beta1.BGPAdvertisement{ad("n9")}, peer("2001:db8::1", "n1")) }, true},
		{"no announcer speaks with routers", func(w *World) { w.Routed = false }, true},
		{"no Service has the address", func(w *World) { w.Services = nil }, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := routers()
			w.Self, w.Services = "n2", []Service{service("web", address.String())}
			row.mend(&w)
			o := Outcome{Node: "n2", World: w, Plan: Decide(w), Unsuitable: map[netip.Addr]*reason.Problem{address: reason.New(reason.SubnetRouterAnycast, "")}}
			if got := o.sightings(time.Unix(5, 0))[address].withdrawn; got != row.withdrawn {
				t.Errorf("withdrawn is %t", got)
			}
		})
	}
}

func TestAStrangerOnAnEdgeThatIsAnnouncedCountsForMore(t *testing.T) {
	o := Outcome{
		Node: "n1", World: base(), Conflicts: []announcers.Conflict{{Addr: disputed, Withdrawn: true}},
		Unsuitable: map[netip.Addr]*reason.Problem{disputed: reason.New(reason.NetworkAddress, "")},
	}
	o.World.Members[0].State.Unsuitable = []netip.Addr{disputed}
	if got := o.sightings(time.Unix(5, 0))[disputed]; got.why != reason.AddressConflict {
		t.Errorf("reported is %+v", got)
	}
	o.Unsuitable[disputed] = reason.New(reason.NextHopAddress, "")
	if got := o.sightings(time.Unix(5, 0))[disputed]; got.why != reason.NextHopAddress {
		t.Errorf("reported is %+v", got)
	}
}

// unborne is that node n1 knows of an unsuitable address, as the given nodes do.
func unborne(nodes ...string) Outcome {
	o := Outcome{Node: "n1", Unsuitable: map[netip.Addr]*reason.Problem{disputed: reason.New(reason.NextHopAddress, "a route leads through it")}}
	for _, n := range nodes {
		o.World.Members = append(o.World.Members, membership.Member{Name: n, Known: true, State: membership.State{Unsuitable: []netip.Addr{disputed}}})
	}
	return o
}

func TestAnUnsuitableAddressIsToldUntilItIsNoneAnyMore(t *testing.T) {
	b := newBook(t)
	b.borne = false
	if again := b.see(0, unborne("n1", "n2")); again != refreshConflict {
		t.Errorf("again after %v", again)
	}
	b.shows(1, true, "NextHopAddress true")
	b.pass(refreshConflict)
	b.shows(2, false, "NextHopAddress true")
	b.see(time.Second, Outcome{})
	b.shows(2, true, "")
}

func TestAnUnsuitableAddressOfWhichAnotherNodeTellsIsNotWritten(t *testing.T) {
	b := newBook(t)
	b.borne = false
	b.see(0, unborne("n0", "n1"))
	b.shows(0, false, "")
	b.see(time.Second, unborne("n1"))
	b.shows(1, true, "NextHopAddress true")
}

func TestWhatAnotherNodeHasTakenOverExpires(t *testing.T) {
	b := newBook(t)
	b.borne = false
	b.see(0, unborne("n1"))
	b.shows(1, true, "NextHopAddress true")
	if again := b.see(time.Minute, unborne("n0", "n1")); again != announcers.ConflictTTL-time.Minute {
		t.Errorf("again after %v", again)
	}
	b.shows(1, false, "NextHopAddress true")
	b.pass(announcers.ConflictTTL - time.Minute)
	b.shows(1, false, "")
	b.see(time.Second, unborne("n0", "n1"))
	b.shows(1, false, "")
	b.see(time.Second, unborne("n1"))
	b.shows(2, true, "NextHopAddress true")
}

func TestWhatAnotherNodeHasTakenOverGoesWithItsCause(t *testing.T) {
	b := newBook(t)
	b.borne = false
	b.see(0, unborne("n1"))
	b.see(time.Minute, unborne("n0", "n1"))
	b.told = false
	b.see(time.Second, Outcome{})
	b.shows(1, true, "")
}

func TestANextHopThatAServiceGetsStaysOneObject(t *testing.T) {
	b := newBook(t)
	b.see(0, unborne("n1"))
	b.shows(1, true, "NextHopAddress true")
	b.see(time.Second, Outcome{Node: "n1", Uses: map[netip.Addr]*reason.Problem{disputed: reason.New(reason.NextHopAddress, "a route leads through it")}})
	b.shows(1, false, "NextHopAddress true")
}
