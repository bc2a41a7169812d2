// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
)

// born returns metadata of an object that is so many minutes younger than the oldest.
func born(name string, minute int) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC))}
}

func pool(name string, age int, addresses ...string) v1beta1.IPAddressPool {
	return v1beta1.IPAddressPool{ObjectMeta: born(name, age), Spec: v1beta1.IPAddressPoolSpec{Addresses: addresses}}
}

func label(key, value string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

func expression(key string, operator metav1.LabelSelectorOperator, values ...string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: operator, Values: values}}}
}

func named(p *Policy, name string) allocation.Pool {
	i := slices.IndexFunc(p.Pools, func(x allocation.Pool) bool { return x.Name == name })
	if i < 0 {
		return allocation.Pool{}
	}
	return p.Pools[i]
}

func text(ranges []netipx.IPRange) string {
	var all []string
	for _, r := range ranges {
		all = append(all, r.String())
	}
	return strings.Join(all, " ")
}

func TestPools(t *testing.T) {
	for _, row := range []struct {
		name    string
		pools   []v1beta1.IPAddressPool
		ranges  string // of the last pool
		frozen  reason.Reason
		message string
	}{
		{name: "CIDR", pools: []v1beta1.IPAddressPool{pool("a", 0, "192.0.2.0/24")}, ranges: "192.0.2.0-192.0.2.255"},
		{name: "order of the entries", pools: []v1beta1.IPAddressPool{pool("a", 0, "192.0.2.64-192.0.2.70", "192.0.2.0/30", "2001:db8::/127")},
			ranges: "192.0.2.64-192.0.2.70 192.0.2.0-192.0.2.3 2001:db8::-2001:db8::1"},
		{name: "no addresses", pools: []v1beta1.IPAddressPool{pool("a", 0)}, frozen: reason.NoAddresses},
		{name: "one entry cannot be read", pools: []v1beta1.IPAddressPool{pool("a", 0, "fred", "192.0.2.0/30")},
			ranges: "192.0.2.0-192.0.2.3", frozen: reason.InvalidAddressRange, message: `invalid CIDR "fred"`},
		{name: "start above end", pools: []v1beta1.IPAddressPool{pool("a", 0, "192.0.2.9-192.0.2.1")},
			frozen: reason.InvalidAddressRange, message: "start IP 192.0.2.9 is after the end IP 192.0.2.1"},
		{name: "overlap within a pool", pools: []v1beta1.IPAddressPool{pool("a", 0, "192.0.2.0/30", "192.0.2.2-192.0.2.5")},
			ranges: "192.0.2.0-192.0.2.3 192.0.2.4-192.0.2.5", frozen: reason.PoolOverlap,
			message: `CIDR "192.0.2.2-192.0.2.5" in pool "a" overlaps with already defined CIDR "192.0.2.0/30"`},
		{name: "overlap with an older pool", pools: []v1beta1.IPAddressPool{pool("b", 0, "192.0.2.0/24"), pool("a", 1, "192.0.2.128/25")},
			ranges: "192.0.2.128-192.0.2.255", frozen: reason.PoolOverlap,
			message: `CIDR "192.0.2.128/25" in pool "a" overlaps with already defined CIDR "192.0.2.0/24" of pool "b"`},
		{name: "overlap with a younger pool", pools: []v1beta1.IPAddressPool{pool("b", 1, "192.0.2.0/24"), pool("a", 0, "192.0.2.128/25")},
			ranges: "192.0.2.128-192.0.2.255"},
		{name: "overlap with one as old", pools: []v1beta1.IPAddressPool{pool("a", 0, "192.0.2.0/24"), pool("b", 0, "192.0.2.128/25")},
			ranges: "192.0.2.128-192.0.2.255", frozen: reason.PoolOverlap},
		{name: "overlap with an invalid older pool", pools: []v1beta1.IPAddressPool{pool("a", 0, "192.0.2.0/24", "x"), pool("b", 1, "192.0.2.128/25")},
			ranges: "192.0.2.128-192.0.2.255", frozen: reason.PoolOverlap},
		{name: "beside an older pool", pools: []v1beta1.IPAddressPool{pool("a", 0, "192.0.2.0/25"), pool("b", 1, "192.0.2.128/25")},
			ranges: "192.0.2.128-192.0.2.255"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := Compile(Objects{Pools: row.pools})
			last := row.pools[len(row.pools)-1].Name
			got := named(p, last)
			if text(got.Ranges) != row.ranges {
				t.Errorf("ranges %q, want %q", text(got.Ranges), row.ranges)
			}
			problem, _ := p.ProblemOf(ObjectRef{KindIPAddressPool, last})
			if problem.Reason != row.frozen || !strings.Contains(problem.Detail, row.message) {
				t.Errorf("problem %q (%s), want %s: %s", problem.Reason, problem.Detail, row.frozen, row.message)
			}
			if (got.Frozen != nil) != (row.frozen != "") {
				t.Errorf("frozen %v", got.Frozen)
			}
		})
	}
}

func TestABadPoolLeavesTheOthersAlone(t *testing.T) {
	p := Compile(Objects{Pools: []v1beta1.IPAddressPool{pool("bad", 0, "x"), pool("good", 1, "192.0.2.0/24")}})
	if named(p, "good").Frozen != nil || named(p, "bad").Frozen == nil || len(p.Problems) != 1 {
		t.Errorf("pools %v, problems %v", p.Pools, p.Problems)
	}
}

func TestPoolDefaults(t *testing.T) {
	off := false
	explicit := pool("b", 0, "192.0.2.0/24")
	explicit.Spec.AutoAssign, explicit.Spec.AvoidBuggyIPs = &off, true
	p := Compile(Objects{Pools: []v1beta1.IPAddressPool{pool("a", 0, "198.51.100.0/24"), explicit}})
	if a := named(p, "a"); !a.AutoAssign || a.AvoidBuggyIPs || a.Pin != nil {
		t.Errorf("absent fields give %+v", a)
	}
	if b := named(p, "b"); b.AutoAssign || !b.AvoidBuggyIPs {
		t.Errorf("given fields give %+v", b)
	}
}

func TestServiceAllocation(t *testing.T) {
	namespaces := map[string]map[string]string{"red": {"team": "r"}, "blue": {"team": "b"}}
	type service struct {
		namespace, app string
		admitted       bool
	}
	for _, row := range []struct {
		name     string
		pin      v1beta1.ServiceAllocation
		services []service
	}{
		{name: "empty matches all", services: []service{{"red", "web", true}, {"other", "", true}}},
		{name: "priority alone matches all", pin: v1beta1.ServiceAllocation{Priority: 7}, services: []service{{"red", "web", true}}},
		{name: "names", pin: v1beta1.ServiceAllocation{Namespaces: []string{"red", "not-there-yet"}},
			services: []service{{"red", "web", true}, {"blue", "web", false}, {"not-there-yet", "", true}}},
		{name: "namespace selectors", pin: v1beta1.ServiceAllocation{NamespaceSelectors: []metav1.LabelSelector{label("team", "b")}},
			services: []service{{"red", "web", false}, {"blue", "web", true}}},
		{name: "names and selectors add up", pin: v1beta1.ServiceAllocation{
			Namespaces: []string{"red"}, NamespaceSelectors: []metav1.LabelSelector{label("team", "b")}},
			services: []service{{"red", "", true}, {"blue", "", true}, {"other", "", false}}},
		{name: "namespace selectors that match nobody", pin: v1beta1.ServiceAllocation{NamespaceSelectors: []metav1.LabelSelector{label("team", "x")}},
			services: []service{{"red", "web", false}, {"other", "", false}}},
		{name: "namespace selectors that match nobody, with service selectors", pin: v1beta1.ServiceAllocation{
			NamespaceSelectors: []metav1.LabelSelector{label("team", "x")}, ServiceSelectors: []metav1.LabelSelector{label("app", "web")}},
			services: []service{{"red", "web", false}}},
		{name: "service selectors", pin: v1beta1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{label("app", "web"), label("app", "shop")}},
			services: []service{{"red", "web", true}, {"other", "shop", true}, {"red", "db", false}}},
		{name: "namespaces and service selectors must both match", pin: v1beta1.ServiceAllocation{
			Namespaces: []string{"red"}, ServiceSelectors: []metav1.LabelSelector{label("app", "web")}},
			services: []service{{"red", "web", true}, {"red", "db", false}, {"blue", "web", false}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			pinned := pool("a", 0, "192.0.2.0/24")
			pinned.Spec.ServiceAllocation = &row.pin
			p := Compile(Objects{Pools: []v1beta1.IPAddressPool{pinned}, Namespaces: namespaces})
			pin := named(p, "a").Pin
			if pin == nil || pin.Priority != row.pin.Priority || len(p.Problems) > 0 {
				t.Fatalf("pin %+v, problems %v", pin, p.Problems)
			}
			for _, s := range row.services {
				if got := admits(pin, s.namespace, map[string]string{"app": s.app}); got != s.admitted {
					t.Errorf("%s in %s: admitted %t", s.app, s.namespace, got)
				}
			}
		})
	}
}

// admits reads a pin as package allocation documents it.
func admits(pin *allocation.Pin, namespace string, labels map[string]string) bool {
	if _, ok := pin.Namespaces[namespace]; pin.Namespaces != nil && !ok {
		return false
	}
	return pin.Services == nil || slices.ContainsFunc(pin.Services, func(m allocation.Matcher) bool { return m.Matches(labels) })
}

func TestBadSelectors(t *testing.T) {
	for _, row := range []struct {
		name   string
		pin    v1beta1.ServiceAllocation
		reason reason.Reason
	}{
		{"unknown operator", v1beta1.ServiceAllocation{NamespaceSelectors: []metav1.LabelSelector{expression("a", "Near", "b")}}, reason.InvalidSelector},
		{"In without values", v1beta1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{expression("a", metav1.LabelSelectorOpIn)}}, reason.InvalidSelector},
		{"bad key", v1beta1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{label("a b", "c")}}, reason.InvalidSelector},
		{"namespace twice", v1beta1.ServiceAllocation{Namespaces: []string{"a", "a"}}, reason.DuplicateEntry},
		{"selector twice", v1beta1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{label("a", "b"), label("a", "b")}}, reason.DuplicateEntry},
		{"value twice", v1beta1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{expression("a", metav1.LabelSelectorOpIn, "b", "b")}}, reason.DuplicateEntry},
		{"expression twice", v1beta1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "a", Operator: metav1.LabelSelectorOpIn, Values: []string{"b", "c"}}, {Key: "a", Operator: metav1.LabelSelectorOpIn, Values: []string{"c", "b"}},
		}}}}, reason.DuplicateEntry},
	} {
		t.Run(row.name, func(t *testing.T) {
			bad := pool("a", 0, "192.0.2.0/24")
			bad.Spec.ServiceAllocation = &row.pin
			p := Compile(Objects{Pools: []v1beta1.IPAddressPool{bad}})
			if problem, _ := p.ProblemOf(ObjectRef{KindIPAddressPool, "a"}); problem.Reason != row.reason || named(p, "a").Frozen == nil {
				t.Errorf("problem %+v, want %s", problem, row.reason)
			}
		})
	}
}

func TestPoolOf(t *testing.T) {
	avoiding := pool("avoiding", 0, "198.51.100.0/24", "2001:db8:1::/120")
	avoiding.Spec.AvoidBuggyIPs = true
	p := Compile(Objects{Pools: []v1beta1.IPAddressPool{
		pool("old", 0, "192.0.2.10-192.0.2.20", "2001:db8::/64"), avoiding,
		pool("young", 1, "192.0.2.20-192.0.2.30"), pool("unknown", 2, "nonsense"),
	}})
	for _, row := range []struct{ address, granted, want string }{
		{"192.0.2.9", "", ""}, {"192.0.2.10", "", "old"}, {"192.0.2.20", "", "old"}, {"192.0.2.21", "", "young"}, {"192.0.2.30", "", "young"},
		{"192.0.2.31", "", ""}, {"2001:db8::", "", "old"}, {"2001:db8:0:1::", "", ""},
		{"198.51.100.0", "", ""}, {"198.51.100.1", "", "avoiding"}, {"198.51.100.255", "", ""}, {"2001:db8:1::ff", "", "avoiding"},
		{"192.0.2.20", "young", "young"}, {"192.0.2.20", "old", "old"}, {"192.0.2.20", "gone", "old"},
		{"203.0.113.1", "unknown", "unknown"}, {"203.0.113.1", "old", ""},
	} {
		if got, ok := p.PoolHolding(netip.MustParseAddr(row.address), row.granted); got != row.want && ok {
			t.Errorf("%s granted by %q is of pool %q, want %q", row.address, row.granted, got, row.want)
		} else if ok != (row.want != "") {
			t.Errorf("%s granted by %q: %t, want pool %q", row.address, row.granted, ok, row.want)
		}
	}
}

func TestCompileDependsOnTheObjectsAlone(t *testing.T) {
	o := manyObjects()
	want := fmt.Sprint(summary(Compile(o)))
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		shuffle(random, o.Pools)
		shuffle(random, o.L2Advertisements)
		shuffle(random, o.BGPAdvertisements)
		shuffle(random, o.BGPPeers)
		shuffle(random, o.Communities)
		shuffle(random, o.BFDProfiles)
		if diff := cmp.Diff(want, fmt.Sprint(summary(Compile(o)))); diff != "" {
			t.Fatal(diff)
		}
	}
}

func shuffle[T any](random *rand.Rand, s []T) {
	random.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
}

// summary is everything that a policy answers, as text.
func summary(p *Policy) []string {
	var out []string
	for _, pool := range p.Pools {
		out = append(out, fmt.Sprintf("%s %s %v %v", pool.Name, text(pool.Ranges), pool.Frozen, pool.Pin))
		out = append(out, fmt.Sprint(p.L2(pool.Name, nil)), fmt.Sprint(p.BGP(pool.Name, nil)))
	}
	for _, peer := range p.Peers {
		out = append(out, fmt.Sprint(peer.Name, peer.Nodes, peer.BFD))
	}
	for _, problem := range slices.Concat(p.Problems, p.Notes) {
		out = append(out, fmt.Sprint(problem))
	}
	for i := range 256 {
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		of, ok := p.PoolOf(a)
		out = append(out, fmt.Sprint(a, of, ok))
	}
	return out
}

func BenchmarkPoolOf(b *testing.B) {
	var o Objects
	for i := range 100 {
		o.Pools = append(o.Pools, pool(fmt.Sprint("p", i), i, fmt.Sprintf("10.%d.0.0/17", i), fmt.Sprintf("10.%d.128.0/17", i)))
	}
	p := Compile(o)
	address := netip.MustParseAddr("10.77.200.1")
	for b.Loop() {
		p.PoolOf(address)
	}
}

func BenchmarkCompile(b *testing.B) {
	var o Objects
	for i := range 10 {
		big := pool(fmt.Sprint("p", i), i)
		for j := range 1000 {
			big.Spec.Addresses = append(big.Spec.Addresses, fmt.Sprintf("10.%d.%d.%d/30", i, j/60, j%60*4))
		}
		o.Pools = append(o.Pools, big)
	}
	for b.Loop() {
		Compile(o)
	}
}
