// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

func excluding(p v1beta1.IPAddressPool, entries ...string) v1beta1.IPAddressPool {
	p.Spec.Exclude = entries
	return p
}

func TestExclude(t *testing.T) {
	for _, row := range []struct {
		name   string
		pools  []v1beta1.IPAddressPool
		ranges string // of the last pool
		frozen reason.Reason
	}{
		{name: "an address, a range, a CIDR", pools: []v1beta1.IPAddressPool{excluding(pool("a", 0, "192.0.2.0/27"), "192.0.2.0", "192.0.2.4-192.0.2.9", "192.0.2.16/28")},
			ranges: "192.0.2.1-192.0.2.3 192.0.2.10-192.0.2.15"},
		{name: "in the order of the entries", pools: []v1beta1.IPAddressPool{excluding(pool("a", 0, "192.0.2.8/30", "192.0.2.0/30"), "192.0.2.9", "192.0.2.1")},
			ranges: "192.0.2.8-192.0.2.8 192.0.2.10-192.0.2.11 192.0.2.0-192.0.2.0 192.0.2.2-192.0.2.3"},
		{name: "overlapping exclusions", pools: []v1beta1.IPAddressPool{excluding(pool("a", 0, "192.0.2.0/29"), "192.0.2.1-192.0.2.4", "192.0.2.3-192.0.2.6")},
			ranges: "192.0.2.0-192.0.2.0 192.0.2.7-192.0.2.7"},
		{name: "outside of the pool", pools: []v1beta1.IPAddressPool{excluding(pool("a", 0, "192.0.2.0/30"), "198.51.100.1", "2001:db8::/64")},
			ranges: "192.0.2.0-192.0.2.3"},
		{name: "everything", pools: []v1beta1.IPAddressPool{excluding(pool("a", 0, "192.0.2.0/30"), "192.0.2.0/24")}},
		{name: "of IPv6", pools: []v1beta1.IPAddressPool{excluding(pool("a", 0, "2001:db8::/126"), "2001:db8::1")}, ranges: "2001:db8::-2001:db8:: 2001:db8::2-2001:db8::3"},
		{name: "another pool may have them", pools: []v1beta1.IPAddressPool{excluding(pool("a", 0, "192.0.2.0/24"), "192.0.2.128/25"), pool("b", 1, "192.0.2.128/25")},
			ranges: "192.0.2.128-192.0.2.255"},
		{name: "cannot be read", pools: []v1beta1.IPAddressPool{excluding(pool("a", 0, "192.0.2.0/30"), "fred")},
			ranges: "192.0.2.0-192.0.2.3", frozen: reason.InvalidAddressRange},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := Compile(Objects{Pools: row.pools})
			last := row.pools[len(row.pools)-1].Name
			problem, _ := p.ProblemOf(ObjectRef{KindIPAddressPool, last})
			if got := text(named(p, last).Ranges); got != row.ranges || problem.Reason != row.frozen {
				t.Errorf("got %q, problem %q, want %q, %q", got, problem.Detail, row.ranges, row.frozen)
			}
		})
	}
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func reservation(name string, age int, change func(*v1beta1.IPReservation)) v1beta1.IPReservation {
	r := v1beta1.IPReservation{ObjectMeta: born(name, age)}
	change(&r)
	return r
}

func naming(addresses ...string) func(*v1beta1.IPReservation) {
	return func(r *v1beta1.IPReservation) { r.Spec.Addresses = addresses }
}

func TestReservations(t *testing.T) {
	at := func(minutes int) *metav1.Time {
		return &metav1.Time{Time: noon.Add(time.Duration(minutes) * time.Minute)}
	}
	follows := func(r *v1beta1.IPReservation) {
		r.Spec.Service = &v1beta1.ServiceReference{Namespace: "shop", Name: "web"}
		r.Status.Addresses = []string{"192.0.2.9"}
	}
	for _, row := range []struct {
		name         string
		reservations []v1beta1.IPReservation
		want         string
		problem      reason.Reason // of the last reservation
		wake         *metav1.Time
	}{
		{name: "addresses of all forms", reservations: []v1beta1.IPReservation{reservation("r", 0, naming("192.0.2.1", "192.0.2.4-192.0.2.5", "2001:db8::/127"))},
			want: "r: 192.0.2.1-192.0.2.1 192.0.2.4-192.0.2.5 2001:db8::-2001:db8::1"},
		{name: "the older one has the common address", reservations: []v1beta1.IPReservation{
			reservation("b", 0, naming("192.0.2.1-192.0.2.3")), reservation("a", 1, naming("192.0.2.2-192.0.2.5"))},
			want: "a: 192.0.2.4-192.0.2.5, b: 192.0.2.1-192.0.2.3", problem: reason.ReservationOverlap},
		{name: "a bad entry leaves the others", reservations: []v1beta1.IPReservation{reservation("r", 0, naming("fred", "192.0.2.1"))},
			want: "r: 192.0.2.1-192.0.2.1", problem: reason.InvalidAddressRange},
		{name: "twice in one", reservations: []v1beta1.IPReservation{reservation("r", 0, naming("192.0.2.1", "192.0.2.1"))}, want: "r: 192.0.2.1-192.0.2.1"},
		{name: "what the Service has", reservations: []v1beta1.IPReservation{reservation("r", 0, follows)}, want: "r for shop/web: 192.0.2.9-192.0.2.9"},
		{name: "nothing yet", reservations: []v1beta1.IPReservation{reservation("r", 0, func(r *v1beta1.IPReservation) {
			r.Spec.Service = &v1beta1.ServiceReference{Namespace: "shop", Name: "web"}
		})}},
		{name: "ends later", reservations: []v1beta1.IPReservation{reservation("r", 0, func(r *v1beta1.IPReservation) { follows(r); r.Spec.ExpiresAt = at(1) })},
			want: "r for shop/web: 192.0.2.9-192.0.2.9", wake: at(1)},
		{name: "has ended", reservations: []v1beta1.IPReservation{reservation("r", 0, func(r *v1beta1.IPReservation) { follows(r); r.Spec.ExpiresAt = at(0) })}},
		{name: "in use, so keepFor does not count", reservations: []v1beta1.IPReservation{reservation("r", 0, func(r *v1beta1.IPReservation) {
			follows(r)
			r.Spec.KeepFor = &metav1.Duration{Duration: time.Minute}
		})}, want: "r for shop/web: 192.0.2.9-192.0.2.9"},
		{name: "unused for a while", reservations: []v1beta1.IPReservation{reservation("r", 0, func(r *v1beta1.IPReservation) {
			follows(r)
			r.Spec.KeepFor, r.Spec.ExpiresAt, r.Status.UnusedSince = &metav1.Duration{Duration: 2 * time.Minute}, at(5), at(-1)
		})}, want: "r for shop/web: 192.0.2.9-192.0.2.9", wake: at(1)},
		{name: "unused for too long", reservations: []v1beta1.IPReservation{reservation("r", 0, func(r *v1beta1.IPReservation) {
			follows(r)
			r.Spec.KeepFor, r.Status.UnusedSince = &metav1.Duration{Duration: time.Minute}, at(-1)
		})}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := Compile(Objects{Reservations: row.reservations, Now: noon})
			problem, _ := p.ProblemOf(ObjectRef{KindIPReservation, row.reservations[len(row.reservations)-1].Name})
			if got := kept(p); got != row.want || problem.Reason != row.problem {
				t.Errorf("got %q, problem %v, want %q, %q", got, problem, row.want, row.problem)
			}
			if (row.wake != nil || !p.Wake.IsZero()) && !p.Wake.Equal(row.wake.Time) {
				t.Errorf("wakes at %v, want %v", p.Wake, row.wake)
			}
		})
	}
}

func kept(p *Policy) string {
	var list []string
	for _, r := range p.Reservations {
		name := r.Name
		if r.For != nil {
			name += " for " + r.For.String()
		}
		list = append(list, fmt.Sprintf("%s: %s", name, text(r.Ranges)))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
