// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"metalsuite.io/api/reason"
)

// heard are conflicts that the network alone speaks of, seen are those that a node itself does.
func heard(texts ...string) []Conflict { return conflicts(reason.AddressConflict, true, texts) }
func seen(texts ...string) []Conflict  { return conflicts(reason.LocalAddress, false, texts) }

func conflicts(why reason.Reason, hearsay bool, texts []string) []Conflict {
	var list []Conflict
	for _, a := range addrs(texts...) {
		list = append(list, Conflict{Address: a, Problem: reason.New(why, "%s is used by 02:00:00:00:00:01", a), Hearsay: hearsay})
	}
	return list
}

// TestConflicts gives every row's Services to an Allocator, in order, and looks at the last decision.
func TestConflicts(t *testing.T) {
	four, six := "192.0.2.1-192.0.2.4", "2001:db8::1-2001:db8::4"
	tests := []struct {
		name         string
		pools        []Pool
		reservations []Reservation
		before       []Service
		conflicts    []Conflict
		service      Service
		want         string
		problem      reason.Reason
		says         string
	}{
		{name: "passed over", pools: []Pool{pool("a", four)}, conflicts: heard("192.0.2.1"), service: service("s"), want: "192.0.2.2"},
		{name: "refused on request", pools: []Pool{pool("a", four)}, conflicts: heard("192.0.2.3"), service: service("s", asks("192.0.2.3")),
			problem: reason.AddressConflict, says: "192.0.2.3 is used by 02:00:00:00:00:01"},
		{name: "refused for what a node says", pools: []Pool{pool("a", four)}, conflicts: seen("192.0.2.3"), service: service("s", asks("192.0.2.3")), problem: reason.LocalAddress},
		{name: "exhausted names it", pools: []Pool{pool("a", "192.0.2.1-192.0.2.1")}, conflicts: heard("192.0.2.1"), service: service("s"),
			problem: reason.PoolExhausted, says: "passed over: 192.0.2.1 (AddressConflict)"},
		{name: "what is in no pool is that", pools: []Pool{pool("a", four)}, conflicts: heard("192.0.2.9"), service: service("s", asks("192.0.2.9")), problem: reason.AddressNotInPool},
		{name: "what a pool avoids is that", pools: []Pool{buggyFree(pool("a", "192.0.2.0-192.0.2.9"))}, conflicts: heard("192.0.2.0", "192.0.2.1"),
			service: service("s", asks("192.0.2.0")), problem: reason.AddressNotInPool},
		{name: "not even to whom it is reserved", pools: []Pool{pool("a", four)}, reservations: []Reservation{keeps("r", "192.0.2.3-192.0.2.3", "s")},
			conflicts: heard("192.0.2.3"), service: service("s"), want: "192.0.2.1"},
		{name: "held is kept, and all is well", pools: []Pool{pool("a", four)}, before: []Service{service("s")}, conflicts: heard("192.0.2.1"),
			service: service("s"), want: "192.0.2.1"},
		{name: "held by the status is kept", pools: []Pool{pool("a", four)}, conflicts: heard("192.0.2.3"), service: service("s", has("a", "192.0.2.3")), want: "192.0.2.3"},
		{name: "held on request is kept", pools: []Pool{pool("a", four)}, before: []Service{service("s", asks("192.0.2.3"))}, conflicts: seen("192.0.2.3"),
			service: service("s", asks("192.0.2.3"), port(7)), want: "192.0.2.3"},
		{name: "nobody joins the holder", pools: []Pool{pool("a", four)}, before: []Service{service("x", shares("k", ""), port(1))}, conflicts: heard("192.0.2.1"),
			service: service("s", shares("k", ""), port(2)), want: "192.0.2.2"},
		{name: "who shares it keeps it", pools: []Pool{pool("a", four)}, before: []Service{service("x", shares("k", ""), port(1)), service("s", shares("k", ""), port(2))},
			conflicts: heard("192.0.2.1"), service: service("s", shares("k", ""), port(3)), want: "192.0.2.1"},
		{name: "second family without it", pools: []Pool{pool("a", four, six)}, before: []Service{service("s")}, conflicts: heard("192.0.2.1", "2001:db8::1"),
			service: service("s", dual, policy(PreferDualStack)), want: "192.0.2.1 2001:db8::2"},

		{name: "a tenth of the pool, the first", pools: []Pool{pool("a", "192.0.2.1-192.0.2.20")}, conflicts: heard("192.0.2.2", "192.0.2.3", "192.0.2.1"),
			service: service("s"), want: "192.0.2.1"},
		{name: "a tenth is rounded up", pools: []Pool{pool("a", "192.0.2.1-192.0.2.11")}, conflicts: heard("192.0.2.2", "192.0.2.1", "192.0.2.3"),
			service: service("s"), want: "192.0.2.3"},
		{name: "one at least", pools: []Pool{pool("a", four)}, conflicts: heard("192.0.2.1", "192.0.2.2"), service: service("s"), want: "192.0.2.2"},
		{name: "each pool apart", pools: []Pool{pool("a", "192.0.2.1-192.0.2.1"), pool("b", "192.0.2.2-192.0.2.3")}, conflicts: heard("192.0.2.1", "192.0.2.2"),
			service: service("s"), want: "192.0.2.3"},
		{name: "each family apart", pools: []Pool{pool("a", "192.0.2.1-192.0.2.10", "2001:db8::-2001:db8::ffff:ffff")}, conflicts: heard("192.0.2.1", "192.0.2.2", "2001:db8::"),
			service: service("s", dual, policy(RequireDualStack)), want: "192.0.2.2 2001:db8::1"},
		{name: "held ones count", pools: []Pool{pool("a", four)}, before: []Service{service("x")}, conflicts: heard("192.0.2.1", "192.0.2.2"), service: service("s"), want: "192.0.2.2"},
		{name: "what nodes say has no limit", pools: []Pool{pool("a", four)}, conflicts: append(seen("192.0.2.1", "192.0.2.2", "192.0.2.3"), heard("192.0.2.4")...),
			service: service("s"), problem: reason.PoolExhausted, says: "192.0.2.1 (LocalAddress), 192.0.2.2 (LocalAddress), 192.0.2.3 (LocalAddress) and others"},
		{name: "nor counts", pools: []Pool{pool("a", four)}, conflicts: append(seen("192.0.2.2"), heard("192.0.2.2", "192.0.2.1")...), service: service("s"), want: "192.0.2.3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := New()
			a.SetPools(tt.pools)
			a.SetReservations(tt.reservations)
			for _, s := range tt.before {
				a.Decide(s)
			}
			a.SetConflicts(tt.conflicts)
			d := a.Decide(tt.service)
			if got := strings.ReplaceAll(join(d.Addresses), " and ", " "); got != tt.want {
				t.Errorf("got %q, want %q (%v)", got, tt.want, d.Problem)
			}
			switch {
			case tt.problem == "" && d.Problem != nil:
				t.Errorf("problem %v", d.Problem)
			case tt.problem != "" && (d.Problem == nil || d.Problem.Reason != tt.problem || !strings.Contains(d.Problem.Detail, tt.says)):
				t.Errorf("problem %v, want %s that says %q", d.Problem, tt.problem, tt.says)
			}
		})
	}
}

// TestConflictsComeAndGo demands that an address that is free again is granted again, and that figures follow.
func TestConflictsComeAndGo(t *testing.T) {
	a := New()
	a.SetPools([]Pool{pool("a", "192.0.2.1-192.0.2.3")})
	if a.SetConflicts(seen("192.0.2.1", "192.0.2.2")) {
		t.Error("a conflict that comes frees something")
	}
	get := func(name, want string) {
		t.Helper()
		if d := a.Decide(service(name)); join(d.Addresses) != want {
			t.Errorf("%s got %v, want %q (%v)", name, d.Addresses, want, d.Problem)
		}
	}
	free := func(want int64) {
		t.Helper()
		if c, _ := a.Counts("a"); c.AvailableIPv4 != want {
			t.Errorf("%d addresses are available, want %d", c.AvailableIPv4, want)
		}
	}
	free(1)
	get("x", "192.0.2.3")
	get("y", "")
	if a.SetConflicts(seen("192.0.2.2", "192.0.2.1")) {
		t.Error("another order of the same frees something")
	}
	if !a.SetConflicts(seen("192.0.2.1")) {
		t.Error("a conflict that goes frees nothing")
	}
	free(1)
	get("y", "192.0.2.2")
	a.SetConflicts(seen("192.0.2.1", "192.0.2.2", "192.0.2.3"))
	free(0)
	a.Release(Key{"default", "y"})
	get("z", "")
	a.SetPools([]Pool{pool("a", "192.0.2.1-192.0.2.4")})
	get("z", "192.0.2.4")
	get("x", "192.0.2.3")
	a.SetConflicts(nil)
	free(2)
	get("w", "192.0.2.1")
	get("y", "192.0.2.2")
}

// TestTheTenthFollowsThePool demands that the limit is that of the pool as it is, whichever came first.
func TestTheTenthFollowsThePool(t *testing.T) {
	a := New()
	a.SetConflicts(heard("192.0.2.1", "192.0.2.2", "192.0.2.3"))
	withheld := func() (list []netip.Addr) {
		for address := range a.conflicts {
			list = append(list, address)
		}
		slices.SortFunc(list, netip.Addr.Compare)
		return list
	}
	for _, step := range []struct {
		ranges string
		want   []netip.Addr
	}{
		{"192.0.2.1-192.0.2.9", addrs("192.0.2.1")},
		{"192.0.2.1-192.0.2.20", addrs("192.0.2.1", "192.0.2.2")},
		{"192.0.2.2-192.0.2.9", addrs("192.0.2.2")},
		{"192.0.2.1-192.0.2.200", addrs("192.0.2.1", "192.0.2.2", "192.0.2.3")},
		{"192.0.2.100-192.0.2.200", nil},
	} {
		a.SetPools([]Pool{pool("a", step.ranges)})
		if got := withheld(); !slices.Equal(got, step.want) {
			t.Errorf("of %s %v are withheld, want %v", step.ranges, got, step.want)
		}
	}
	a.SetPools([]Pool{frozenPool(pool("a", "192.0.2.1-192.0.2.9"))})
	if got := withheld(); len(got) > 0 {
		t.Errorf("of a frozen pool %v are withheld", got)
	}
}

func TestAHugePoolHasATenth(t *testing.T) {
	a := New()
	a.SetPools([]Pool{pool("a", "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")})
	a.SetConflicts(heard("2001:db8::", "2001:db8::1"))
	if d := a.Decide(service("s", families(IPv6))); join(d.Addresses) != "2001:db8::2" {
		t.Errorf("got %v", d.Addresses)
	}
}
