// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"fmt"
	"testing"

	"go4.org/netipx"
)

// BenchmarkNearlyFull measures a release and a grant in a /12 of which all but a thousand addresses are in use.
func BenchmarkNearlyFull(b *testing.B) {
	a := New()
	a.SetPools([]Pool{{Name: "big", AutoAssign: true, Ranges: []netipx.IPRange{netipx.MustParseIPRange("10.16.0.0-10.31.255.255")}}})
	services := make([]Service, 1<<20-1000)
	for i := range services {
		services[i] = Service{
			Key: Key{"bench", fmt.Sprintf("s%07d", i)}, Families: []Family{IPv4}, Ports: []Port{{"TCP", 80}},
		}
		if d := a.Decide(services[i]); d.Problem != nil {
			b.Fatal(d.Problem)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		s := services[(i*7919)%len(services)]
		a.Release(s.Key)
		if d := a.Decide(s); len(d.Addresses) != 1 {
			b.Fatal(d.Problem)
		}
	}
	b.ReportMetric(2*float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}

// BenchmarkHugePools measures grants from pools that are far larger than what is in use, and the memory that a grant costs.
func BenchmarkHugePools(b *testing.B) {
	for _, row := range []struct {
		name, ranges string
		family       Family
	}{
		{"IPv4-8", "10.0.0.0-10.255.255.255", IPv4},
		{"IPv6-48", "2001:db8::-2001:db8:0:ffff:ffff:ffff:ffff:ffff", IPv6},
	} {
		b.Run(row.name, func(b *testing.B) {
			a := New()
			a.SetPools([]Pool{{Name: "huge", AutoAssign: true, Ranges: []netipx.IPRange{netipx.MustParseIPRange(row.ranges)}}})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s := Service{Key: Key{"bench", fmt.Sprintf("s%07d", i)}, Families: []Family{row.family}, Ports: []Port{{"TCP", 80}}}
				if d := a.Decide(s); len(d.Addresses) != 1 {
					b.Fatal(d.Problem)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "grants/s")
		})
	}
}

// BenchmarkUnchanged measures the decision that changes nothing, which is what most events lead to.
func BenchmarkUnchanged(b *testing.B) {
	a := New()
	a.SetPools([]Pool{{Name: "big", AutoAssign: true, Ranges: []netipx.IPRange{netipx.MustParseIPRange("10.16.0.0-10.31.255.255")}}})
	s := Service{Key: Key{"bench", "one"}, Families: []Family{IPv4}, Ports: []Port{{"TCP", 80}}}
	b.ReportAllocs()
	for b.Loop() {
		a.Decide(s)
	}
}
