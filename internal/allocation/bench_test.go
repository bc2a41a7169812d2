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
