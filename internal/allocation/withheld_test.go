// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go4.org/netipx"

	"metalsuite.io/api/reason"
)

// withhold makes one entry of each text: an address, or a range.
func withhold(why reason.Reason, ranges ...string) []Withheld {
	var list []Withheld
	for _, text := range ranges {
		if address, err := netip.ParseAddr(text); err == nil {
			list = append(list, Single(address, why, "is used by the cluster"))
			continue
		}
		list = append(list, Withheld{Range: netipx.MustParseIPRange(text), Reason: why, Cause: "lies in a range of the cluster"})
	}
	return list
}

func onRequest(list []Withheld) []Withheld {
	for i := range list {
		list[i].OnRequest = true
	}
	return list
}

// TestWithheld gives every row's Services to an Allocator and looks at the last decision.
func TestWithheld(t *testing.T) {
	four, six := "192.0.2.1-192.0.2.9", "2001:db8::-2001:db8::ffff"
	tests := []struct {
		name     string
		pools    []Pool
		withheld []Withheld
		reserved []Reservation
		before   []Service
		service  Service
		want     string
		problem  reason.Reason
		says     string
	}{
		{name: "a range is passed over", pools: []Pool{pool("a", four)}, withheld: withhold(reason.ServiceCIDRAddress, "192.0.2.0-192.0.2.4"), service: service("s"), want: "192.0.2.5"},
		{name: "a range within another", pools: []Pool{pool("a", four)}, withheld: withhold(reason.PodCIDRAddress, "192.0.2.0-192.0.2.7", "192.0.2.2-192.0.2.3"), service: service("s"), want: "192.0.2.8"},
		{name: "ranges that overlap", pools: []Pool{pool("a", four)}, withheld: withhold(reason.PodCIDRAddress, "192.0.2.3-192.0.2.7", "192.0.2.0-192.0.2.4"), service: service("s"), want: "192.0.2.8"},
		{name: "an address of a range on request", pools: []Pool{pool("a", four)}, withheld: withhold(reason.ServiceCIDRAddress, "192.0.2.0-192.0.2.4"),
			service: service("s", asks("192.0.2.3")), problem: reason.ServiceCIDRAddress, says: "192.0.2.3 lies in a range of the cluster"},
		{name: "an address of no pool says what it is", pools: []Pool{pool("a", four)}, withheld: withhold(reason.ServiceCIDRAddress, "10.96.0.0-10.111.255.255"),
			service: service("s", asks("10.96.0.1")), problem: reason.ServiceCIDRAddress},
		{name: "a pool that is withheld as a whole", pools: []Pool{pool("a", four)}, withheld: withhold(reason.ServiceCIDRAddress, "192.0.2.0-192.0.2.255"),
			service: service("s"), problem: reason.PoolExhausted, says: "passed over: 192.0.2.1-192.0.2.9 (ServiceCIDRAddress)"},
		{name: "the part of a pool that is a CIDR is named so", pools: []Pool{pool("a", "192.0.2.4-192.0.2.7")}, withheld: withhold(reason.PodCIDRAddress, "192.0.2.0-192.0.2.255"),
			service: service("s"), problem: reason.PoolExhausted, says: "passed over: 192.0.2.4/30 (PodCIDRAddress)"},
		{name: "who holds one of a range keeps it and is told", pools: []Pool{pool("a", four)}, withheld: withhold(reason.ServiceCIDRAddress, "192.0.2.0-192.0.2.4"),
			service: service("s", has("a", "192.0.2.2")), want: "192.0.2.2", problem: reason.ServiceCIDRAddress},
		{name: "nobody joins who holds one", pools: []Pool{pool("a", four)}, withheld: withhold(reason.ServiceCIDRAddress, "192.0.2.0-192.0.2.4"),
			before: []Service{service("x", has("a", "192.0.2.2"), shares("k", ""))}, service: service("s", shares("k", ""), port(81)), want: "192.0.2.5"},
		{name: "a reservation grants nothing of a range", pools: []Pool{pool("a", four)}, withheld: withhold(reason.ServiceCIDRAddress, "192.0.2.0-192.0.2.4"),
			reserved: []Reservation{keeps("r", "192.0.2.3-192.0.2.6", "s")}, service: service("s"), want: "192.0.2.5"},
		{name: "the other family", pools: []Pool{pool("a", four, six)}, withheld: withhold(reason.PodCIDRAddress, "2001:db8::-2001:db8::fff"),
			service: service("s", dual, policy(RequireDualStack)), want: "192.0.2.1 2001:db8::1000"},
		{name: "a range up to the last address of all", pools: []Pool{pool("a", "255.255.255.250-255.255.255.255")}, withheld: withhold(reason.PodCIDRAddress, "255.255.255.252-255.255.255.255", "255.255.255.254-255.255.255.255"),
			service: service("s", asks("255.255.255.255")), problem: reason.PodCIDRAddress},

		{name: "only on request: passed over", pools: []Pool{pool("a", six)}, withheld: onRequest(withhold(reason.SubnetRouterAnycast, "2001:db8::")), service: service("s", families(IPv6)), want: "2001:db8::1"},
		{name: "only on request: requested", pools: []Pool{pool("a", six)}, withheld: onRequest(withhold(reason.SubnetRouterAnycast, "2001:db8::")),
			service: service("s", families(IPv6), asks("2001:db8::")), want: "2001:db8::"},
		{name: "only on request: nobody joins unasked", pools: []Pool{pool("a", four)}, withheld: onRequest(withhold(reason.NetworkAddress, "192.0.2.1")),
			before: []Service{service("x", asks("192.0.2.1"), shares("k", ""))}, service: service("s", shares("k", ""), port(81)), want: "192.0.2.2"},
		{name: "only on request: who holds it is told nothing", pools: []Pool{pool("a", four)}, withheld: onRequest(withhold(reason.NetworkAddress, "192.0.2.1")),
			service: service("s", has("a", "192.0.2.1")), want: "192.0.2.1"},
		{name: "only on request: named when the pool has nothing else", pools: []Pool{pool("a", "192.0.2.0-192.0.2.0")}, withheld: onRequest(withhold(reason.NetworkAddress, "192.0.2.0")),
			service: service("s"), problem: reason.PoolExhausted, says: "passed over: 192.0.2.0 (NetworkAddress)"},
		{name: "refused by one cause and likely by another", pools: []Pool{pool("a", four)},
			withheld: append(onRequest(withhold(reason.NetworkAddress, "192.0.2.1")), withhold(reason.NodeAddress, "192.0.2.1")...),
			service:  service("s", asks("192.0.2.1")), problem: reason.NodeAddress},
		{name: "likely by one cause and within a refused range", pools: []Pool{pool("a", four)},
			withheld: append(onRequest(withhold(reason.NetworkAddress, "192.0.2.1")), withhold(reason.PodCIDRAddress, "192.0.2.0-192.0.2.4")...),
			service:  service("s", asks("192.0.2.1")), problem: reason.PodCIDRAddress},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := New()
			a.SetPools(tt.pools)
			a.SetWithheld(tt.withheld)
			a.SetReservations(tt.reserved)
			for _, s := range tt.before {
				a.Adopt(s)
				a.Decide(s)
			}
			d := a.Decide(tt.service)
			if got := texts(d.Addresses); got != tt.want {
				t.Errorf("got %q, want %q (%v)", got, tt.want, d.Problem)
			}
			if reasonOf(d.Problem) != tt.problem || tt.problem != "" && !strings.Contains(d.Problem.Detail, tt.says) {
				t.Errorf("problem %v, want %s that says %q", d.Problem, tt.problem, tt.says)
			}
		})
	}
}

// TestWithheldRangesComeAndGo demands that figures and grants follow, whichever of pools and ranges comes first.
func TestWithheldRangesComeAndGo(t *testing.T) {
	a := New()
	a.SetWithheld(withhold(reason.ServiceCIDRAddress, "192.0.2.0-192.0.2.3"))
	a.SetPools([]Pool{pool("a", "192.0.2.0-192.0.2.9")})
	check := func(free int64, name, want string) {
		t.Helper()
		if c, _ := a.Counts("a"); c.AvailableIPv4 != free {
			t.Errorf("%d addresses are available, want %d", c.AvailableIPv4, free)
		}
		if got := texts(a.Decide(service(name)).Addresses); got != want {
			t.Errorf("%s got %q, want %q", name, got, want)
		}
	}
	check(6, "one", "192.0.2.4")
	a.SetWithheld(withhold(reason.ServiceCIDRAddress, "192.0.2.0-192.0.2.6"))
	check(3, "two", "192.0.2.7")
	check(2, "one", "192.0.2.4")
	a.SetWithheld(nil)
	check(8, "three", "192.0.2.0")
	a.SetWithheld(onRequest(withhold(reason.NetworkAddress, "192.0.2.1")))
	check(7, "four", "192.0.2.2")
	a.SetWithheld(nil)
	check(6, "five", "192.0.2.1")
}

func TestClusterIPsAreGrantedToNobody(t *testing.T) {
	a := New()
	a.SetPools([]Pool{pool("a", "10.96.0.1-10.96.0.4")})
	dns := Key{"kube-system", "dns"}
	if changed := a.SetClusterIPs(dns, addrs("10.96.0.1", "10.96.99.1")); !slices.Equal(changed, addrs("10.96.0.1")) {
		t.Errorf("changed %v: only what a pool has matters", changed)
	}
	if d := a.Decide(service("any")); texts(d.Addresses) != "10.96.0.2" {
		t.Errorf("any got %v", d.Addresses)
	}
	if d := a.Decide(service("asks", asks("10.96.0.1"))); reasonOf(d.Problem) != reason.ClusterIPAddress || d.Problem.Detail != "10.96.0.1 is the cluster IP of Service kube-system/dns" {
		t.Errorf("asks is told %v", d.Problem)
	}
	if c, _ := a.Counts("a"); c.AvailableIPv4 != 2 || c.AssignedIPv4 != 1 {
		t.Errorf("counts %+v", c)
	}
	if changed := a.SetClusterIPs(Key{"default", "late"}, addrs("10.96.0.2")); !slices.Equal(changed, addrs("10.96.0.2")) {
		t.Errorf("changed %v", changed)
	}
	if d := a.Decide(service("any")); texts(d.Addresses) != "10.96.0.2" || reasonOf(d.Problem) != reason.ClusterIPAddress {
		t.Errorf("any has %v and is told %v", d.Addresses, d.Problem)
	}
	// The new owner of a cluster IP may be heard of before the old one is gone.
	a.SetClusterIPs(Key{"kube-system", "new"}, addrs("10.96.0.1"))
	if changed := a.SetClusterIPs(dns, nil); len(changed) > 0 {
		t.Errorf("changed %v although another Service has it", changed)
	}
	a.SetClusterIPs(Key{"kube-system", "new"}, nil)
	if d := a.Decide(service("asks", asks("10.96.0.1"))); texts(d.Addresses) != "10.96.0.1" {
		t.Errorf("asks got %v (%v)", d.Addresses, d.Problem)
	}
}

// TestClusterIPsOfAWithheldRange demands that they cost no memory, and that they count when the range goes.
func TestClusterIPsOfAWithheldRange(t *testing.T) {
	a := New()
	a.SetPools([]Pool{pool("a", "10.96.0.1-10.96.0.4")})
	a.SetWithheld(withhold(reason.ServiceCIDRAddress, "10.96.0.0-10.96.0.2"))
	dns := Key{"kube-system", "dns"}
	if changed := a.SetClusterIPs(dns, addrs("10.96.0.1")); len(changed)+len(a.clusterIPs.at)+len(a.clusterIPs.of) > 0 {
		t.Errorf("changed %v, %+v", changed, a.clusterIPs)
	}
	a.SetWithheld(nil)
	if changed := a.SetClusterIPs(dns, addrs("10.96.0.1")); !slices.Equal(changed, addrs("10.96.0.1")) {
		t.Errorf("changed %v", changed)
	}
	if d := a.Decide(service("any")); texts(d.Addresses) != "10.96.0.2" {
		t.Errorf("any got %v", d.Addresses)
	}
}

// nextHops are conflicts that replace.
func nextHops(texts ...string) []Conflict {
	list := conflicts(reason.NextHopAddress, false, texts)
	for i := range list {
		list[i].Replaces = true
	}
	return list
}

// TestAddressesThatNoNodeCanAnnounceAreReplaced lets every row's Service get its addresses before the conflicts come.
func TestAddressesThatNoNodeCanAnnounceAreReplaced(t *testing.T) {
	four, six := "192.0.2.1-192.0.2.4", "2001:db8::1-2001:db8::4"
	tests := []struct {
		name      string
		pools     []Pool
		reserved  []Reservation
		withheld  []Withheld
		conflicts []Conflict
		service   Service
		want      string
		cause     bool
		awaits    bool
		problem   reason.Reason
	}{
		{name: "granted unasked", pools: []Pool{pool("a", four)}, conflicts: nextHops("192.0.2.1"), service: service("s"), want: "192.0.2.2", cause: true},
		{name: "found in the status", pools: []Pool{pool("a", four)}, conflicts: nextHops("192.0.2.3"), service: service("s", has("a", "192.0.2.3")), want: "192.0.2.1", cause: true},
		{name: "from the requested pool", pools: []Pool{pool("a", four), pool("b", "198.51.100.1-198.51.100.9")}, conflicts: nextHops("198.51.100.1"),
			service: service("s", asksPool("b")), want: "198.51.100.2", cause: true},
		{name: "from another pool", pools: []Pool{pool("a", "192.0.2.1-192.0.2.1"), pool("b", "198.51.100.1-198.51.100.9")}, conflicts: nextHops("192.0.2.1"),
			service: service("s"), want: "198.51.100.1", cause: true},
		{name: "requested", pools: []Pool{pool("a", four)}, conflicts: nextHops("192.0.2.1"), service: service("s", asks("192.0.2.1")), want: "192.0.2.1"},
		{name: "reserved for the Service", pools: []Pool{pool("a", four)}, reserved: []Reservation{keeps("r", "192.0.2.1-192.0.2.1", "s")}, conflicts: nextHops("192.0.2.1"),
			service: service("s"), want: "192.0.2.1"},
		{name: "nothing else is free", pools: []Pool{pool("a", "192.0.2.1-192.0.2.1")}, conflicts: nextHops("192.0.2.1"), service: service("s"), want: "192.0.2.1", awaits: true},
		{name: "a conflict of another kind", pools: []Pool{pool("a", four)}, conflicts: seen("192.0.2.1"), service: service("s"), want: "192.0.2.1"},
		{name: "one of two families", pools: []Pool{pool("a", four, six)}, conflicts: nextHops("2001:db8::1"), service: service("s", dual, policy(RequireDualStack)),
			want: "192.0.2.1 2001:db8::2", cause: true},
		{name: "one of two families that are needed, from another pool with both", pools: []Pool{pool("a", "192.0.2.1-192.0.2.1", six), pool("b", "198.51.100.1-198.51.100.9", "2001:db8:1::1-2001:db8:1::9")},
			conflicts: nextHops("192.0.2.1"), service: service("s", dual, policy(RequireDualStack)), want: "198.51.100.1 2001:db8:1::1", cause: true},
		{name: "one of two families of which one is enough, only from the same pool", pools: []Pool{pool("a", "192.0.2.1-192.0.2.1", six), pool("b", "198.51.100.1-198.51.100.9", "2001:db8:1::1-2001:db8:1::9")},
			conflicts: nextHops("192.0.2.1"), service: service("s", dual, policy(PreferDualStack)), want: "192.0.2.1 2001:db8::1", awaits: true},
		{name: "both families", pools: []Pool{pool("a", "192.0.2.1-192.0.2.1", "2001:db8::1-2001:db8::1"), pool("b", "198.51.100.1-198.51.100.9", "2001:db8:1::1-2001:db8:1::9")},
			conflicts: nextHops("192.0.2.1", "2001:db8::1"), service: service("s", dual, policy(PreferDualStack)), want: "198.51.100.1 2001:db8:1::1", cause: true},
		{name: "never two for one", pools: []Pool{pool("a", "192.0.2.1-192.0.2.1", six), pool("b", "198.51.100.1-198.51.100.9")},
			conflicts: nextHops("192.0.2.1"), service: service("s", dual, policy(PreferDualStack)), want: "192.0.2.1 2001:db8::1", awaits: true},
		{name: "addresses that nobody holds do not count", pools: []Pool{pool("a", "192.0.2.1-192.0.2.20")},
			conflicts: nextHops("192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.14", "192.0.2.15", "192.0.2.1"), service: service("s"), want: "192.0.2.2", cause: true},
		{name: "of a node", pools: []Pool{pool("a", four)}, withheld: []Withheld{Single(netip.MustParseAddr("192.0.2.1"), reason.NodeAddress, "is an address of node n1")},
			conflicts: nextHops("192.0.2.1"), service: service("s"), want: "192.0.2.1", problem: reason.NodeAddress},
		{name: "of the API server", pools: []Pool{pool("a", four)}, withheld: []Withheld{Single(netip.MustParseAddr("192.0.2.1"), reason.APIServerAddress, "is an address of the Kubernetes API server")},
			conflicts: nextHops("192.0.2.1"), service: service("s"), want: "192.0.2.1", problem: reason.APIServerAddress},
		{name: "the edge of a subnet", pools: []Pool{pool("a", four)}, withheld: []Withheld{{Range: Single(netip.MustParseAddr("192.0.2.1"), "", "").Range, Reason: reason.NetworkAddress, OnRequest: true}},
			conflicts: nextHops("192.0.2.1"), service: service("s"), want: "192.0.2.2", cause: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := New()
			a.SetPools(tt.pools)
			a.SetReservations(tt.reserved)
			before := a.Decide(tt.service)
			a.SetWithheld(tt.withheld)
			a.SetConflicts(tt.conflicts)
			d := a.Decide(tt.service)
			if got := texts(d.Addresses); got != tt.want || (d.Problem != nil) != (tt.problem != "") || d.Problem != nil && d.Problem.Reason != tt.problem {
				t.Errorf("had %v, got %q, want %q (%v)", before.Addresses, got, tt.want, d.Problem)
			}
			if (d.Cause != nil) != tt.cause || d.Frees != tt.cause || d.AwaitsReplacement != tt.awaits {
				t.Errorf("cause %v, frees %v, awaits a replacement %v", d.Cause, d.Frees, d.AwaitsReplacement)
			}
			if again := a.Decide(tt.service); !slices.Equal(again.Addresses, d.Addresses) || len(again.Granted)+len(again.Lost) > 0 {
				t.Errorf("then %+v", again)
			}
		})
	}
}

// TestAFewAddressesOfAPoolAreReplacedAtATime lets a speaker call the addresses of six Services those of routers.
// TestOfTwoAddressesTheAnnounceableOneIsKept splits the pool of a Service's two addresses, so that it may keep one of them.
func TestOfTwoAddressesTheAnnounceableOneIsKept(t *testing.T) {
	four, six := "192.0.2.1-192.0.2.4", "2001:db8::1-2001:db8::4"
	tests := []struct {
		name      string
		pools     []Pool
		conflicts []Conflict
		service   Service
		want      string
	}{
		{"the first is", []Pool{pool("a", four), pool("b", six)}, nextHops("2001:db8::2"), service("s", dual, policy(PreferDualStack)), "192.0.2.2"},
		{"the second is", []Pool{pool("a", four), pool("b", six)}, nextHops("192.0.2.2"), service("s", dual, policy(PreferDualStack)), "2001:db8::2"},
		{"the second is, and its pool has both", []Pool{pool("a", four), pool("b", six, "198.51.100.1-198.51.100.9")}, nextHops("192.0.2.2"),
			service("s", dual, policy(PreferDualStack)), "198.51.100.1 2001:db8::2"},
		{"both are", []Pool{pool("a", four), pool("b", six)}, nil, service("s", dual, policy(PreferDualStack)), "192.0.2.2"},
		{"neither is", []Pool{pool("a", four), pool("b", six)}, nextHops("192.0.2.2", "2001:db8::2"), service("s", dual, policy(PreferDualStack)), "192.0.2.1"},
		{"the second is, but is in no pool", []Pool{pool("a", four)}, nextHops("192.0.2.2"), service("s", dual, policy(PreferDualStack)), "192.0.2.1"},
		{"the second is, and both are requested", []Pool{pool("a", four), pool("b", six)}, nextHops("192.0.2.2"),
			service("s", dual, policy(PreferDualStack), asks("192.0.2.2", "2001:db8::2")), "2001:db8::2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := New()
			a.SetPools([]Pool{pool("both", four, six)})
			tt.service.Current, tt.service.CurrentPool = addrs("192.0.2.2", "2001:db8::2"), "both"
			a.Adopt(tt.service)
			a.SetPools(tt.pools)
			a.SetConflicts(tt.conflicts)
			if d := a.Decide(tt.service); texts(d.Addresses) != tt.want {
				t.Errorf("got %q, want %q; lost %v because of %v", texts(d.Addresses), tt.want, d.Lost, d.Cause)
			}
			if again := a.Decide(tt.service); texts(again.Addresses) != tt.want {
				t.Errorf("then %q", texts(again.Addresses))
			}
		})
	}
}

func TestAFewAddressesOfAPoolAreReplacedAtATime(t *testing.T) {
	a := New()
	a.SetPools([]Pool{pool("a", "192.0.2.1-192.0.2.20", "2001:db8::1-2001:db8::4")})
	names := []string{"s1", "s2", "s3", "s4", "s5", "s6"}
	all := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"}
	got := func() (addresses, waiting []string) {
		for _, name := range names {
			d := a.Decide(service(name))
			addresses = append(addresses, texts(d.Addresses))
			if d.AwaitsReplacement {
				waiting = append(waiting, name)
			}
		}
		return addresses, waiting
	}
	for _, step := range []struct {
		name            string
		conflicts       []string
		want, thenAwait []string
	}{
		{"granted", nil, all, nil},
		{"four are replaced", all, []string{"192.0.2.7", "192.0.2.8", "192.0.2.9", "192.0.2.10", "192.0.2.5", "192.0.2.6"}, []string{"s5", "s6"}},
		{"no more for as long as they last", slices.Concat(all[3:], all[:3]), []string{"192.0.2.7", "192.0.2.8", "192.0.2.9", "192.0.2.10", "192.0.2.5", "192.0.2.6"}, []string{"s5", "s6"}},
		{"another one when one ends", all[1:], []string{"192.0.2.7", "192.0.2.8", "192.0.2.9", "192.0.2.10", "192.0.2.1", "192.0.2.6"}, []string{"s6"}},
		{"none when all have ended", nil, []string{"192.0.2.7", "192.0.2.8", "192.0.2.9", "192.0.2.10", "192.0.2.1", "192.0.2.6"}, nil},
	} {
		a.SetConflicts(nextHops(step.conflicts...))
		if addresses, waiting := got(); !slices.Equal(addresses, step.want) || !slices.Equal(waiting, step.thenAwait) {
			t.Errorf("%s: have %v, want %v; %v await a replacement, want %v", step.name, addresses, step.want, waiting, step.thenAwait)
		}
	}
	six := service("six", families(IPv6))
	a.Decide(six)
	a.SetConflicts(nextHops("192.0.2.7", "192.0.2.8", "192.0.2.9", "192.0.2.10", "2001:db8::1"))
	got()
	if d := a.Decide(six); texts(d.Addresses) != "2001:db8::2" {
		t.Errorf("beside four replaced IPv4 addresses the IPv6 one became %v", d.Addresses)
	}
}

// TestOrderOfTheStatusStays demands that a Service whose status names its addresses in another order than we would grant them keeps that.
func TestOrderOfTheStatusStays(t *testing.T) {
	for _, order := range []string{"192.0.2.3 2001:db8::3", "2001:db8::3 192.0.2.3"} {
		for _, f := range [][]Family{{IPv4, IPv6}, {IPv6, IPv4}} {
			t.Run(fmt.Sprint(order, f), func(t *testing.T) {
				a := New()
				a.SetPools([]Pool{pool("a", "192.0.2.1-192.0.2.4", "2001:db8::1-2001:db8::4")})
				s := service("s", families(f...), policy(RequireDualStack), has("a", strings.Fields(order)...))
				for range 2 {
					if d := a.Decide(s); texts(d.Addresses) != order || len(d.Granted)+len(d.Lost) > 0 {
						t.Errorf("got %+v, want %s", d, order)
					}
				}
			})
		}
	}
}

// TestARefusalCostsTheSameHoweverMuchIsWithheld: each Service that waits asks again whenever something comes free.
func TestARefusalCostsTheSameHoweverMuchIsWithheld(t *testing.T) {
	cost := func(n int) float64 {
		a := New()
		address := netip.MustParseAddr("10.0.0.0")
		a.SetPools([]Pool{{Name: "a", AutoAssign: true, Ranges: []netipx.IPRange{netipx.IPRangeFrom(address, netip.AddrFrom4([4]byte{10, 0, byte((n - 1) / 256), byte(n - 1)}))}}})
		var list []Withheld
		for range n {
			list = append(list, Single(address, reason.NodeAddress, "is an address of node n1"))
			address = address.Next()
		}
		a.SetWithheld(list)
		s := service("s")
		if d := a.Decide(s); d.Problem == nil || !strings.HasSuffix(d.Problem.Detail, "10.0.0.0 (NodeAddress), 10.0.0.1 (NodeAddress), 10.0.0.2 (NodeAddress) and others") {
			t.Fatalf("of %d addresses: %v", n, d.Problem)
		}
		return testing.AllocsPerRun(20, func() { a.Decide(s) })
	}
	// The runtime itself allocates now and then.
	if few, many := cost(4), cost(4096); many > few+few/2 {
		t.Errorf("a refusal takes %v allocations with 4 withheld addresses and %v with 4096", few, many)
	}
}
