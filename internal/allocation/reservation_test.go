// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"math"
	"net/netip"
	"strings"
	"testing"

	"metalsuite.io/api/reason"
)

func keeps(name, ranges string, owner ...string) Reservation {
	r := Reservation{Name: name, Ranges: pool("", strings.Fields(ranges)...).Ranges}
	if len(owner) > 0 {
		r.For = &Key{"default", owner[0]}
	}
	return r
}

func TestReservations(t *testing.T) {
	four, six := "192.0.2.1-192.0.2.4", "2001:db8::1-2001:db8::4"
	tests := []struct {
		name         string
		pools        []Pool
		reservations []Reservation
		before       []Service
		service      Service
		want         string
		wantPool     string
		problem      reason.Reason
		says         string
	}{
		{name: "kept from everybody", pools: []Pool{pool("a", four)}, reservations: []Reservation{keeps("r", "192.0.2.1-192.0.2.2")},
			service: service("s"), want: "192.0.2.3", wantPool: "a"},
		{name: "kept in the middle", pools: []Pool{pool("a", four)}, reservations: []Reservation{keeps("r", "192.0.2.2-192.0.2.3")},
			before: []Service{service("x")}, service: service("s"), want: "192.0.2.4", wantPool: "a"},
		{name: "not even on request", pools: []Pool{pool("a", four)}, reservations: []Reservation{keeps("r", "192.0.2.1-192.0.2.2")},
			service: service("s", asks("192.0.2.2")), problem: reason.AddressReserved, says: "192.0.2.2 is reserved by IPReservation r"},
		{name: "exhausted says who keeps", pools: []Pool{pool("a", four)}, reservations: []Reservation{keeps("r", four)},
			service: service("s"), problem: reason.PoolExhausted, says: "reserved by IPReservation r"},
		{name: "first to whom it is for", pools: []Pool{pool("a", four)}, reservations: []Reservation{keeps("r", "192.0.2.3-192.0.2.4", "s")},
			service: service("s"), want: "192.0.2.3", wantPool: "a"},
		{name: "on request to whom it is for", pools: []Pool{pool("a", four)}, reservations: []Reservation{keeps("r", "192.0.2.3-192.0.2.4", "s")},
			service: service("s", asks("192.0.2.4")), want: "192.0.2.4", wantPool: "a"},
		{name: "kept from others", pools: []Pool{pool("a", four)}, reservations: []Reservation{keeps("r", "192.0.2.1-192.0.2.4", "other")},
			service: service("s"), problem: reason.PoolExhausted},
		{name: "from a pool that is not assigned by itself", pools: []Pool{pool("a", four), manual(pool("b", "198.51.100.1-198.51.100.1"))},
			reservations: []Reservation{keeps("r", "198.51.100.1-198.51.100.1", "s")}, service: service("s"), want: "198.51.100.1", wantPool: "b"},
		{name: "not from a pool for others", pools: []Pool{pool("a", four), pinned(pool("b", "198.51.100.1-198.51.100.1"), 1, "elsewhere")},
			reservations: []Reservation{keeps("r", "198.51.100.1-198.51.100.1", "s")}, service: service("s"), want: "192.0.2.1", wantPool: "a"},
		{name: "another when no pool has it", pools: []Pool{pool("a", four)}, reservations: []Reservation{keeps("r", "192.0.2.7-192.0.2.7", "s")},
			service: service("s"), want: "192.0.2.1", wantPool: "a"},
		{name: "both families", pools: []Pool{pool("a", four, six)}, reservations: []Reservation{keeps("r", "192.0.2.4-192.0.2.4 2001:db8::3-2001:db8::3", "s")},
			service: service("s", families(IPv6, IPv4), policy(RequireDualStack)), want: "2001:db8::3 192.0.2.4", wantPool: "a"},
		{name: "one family, the other as usual", pools: []Pool{pool("a", four, six)}, reservations: []Reservation{keeps("r", "2001:db8::3-2001:db8::3", "s")},
			service: service("s", families(IPv4, IPv6), policy(PreferDualStack)), want: "192.0.2.1 2001:db8::3", wantPool: "a"},
		{name: "who may share may join", pools: []Pool{pool("a", four)}, reservations: []Reservation{keeps("r", four, "x")},
			before: []Service{service("x", shares("k", ""), port(1))}, service: service("s", shares("k", ""), port(2)), want: "192.0.2.1", wantPool: "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := New()
			a.SetPools(tt.pools)
			a.SetReservations(tt.reservations)
			for _, s := range tt.before {
				a.Decide(s)
			}
			d := a.Decide(tt.service)
			if texts(d.Addresses) != tt.want || d.Pool != tt.wantPool || reasonOf(d.Problem) != tt.problem {
				t.Errorf("got %q of %q (%v), want %q of %q (%s)", texts(d.Addresses), d.Pool, d.Problem, tt.want, tt.wantPool, tt.problem)
			}
			if d.Problem != nil && !strings.Contains(d.Problem.Message(), tt.says) {
				t.Errorf("says %q, want %q", d.Problem.Message(), tt.says)
			}
		})
	}
}

func TestAReservationTakesNothingAway(t *testing.T) {
	a := New()
	a.SetPools([]Pool{pool("a", "192.0.2.1-192.0.2.4")})
	a.Decide(service("s"))
	a.SetReservations([]Reservation{keeps("r", "192.0.2.1-192.0.2.2", "other")})
	if d := a.Decide(service("s")); texts(d.Addresses) != "192.0.2.1" || d.Problem != nil {
		t.Fatalf("got %v (%v)", d.Addresses, d.Problem)
	}
	if c, _ := a.Counts("a"); c != (Counts{AssignedIPv4: 1, AvailableIPv4: 2, ReservedIPv4: 1}) {
		t.Fatalf("counts %+v", c)
	}
	a.Release(service("s").Key)
	if d := a.Decide(service("s")); texts(d.Addresses) != "192.0.2.3" {
		t.Fatalf("got %v after the release, want the first that is not kept", d.Addresses)
	}
	a.SetReservations(nil)
	if d := a.Decide(service("t")); texts(d.Addresses) != "192.0.2.1" {
		t.Fatalf("got %v after the reservation ended", d.Addresses)
	}
}

func TestAHugeReservationIsNotWalked(t *testing.T) {
	a := New()
	a.SetPools([]Pool{pool("a", "2001:db8::-2001:db8::ffff:ffff:ffff:ffff")})
	a.SetReservations([]Reservation{keeps("r", "2001:db8::1-2001:db8::ffff:ffff:ffff:fffe")})
	for _, want := range []string{"2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"} {
		if d := a.Decide(service("s"+want[len(want)-1:], families(IPv6))); texts(d.Addresses) != want {
			t.Fatalf("got %v, want %s", d.Addresses, want)
		}
	}
	if c, _ := a.Counts("a"); c.ReservedIPv6 != math.MaxInt64 || c.AvailableIPv6 != 0 {
		t.Fatalf("counts %+v", c)
	}
}

func TestRefusalNamesExclusion(t *testing.T) {
	a := New()
	p := pool("a", "192.0.2.1-192.0.2.4")
	p.Excluded = pool("", "192.0.2.5-192.0.2.9").Ranges
	a.SetPools([]Pool{p})
	d := a.Decide(service("s", asks(netip.MustParseAddr("192.0.2.7").String())))
	if reasonOf(d.Problem) != reason.AddressNotInPool || !strings.Contains(d.Problem.Message(), "pool a excludes 192.0.2.7 (spec.exclude)") {
		t.Fatalf("got %v", d.Problem)
	}
}

func TestAReservedAddressIsSharedAgainAtTheReturn(t *testing.T) {
	a := New()
	a.SetPools([]Pool{pool("a", "192.0.2.1-192.0.2.4")})
	a.Decide(service("s", shares("k", ""), port(1), asks("192.0.2.3")))
	a.Decide(service("x", shares("k", ""), port(2), asks("192.0.2.3")))
	a.SetReservations([]Reservation{keeps("r", "192.0.2.3-192.0.2.3", "s")})
	a.Release(service("s").Key)
	if d := a.Decide(service("y", shares("k", ""), port(3))); texts(d.Addresses) != "192.0.2.1" {
		t.Fatalf("another one got %v, want the first", d.Addresses)
	}
	if d := a.Decide(service("s", shares("k", ""), port(1))); texts(d.Addresses) != "192.0.2.3" {
		t.Fatalf("got %v at the return, want the reserved one", d.Addresses)
	}
}
