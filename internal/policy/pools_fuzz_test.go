// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
)

// FuzzPools gives each line of a text to a pool, its words being addresses. Whatever they are: no two pools that grant have an address in
// common, every pool that grants is found by its addresses, and the order in which the pools are read changes nothing.
func FuzzPools(f *testing.F) {
	for _, seed := range []string{
		"192.0.2.0/24\n192.0.2.128/25", "192.0.2.9-192.0.2.1\n192.0.2.0/28", "10.0.0.0/8 10.1.0.0/16", "2001:db8::/64\n2001:db8::1-2001:db8::9\n2001:db8::5/128",
		"\n", "0.0.0.0/0\n255.255.255.255/32\n::/0", "192.0.2.1-192.0.2.5 192.0.2.4-192.0.2.9\n192.0.2.5/32",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pools := poolsOf(text)
		p := Compile(Objects{Pools: pools})
		for i := range p.Pools {
			for _, r := range p.Pools[i].Ranges {
				if !r.IsValid() {
					t.Fatalf("pool %s has the range %s", p.Pools[i].Name, r)
				}
				if p.Pools[i].Frozen != nil {
					continue
				}
				if name, ok := p.PoolOf(r.From()); !ok || name != p.Pools[i].Name {
					t.Fatalf("%s of pool %s is found in %q", r.From(), p.Pools[i].Name, name)
				}
				for _, other := range p.Pools[:i] {
					for _, o := range other.Ranges {
						if other.Frozen == nil && o.Overlaps(r) {
							t.Fatalf("%s of pool %s and %s of pool %s", r, p.Pools[i].Name, o, other.Name)
						}
					}
				}
			}
		}
		slices.Reverse(pools)
		if again := Compile(Objects{Pools: pools}); fmt.Sprint(again.Pools, again.Problems) != fmt.Sprint(p.Pools, p.Problems) {
			t.Fatalf("read backwards %v %v, want %v %v", again.Pools, again.Problems, p.Pools, p.Problems)
		}
	})
}

func poolsOf(text string) []v1beta1.IPAddressPool {
	var pools []v1beta1.IPAddressPool
	for i, line := range strings.Split(text, "\n") {
		pools = append(pools, v1beta1.IPAddressPool{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i), CreationTimestamp: metav1.NewTime(time.Unix(int64(i/2), 0))},
			Spec:       v1beta1.IPAddressPoolSpec{Addresses: strings.Fields(line)},
		})
	}
	return pools
}
