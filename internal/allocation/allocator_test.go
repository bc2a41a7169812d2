// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go4.org/netipx"

	"metalsuite.io/api/reason"
)

// label matches Services that carry it, whatever its value.
type label string

func (l label) Matches(labels map[string]string) bool { _, ok := labels[string(l)]; return ok }

func pool(name string, ranges ...string) Pool {
	p := Pool{Name: name, AutoAssign: true}
	for _, r := range ranges {
		p.Ranges = append(p.Ranges, netipx.MustParseIPRange(r))
	}
	return p
}

func pinned(p Pool, priority int, namespaces ...string) Pool {
	p.Pin = &Pin{Priority: priority}
	for _, n := range namespaces {
		if p.Pin.Namespaces == nil {
			p.Pin.Namespaces = map[string]struct{}{}
		}
		p.Pin.Namespaces[n] = struct{}{}
	}
	return p
}

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, t := range texts {
		list = append(list, netip.MustParseAddr(t))
	}
	return list
}

func service(name string, change ...func(*Service)) Service {
	s := Service{Key: Key{"default", name}, Families: []Family{IPv4}, Ports: []Port{{"TCP", 80}}}
	for _, c := range change {
		c(&s)
	}
	return s
}

func families(f ...Family) func(*Service)  { return func(s *Service) { s.Families = f } }
func policy(p FamilyPolicy) func(*Service) { return func(s *Service) { s.Policy = p } }
func in(namespace string) func(*Service)   { return func(s *Service) { s.Key.Namespace = namespace } }
func asks(texts ...string) func(*Service)  { return func(s *Service) { s.Requested = addrs(texts...) } }
func asksPool(name string) func(*Service)  { return func(s *Service) { s.RequestedPool = name } }
func labelled(name string) func(*Service) {
	return func(s *Service) { s.Labels = map[string]string{name: ""} }
}
func shares(key, backend string) func(*Service) {
	return func(s *Service) { s.SharingKey, s.BackendKey = key, backend }
}
func port(n int32) func(*Service) { return func(s *Service) { s.Ports = []Port{{"TCP", n}} } }
func udp(n int32) func(*Service)  { return func(s *Service) { s.Ports = []Port{{"UDP", n}} } }
func has(pool string, texts ...string) func(*Service) {
	return func(s *Service) { s.Current, s.CurrentPool = addrs(texts...), pool }
}

func buggyFree(p Pool) Pool { p.AvoidBuggyIPs = true; return p }
func manual(p Pool) Pool    { p.AutoAssign = false; return p }
func frozenPool(p Pool) Pool {
	p.Frozen = reason.New(reason.PoolOverlap, "overlaps")
	return p
}

var dual = families(IPv4, IPv6)

// TestDecide gives every row's Services to a fresh Allocator, in order, and looks at the last decision.
func TestDecide(t *testing.T) {
	four, six := "192.0.2.1-192.0.2.4", "2001:db8::1-2001:db8::4"
	tests := []struct {
		name     string
		pools    []Pool
		withheld []Withheld
		before   []Service
		service  Service
		want     string // addresses, blank separated
		wantPool string
		problem  reason.Reason
		cause    reason.Reason
	}{
		{name: "first address of the first range", pools: []Pool{pool("a", "192.0.2.9-192.0.2.9", four)},
			service: service("s"), want: "192.0.2.9", wantPool: "a"},
		{name: "next free address", pools: []Pool{pool("a", four)}, before: []Service{service("x")},
			service: service("s"), want: "192.0.2.2", wantPool: "a"},
		{name: "no pools", service: service("s"), problem: reason.NoPools},
		{name: "no cluster IP", pools: []Pool{pool("a", four)}, service: service("s", families()), problem: reason.NoClusterIP},
		{name: "exhausted", pools: []Pool{pool("a", "192.0.2.1-192.0.2.1")}, before: []Service{service("x")},
			service: service("s"), problem: reason.PoolExhausted},
		{name: "IPv6 of a mixed pool", pools: []Pool{pool("a", four, six)}, service: service("s", families(IPv6)), want: "2001:db8::1", wantPool: "a"},
		{name: "family missing", pools: []Pool{pool("a", four)}, service: service("s", families(IPv6)), problem: reason.FamilyMissing},
		{name: "unpinned pools by name", pools: []Pool{pool("b", "192.0.2.9-192.0.2.9"), pool("a", four)}, service: service("s"), want: "192.0.2.1", wantPool: "a"},
		{name: "manual pool is not used by itself", pools: []Pool{manual(pool("a", four))}, service: service("s"), problem: reason.NoMatchingPool},
		{name: "manual pool by request", pools: []Pool{manual(pool("a", four))}, service: service("s", asksPool("a")), want: "192.0.2.1", wantPool: "a"},
		{name: "buggy addresses avoided", pools: []Pool{buggyFree(pool("a", "192.0.2.255-192.0.3.9"))}, service: service("s"), want: "192.0.3.1", wantPool: "a"},
		{name: "only buggy addresses", pools: []Pool{buggyFree(pool("a", "192.0.2.255-192.0.3.0"))}, service: service("s"), problem: reason.FamilyMissing},
		{name: "buggy address asked for", pools: []Pool{buggyFree(pool("a", "192.0.2.255-192.0.3.0"))}, service: service("s", asks("192.0.3.0")), problem: reason.AddressNotInPool},

		{name: "pinned before unpinned", pools: []Pool{pool("a", four), pinned(pool("p", "192.0.2.9-192.0.2.9"), 0)}, service: service("s"), want: "192.0.2.9", wantPool: "p"},
		{name: "priority 0 is last", pools: []Pool{pinned(pool("p", "192.0.2.9-192.0.2.9"), 0), pinned(pool("q", four), 7)}, service: service("s"), want: "192.0.2.1", wantPool: "q"},
		{name: "smaller priority first", pools: []Pool{pinned(pool("p", "192.0.2.9-192.0.2.9"), 7), pinned(pool("q", four), 3)}, service: service("s"), want: "192.0.2.1", wantPool: "q"},
		{name: "equal priority by name", pools: []Pool{pinned(pool("q", "192.0.2.9-192.0.2.9"), 7), pinned(pool("p", four), 7)}, service: service("s"), want: "192.0.2.1", wantPool: "p"},
		{name: "pinned to another namespace", pools: []Pool{pinned(pool("p", four), 1, "prod")}, service: service("s"), problem: reason.NoMatchingPool},
		{name: "pinned to this namespace", pools: []Pool{pinned(pool("p", four), 1, "prod")}, service: service("s", in("prod")), want: "192.0.2.1", wantPool: "p"},
		{name: "full pinned pool falls through", pools: []Pool{pinned(pool("p", "192.0.2.9-192.0.2.9"), 1), pool("a", four)}, before: []Service{service("x")},
			service: service("s"), want: "192.0.2.1", wantPool: "a"},
		{name: "selectors that match nobody mean nobody", pools: []Pool{{Name: "p", AutoAssign: true, Ranges: pool("", four).Ranges, Pin: &Pin{Namespaces: map[string]struct{}{}}}},
			service: service("s", asksPool("p")), problem: reason.PoolNotAllowed},
		{name: "pinned by label", pools: []Pool{{Name: "p", AutoAssign: true, Ranges: pool("", four).Ranges, Pin: &Pin{Services: []Matcher{label("web")}}}},
			service: service("s", labelled("web")), want: "192.0.2.1", wantPool: "p"},
		{name: "namespace and label must both match", pools: []Pool{{Name: "p", AutoAssign: true, Ranges: pool("", four).Ranges,
			Pin: &Pin{Namespaces: map[string]struct{}{"prod": {}}, Services: []Matcher{label("web")}}}},
			service: service("s", labelled("web")), problem: reason.NoMatchingPool},

		{name: "pool not found", pools: []Pool{pool("a", four)}, service: service("s", asksPool("b")), problem: reason.PoolNotFound},
		{name: "requested pool is full", pools: []Pool{pool("a", "192.0.2.1-192.0.2.1"), pool("b", "192.0.2.9-192.0.2.9")}, before: []Service{service("x")},
			service: service("s", asksPool("a")), problem: reason.PoolExhausted},
		{name: "address asked for", pools: []Pool{pool("a", four)}, service: service("s", asks("192.0.2.3")), want: "192.0.2.3", wantPool: "a"},
		{name: "address in no pool", pools: []Pool{pool("a", four)}, service: service("s", asks("192.0.2.5")), problem: reason.AddressNotInPool},
		{name: "address in use", pools: []Pool{pool("a", four)}, before: []Service{service("x")}, service: service("s", asks("192.0.2.1")), problem: reason.AddressInUse},
		{name: "address of another family", pools: []Pool{pool("a", four, six)}, service: service("s", asks("2001:db8::1")), problem: reason.FamilyMismatch},
		{name: "address and pool disagree", pools: []Pool{pool("a", four), pool("b", "192.0.2.9-192.0.2.9")}, service: service("s", asks("192.0.2.9"), asksPool("a")), problem: reason.AddressNotInPool},
		{name: "addresses of two pools", pools: []Pool{pool("a", four), pool("b", six)}, service: service("s", dual, policy(RequireDualStack), asks("192.0.2.1", "2001:db8::1")),
			problem: reason.AddressNotInPool},
		{name: "one address of a dual Service", pools: []Pool{pool("a", four, six)}, service: service("s", dual, policy(PreferDualStack), asks("192.0.2.1")), problem: reason.FamilyMismatch},
		{name: "both addresses asked for, in the order of the families", pools: []Pool{pool("a", four, six)},
			service: service("s", families(IPv6, IPv4), policy(RequireDualStack), asks("192.0.2.3", "2001:db8::2")), want: "2001:db8::2 192.0.2.3", wantPool: "a"},
		{name: "request not understood", pools: []Pool{pool("a", four)}, service: service("s", func(s *Service) { s.Invalid = reason.New(reason.InvalidRequest, "") }), problem: reason.InvalidRequest},
		{name: "request not understood keeps the address", pools: []Pool{pool("a", four)},
			service: service("s", has("a", "192.0.2.3"), func(s *Service) { s.Invalid = reason.New(reason.InvalidRequest, "") }), want: "192.0.2.3", wantPool: "a", problem: reason.InvalidRequest},

		{name: "node address is skipped", pools: []Pool{pool("a", four)}, withheld: withhold(reason.NodeAddress, "192.0.2.1"),
			service: service("s"), want: "192.0.2.2", wantPool: "a"},
		{name: "node address asked for", pools: []Pool{pool("a", four)}, withheld: withhold(reason.NodeAddress, "192.0.2.1"),
			service: service("s", asks("192.0.2.1")), problem: reason.NodeAddress},
		{name: "API server address asked for", pools: []Pool{pool("a", four)}, withheld: withhold(reason.APIServerAddress, "192.0.2.1"),
			service: service("s", asks("192.0.2.1")), problem: reason.APIServerAddress},
		{name: "node address already held stays and is told", pools: []Pool{pool("a", four)}, withheld: withhold(reason.NodeAddress, "192.0.2.1"),
			service: service("s", has("a", "192.0.2.1")), want: "192.0.2.1", wantPool: "a", problem: reason.NodeAddress},

		{name: "frozen pool grants nothing", pools: []Pool{frozenPool(pool("a", four))}, service: service("s"), problem: reason.PoolFrozen},
		{name: "frozen pool by request", pools: []Pool{frozenPool(pool("a", four))}, service: service("s", asksPool("a")), problem: reason.PoolFrozen},
		{name: "frozen pool keeps", pools: []Pool{frozenPool(pool("a", four))}, service: service("s", has("a", "192.0.2.2")), want: "192.0.2.2", wantPool: "a", problem: reason.PoolFrozen},
		{name: "frozen pool keeps though its ranges are not known", pools: []Pool{frozenPool(pool("a"))}, service: service("s", has("a", "192.0.2.2")), want: "192.0.2.2", wantPool: "a", problem: reason.PoolFrozen},
		{name: "what a frozen pool keeps, an overlapping one does not grant", pools: []Pool{frozenPool(pool("a", four)), pool("b", four)},
			before: []Service{service("x", has("a", "192.0.2.1"))}, service: service("s"), want: "192.0.2.2", wantPool: "b"},

		{name: "status is kept", pools: []Pool{pool("a", four)}, service: service("s", has("a", "192.0.2.3")), want: "192.0.2.3", wantPool: "a"},
		{name: "status is kept when the pool got another name", pools: []Pool{pool("b", four)}, service: service("s", has("a", "192.0.2.3")), want: "192.0.2.3", wantPool: "b"},
		{name: "status outside all pools", pools: []Pool{pool("a", four)}, service: service("s", has("a", "192.0.2.9")), want: "192.0.2.1", wantPool: "a", cause: reason.AddressNotInPool},
		{name: "pool narrowed", pools: []Pool{pinned(pool("a", four), 1, "prod"), pool("b", "192.0.2.9-192.0.2.9")}, service: service("s", has("a", "192.0.2.3")),
			want: "192.0.2.9", wantPool: "b", cause: reason.PoolNotAllowed},
		{name: "a better pool does not attract", pools: []Pool{pinned(pool("p", "192.0.2.9-192.0.2.9"), 1), pool("a", four)}, service: service("s", has("a", "192.0.2.3")), want: "192.0.2.3", wantPool: "a"},
		{name: "manual pool keeps", pools: []Pool{manual(pool("a", four))}, service: service("s", has("a", "192.0.2.3")), want: "192.0.2.3", wantPool: "a"},
		{name: "another address asked for", pools: []Pool{pool("a", four)}, service: service("s", has("a", "192.0.2.3"), asks("192.0.2.2")), want: "192.0.2.2", wantPool: "a", cause: reason.RequestChanged},
		{name: "another pool asked for", pools: []Pool{pool("a", four), pool("b", "192.0.2.9-192.0.2.9")}, service: service("s", has("a", "192.0.2.3"), asksPool("b")), want: "192.0.2.9", wantPool: "b", cause: reason.RequestChanged},
		{name: "same address taken twice", pools: []Pool{pool("a", four)}, before: []Service{service("x", has("a", "192.0.2.1"))},
			service: service("s", has("a", "192.0.2.1")), want: "192.0.2.2", wantPool: "a", cause: reason.AddressInUse},

		{name: "require both", pools: []Pool{pool("a", four), pool("b", four[:8]+"9-192.0.2.9", six)}, service: service("s", dual, policy(RequireDualStack)), want: "192.0.2.9 2001:db8::1", wantPool: "b"},
		{name: "require never splits", pools: []Pool{pool("a", four), pool("b", six)}, service: service("s", dual, policy(RequireDualStack)), problem: reason.FamilyMissing},
		{name: "require on a single-stack cluster", pools: []Pool{pool("a", four, six)}, service: service("s", policy(RequireDualStack), has("a", "192.0.2.1")), problem: reason.NotEnoughClusterIPs, cause: reason.NotEnoughClusterIPs},
		{name: "prefer takes a dual pool first", pools: []Pool{pool("a", four), pool("b", "192.0.2.9-192.0.2.9", six)}, service: service("s", dual, policy(PreferDualStack)), want: "192.0.2.9 2001:db8::1", wantPool: "b"},
		{name: "prefer takes the first family", pools: []Pool{pool("a", four), pool("b", six)}, service: service("s", families(IPv6, IPv4), policy(PreferDualStack)), want: "2001:db8::1", wantPool: "b"},
		{name: "prefer takes the second family at last", pools: []Pool{pool("a", four)}, service: service("s", families(IPv6, IPv4), policy(PreferDualStack)), want: "192.0.2.1", wantPool: "a"},
		{name: "prefer on a single-stack cluster stays single", pools: []Pool{pool("a", four, six)}, service: service("s", policy(PreferDualStack), has("a", "192.0.2.2")), want: "192.0.2.2", wantPool: "a"},
		{name: "prefer adds the other family from the same pool", pools: []Pool{pool("a", four, six)}, service: service("s", dual, policy(PreferDualStack), has("a", "192.0.2.2")), want: "192.0.2.2 2001:db8::1", wantPool: "a"},
		{name: "prefer does not add from another pool", pools: []Pool{pool("a", four), pool("b", six)}, service: service("s", dual, policy(PreferDualStack), has("a", "192.0.2.2")), want: "192.0.2.2", wantPool: "a"},
		{name: "single becomes required dual: the first address stays", pools: []Pool{pool("a", four, six)}, service: service("s", dual, policy(RequireDualStack), has("a", "192.0.2.2")), want: "192.0.2.2 2001:db8::1", wantPool: "a"},
		{name: "single becomes required dual: moves to a dual pool", pools: []Pool{pool("a", four), pool("b", "192.0.2.9-192.0.2.9", six)}, service: service("s", dual, policy(RequireDualStack), has("a", "192.0.2.2")),
			want: "192.0.2.9 2001:db8::1", wantPool: "b", cause: reason.FamilyMissing},
		{name: "dual becomes single: the address of that family stays", pools: []Pool{pool("a", four, six)}, service: service("s", has("a", "192.0.2.2", "2001:db8::2")), want: "192.0.2.2", wantPool: "a"},
		{name: "prefer loses a family: the other stays", pools: []Pool{pool("a", four), pool("b", "192.0.2.9-192.0.2.9", six)}, service: service("s", dual, policy(PreferDualStack), has("a", "192.0.2.2", "2001:db8:1::1")),
			want: "192.0.2.2", wantPool: "a", cause: reason.AddressNotInPool},
		{name: "prefer loses the first family: the other stays", pools: []Pool{pool("a", six)}, service: service("s", dual, policy(PreferDualStack), has("a", "192.0.2.2", "2001:db8::2")),
			want: "2001:db8::2", wantPool: "a", cause: reason.AddressNotInPool},
		{name: "prefer loses a family and gets another of the same pool", pools: []Pool{buggyFree(pool("a", "192.0.2.0-192.0.2.3", six))}, service: service("s", dual, policy(PreferDualStack), has("a", "192.0.2.0", "2001:db8::2")),
			want: "192.0.2.1 2001:db8::2", wantPool: "a", cause: reason.AddressNotInPool},
		{name: "prefer loses a family to another Service", pools: []Pool{pool("a", "192.0.2.1-192.0.2.1", six)}, before: []Service{service("x")}, service: service("s", dual, policy(PreferDualStack), has("a", "192.0.2.1", "2001:db8::2")),
			want: "2001:db8::2", wantPool: "a", cause: reason.AddressInUse},
		{name: "prefer loses one of two pools: the first family stays", pools: []Pool{pool("a", four), pool("b", six)}, service: service("s", dual, policy(PreferDualStack), has("c", "192.0.2.2", "2001:db8::2")),
			want: "192.0.2.2", wantPool: "a", cause: reason.AddressNotInPool},
		{name: "prefer loses one of two asked for: the other stays and it is told", pools: []Pool{pool("a", four)}, service: service("s", dual, policy(PreferDualStack), asks("192.0.2.2", "2001:db8::2"), has("a", "192.0.2.2", "2001:db8::2")),
			want: "192.0.2.2", wantPool: "a", problem: reason.AddressNotInPool, cause: reason.AddressNotInPool},
		{name: "prefer gets the other one asked for as soon as it can", pools: []Pool{pool("a", four, six)}, service: service("s", dual, policy(PreferDualStack), asks("192.0.2.2", "2001:db8::2"), has("a", "192.0.2.2")),
			want: "192.0.2.2 2001:db8::2", wantPool: "a"},
		{name: "require loses a family: both go", pools: []Pool{pool("a", four), pool("b", "192.0.2.9-192.0.2.9", six)}, service: service("s", dual, policy(RequireDualStack), has("a", "192.0.2.2", "2001:db8:1::1")),
			want: "192.0.2.9 2001:db8::1", wantPool: "b", cause: reason.AddressNotInPool},
		{name: "order of the families", pools: []Pool{pool("a", four, six)}, service: service("s", families(IPv6, IPv4), policy(RequireDualStack)), want: "2001:db8::1 192.0.2.1", wantPool: "a"},

		{name: "share", pools: []Pool{pool("a", four)}, before: []Service{service("x", shares("k", ""))}, service: service("s", shares("k", ""), port(81)), want: "192.0.2.1", wantPool: "a"},
		{name: "share across protocols", pools: []Pool{pool("a", four)}, before: []Service{service("x", shares("k", ""), port(53))}, service: service("s", shares("k", ""), udp(53)), want: "192.0.2.1", wantPool: "a"},
		{name: "a free address before the shared one", pools: []Pool{pool("a", four)}, before: []Service{service("x", shares("k", ""), asks("192.0.2.3"))}, service: service("s", shares("k", ""), port(81)), want: "192.0.2.1", wantPool: "a"},
		{name: "port collides", pools: []Pool{pool("a", four)}, before: []Service{service("x", shares("k", ""))}, service: service("s", shares("k", "")), want: "192.0.2.2", wantPool: "a"},
		{name: "port collides on the address asked for", pools: []Pool{pool("a", four)}, before: []Service{service("x", shares("k", ""))},
			service: service("s", shares("k", ""), asks("192.0.2.1")), problem: reason.SharingPortCollides},
		{name: "sharing key differs", pools: []Pool{pool("a", four)}, before: []Service{service("x", shares("k", ""))},
			service: service("s", shares("l", ""), port(81), asks("192.0.2.1")), problem: reason.SharingKeyDiffers},
		{name: "backends differ", pools: []Pool{pool("a", four)}, before: []Service{service("x", shares("k", "app=a"))},
			service: service("s", shares("k", ""), port(81), asks("192.0.2.1")), problem: reason.SharingBackendDiffer},
		{name: "no key of one's own", pools: []Pool{pool("a", four)}, before: []Service{service("x", shares("k", ""))}, service: service("s", port(81), asks("192.0.2.1")), problem: reason.AddressInUse},
		{name: "a sole user changes its key", pools: []Pool{pool("a", four)}, before: []Service{service("s", shares("k", ""))}, service: service("s", shares("l", "")), want: "192.0.2.1", wantPool: "a"},
		{name: "one of several changes its key and moves", pools: []Pool{pool("a", four)}, before: []Service{service("s", shares("k", "")), service("x", shares("k", ""), port(81))},
			service: service("s", shares("l", "")), want: "192.0.2.2", wantPool: "a", cause: reason.SharingKeyDiffers},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := New()
			a.SetWithheld(tt.withheld)
			a.SetPools(tt.pools)
			for _, s := range tt.before {
				a.Decide(s)
			}
			d := a.Decide(tt.service)
			if got := texts(d.Addresses); got != tt.want {
				t.Errorf("addresses %q, want %q (problem %v)", got, tt.want, d.Problem)
			}
			if d.Pool != tt.wantPool {
				t.Errorf("pool %q, want %q", d.Pool, tt.wantPool)
			}
			if got := reasonOf(d.Problem); got != tt.problem {
				t.Errorf("problem %q, want %q", got, tt.problem)
			}
			if got := reasonOf(d.Cause); got != tt.cause {
				t.Errorf("cause %q, want %q", got, tt.cause)
			}
			again := a.Decide(tt.service)
			if !slices.Equal(again.Addresses, d.Addresses) || len(again.Granted)+len(again.Lost) > 0 || again.Frees {
				t.Errorf("deciding again changed %+v to %+v", d, again)
			}
		})
	}
}

func texts(addresses []netip.Addr) string {
	var list []string
	for _, a := range addresses {
		list = append(list, a.String())
	}
	return strings.Join(list, " ")
}

func reasonOf(p *reason.Problem) reason.Reason {
	if p == nil {
		return ""
	}
	return p.Reason
}

func TestAdoptBeforeDecide(t *testing.T) {
	a := New()
	a.SetPools([]Pool{pool("a", "192.0.2.1-192.0.2.4")})
	evicted := service("evicted", has("gone", "198.51.100.1"))
	holder := service("holder", has("a", "192.0.2.1"))
	for _, s := range []Service{evicted, holder} {
		a.Adopt(s)
	}
	if got := texts(a.Decide(evicted).Addresses); got != "192.0.2.2" {
		t.Errorf("the Service that lost its address got %q", got)
	}
	if got := texts(a.Decide(holder).Addresses); got != "192.0.2.1" {
		t.Errorf("the holder has %q", got)
	}
}

func TestFrees(t *testing.T) {
	a := New()
	a.SetPools([]Pool{pool("a", "192.0.2.1-192.0.2.2")})
	s := service("s", shares("k", ""))
	if a.Decide(s).Frees {
		t.Error("a grant frees nothing")
	}
	port(81)(&s)
	if !a.Decide(s).Frees {
		t.Error("a port was freed on a shared address")
	}
	shares("l", "")(&s)
	if !a.Decide(s).Frees {
		t.Error("the sharing key changed")
	}
	if !a.Release(s.Key) || a.Release(s.Key) {
		t.Error("the first release frees, the second does not")
	}
}

func TestWithheldAddressComesBack(t *testing.T) {
	a := New()
	a.SetPools([]Pool{pool("a", "192.0.2.1-192.0.2.4")})
	a.SetWithheld(withhold(reason.NodeAddress, "192.0.2.1"))
	a.Decide(service("x"))
	if c, _ := a.Counts("a"); c.AssignedIPv4 != 1 || c.AvailableIPv4 != 2 {
		t.Errorf("counts %+v", c)
	}
	a.SetWithheld(nil)
	if got := texts(a.Decide(service("y")).Addresses); got != "192.0.2.1" {
		t.Errorf("got %q", got)
	}
}

func TestCounts(t *testing.T) {
	const most = 1<<63 - 1
	tests := []struct {
		name string
		pool Pool
		want Counts
	}{
		{"one address", pool("a", "192.0.2.1-192.0.2.1"), Counts{AvailableIPv4: 1}},
		{"all of IPv4", pool("a", "0.0.0.0-255.255.255.255"), Counts{AvailableIPv4: 1 << 32}},
		{"without buggy ones", buggyFree(pool("a", "192.0.2.0-192.0.4.0")), Counts{AvailableIPv4: 513 - 5}},
		{"IPv6 /66", pool("a", "2001:db8::-2001:db8::3fff:ffff:ffff:fffe"), Counts{AvailableIPv6: 1<<62 - 1}},
		{"2^62 saturates", pool("a", "2001:db8::-2001:db8::3fff:ffff:ffff:ffff"), Counts{AvailableIPv6: most}},
		{"a big range and a small one", pool("a", "2001:db8::-2001:db8:0:ffff:ffff:ffff:ffff:ffff", "2001:db9::-2001:db9::1"), Counts{AvailableIPv6: most}},
		{"both", pool("a", "192.0.2.0-192.0.2.7", "2001:db9::-2001:db9::1"), Counts{AvailableIPv4: 8, AvailableIPv6: 2}},
		{"frozen", frozenPool(pool("a", "192.0.2.0-192.0.2.7")), Counts{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := New()
			a.SetPools([]Pool{tt.pool})
			if got, ok := a.Counts("a"); !ok || got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, seed := range []string{"", "192.0.2.1", " 192.0.2.1 , 2001:db8::1", "192.0.2.1,192.0.2.2", "::ffff:192.0.2.1", "fe80::1%eth0", ",", "a"} {
		f.Add(seed, "")
		f.Add("", seed)
	}
	f.Add("\xe2\x80", "\x83") // blank only when put together
	f.Fuzz(func(t *testing.T, annotation, field string) {
		list, problem := ParseRequest(annotation, field)
		if problem != nil && list != nil || len(list) > 2 {
			t.Fatalf("%v and %v", list, problem)
		}
		for _, a := range list {
			if !a.IsValid() || a.Zone() != "" || a.Is4In6() {
				t.Fatalf("%v is not plain", a)
			}
		}
		if len(list) == 2 && FamilyOf(list[0]) == FamilyOf(list[1]) {
			t.Fatalf("%v are of one family", list)
		}
		if asked := strings.TrimSpace(annotation)+strings.TrimSpace(field) != ""; asked != (problem != nil || len(list) > 0) {
			t.Fatalf("asked %v, got %v and %v", asked, list, problem)
		}
	})
}

func TestOccupied(t *testing.T) {
	a := New()
	a.SetPools([]Pool{pool("a", "192.0.2.1-192.0.2.3")})
	foreign, other := Key{"default", "foreign"}, Key{"default", "other"}
	holder := service("holder", has("a", "192.0.2.2"))
	a.Adopt(holder)
	a.Occupy(foreign, addrs("192.0.2.1", "192.0.2.2"), "this controller does not serve")
	a.Occupy(other, addrs("192.0.2.1"), "this controller does not serve")
	d := a.Decide(holder)
	if texts(d.Addresses) != "192.0.2.2" || reasonOf(d.Problem) != reason.AddressInUse {
		t.Errorf("the holder has %v (%v)", d.Addresses, d.Problem)
	}
	if got := texts(a.Decide(service("x")).Addresses); got != "192.0.2.3" {
		t.Errorf("next to foreign addresses %q is granted", got)
	}
	if c, _ := a.Counts("a"); c.AssignedIPv4 != 2 || c.AvailableIPv4 != 0 {
		t.Errorf("counts %+v", c)
	}
	wants := service("wants", asks("192.0.2.1"))
	d = a.Decide(wants)
	if reasonOf(d.Problem) != reason.AddressInUse || !strings.Contains(d.Problem.Message(), "default/foreign") {
		t.Errorf("refused with %v", d.Problem)
	}
	if a.Occupy(foreign, addrs("192.0.2.2"), "this controller does not serve") {
		t.Error("the other one still bears the address")
	}
	if !a.Release(other) {
		t.Error("the last one that bore the address is gone")
	}
	if got := texts(a.Decide(wants).Addresses); got != "192.0.2.1" {
		t.Errorf("got %q", got)
	}
	a.Release(foreign)
	if d := a.Decide(holder); d.Problem != nil {
		t.Errorf("the holder is told %v", d.Problem)
	}
}

func TestNoPoolsYet(t *testing.T) {
	a := New()
	a.SetPools(nil)
	holder, waits := service("holder", has("a", "192.0.2.2")), service("waits")
	for range 2 {
		a.Adopt(holder)
		a.Adopt(waits)
		d := a.Decide(holder)
		if texts(d.Addresses) != "192.0.2.2" || d.Pool != "a" || reasonOf(d.Problem) != reason.NoPools || len(d.Lost) > 0 {
			t.Errorf("at a start without pools: %+v", d)
		}
		if d := a.Decide(waits); len(d.Addresses) > 0 || reasonOf(d.Problem) != reason.NoPools {
			t.Errorf("who has nothing: %+v", d)
		}
	}
	a.SetPools([]Pool{pool("a", "192.0.2.2-192.0.2.3")})
	a.Adopt(holder)
	if got := texts(a.Decide(waits).Addresses); got != "192.0.2.3" {
		t.Errorf("who waited got %q", got)
	}
	if d := a.Decide(holder); texts(d.Addresses) != "192.0.2.2" || d.Problem != nil {
		t.Errorf("after the first pool came: %+v", d)
	}
	a.SetPools(nil)
	if d := a.Decide(holder); len(d.Addresses) > 0 || len(d.Lost) != 1 || reasonOf(d.Cause) != reason.NoPools {
		t.Errorf("after the last pool went: %+v", d)
	}
}

func TestRefusalsName(t *testing.T) {
	withheld := append(withhold(reason.NodeAddress, "192.0.2.1", "198.51.100.1"), withhold(reason.APIServerAddress, "192.0.2.3")...)
	tests := []struct {
		name    string
		pool    Pool
		before  []Service
		service Service
		reason  reason.Reason
		detail  string
	}{
		{"full", pool("a", "192.0.2.2-192.0.2.2"), []Service{service("x")}, service("s"),
			reason.PoolExhausted, "no IPv4 address is free in pool a"},
		{"what is withheld in a full pool", pool("a", "192.0.2.1-192.0.2.4"), []Service{service("x")}, service("s"),
			reason.PoolExhausted, "no IPv4 address is free in pool a; passed over: 192.0.2.1 (NodeAddress), 192.0.2.3 (APIServerAddress), 192.0.2.4 (AddressInUse)"},
		{"only withheld ones", pool("a", "192.0.2.1-192.0.2.1"), nil, service("s", asksPool("a")),
			reason.PoolExhausted, "no IPv4 address is free in pool a; passed over: 192.0.2.1 (NodeAddress)"},
		{"an address that its pool leaves out", buggyFree(pool("a", "192.0.2.0-192.0.2.9")), nil, service("s", asks("192.0.2.0")),
			reason.AddressNotInPool, "pool a excludes 192.0.2.0 (spec.avoidBuggyIPs)"},
		{"an address of no pool", buggyFree(pool("a", "192.0.2.0-192.0.2.9")), nil, service("s", asks("192.0.3.0")),
			reason.AddressNotInPool, "192.0.3.0 is in no pool"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := New()
			a.SetPools([]Pool{tt.pool})
			a.SetWithheld(withheld)
			a.Occupy(Key{"default", "foreign"}, addrs("192.0.2.4"), "this controller does not serve")
			for _, s := range tt.before {
				a.Decide(s)
			}
			if p := a.Decide(tt.service).Problem; p == nil || p.Reason != tt.reason || p.Detail != tt.detail {
				t.Errorf("got %+v", p)
			}
		})
	}
}
