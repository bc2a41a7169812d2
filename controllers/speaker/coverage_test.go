// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/announcers"
	"metalsuite.io/api/v1beta1"
)

func TestCoverage(t *testing.T) {
	aged := func(p v1beta1.IPAddressPool, second int64) v1beta1.IPAddressPool {
		p.CreationTimestamp = metav1.Unix(second, 0)
		return p
	}
	for _, row := range []struct {
		name      string
		pools     []v1beta1.IPAddressPool
		addresses []string
		want      string
	}{
		{"no pool, nothing known", nil, nil, "[]"},
		{"sorted, adjacent ones joined", []v1beta1.IPAddressPool{pool("b", "2001:db8::/64", "192.0.2.128/25"), pool("a", "192.0.2.0/25")}, nil,
			"[192.0.2.0/24 2001:db8::/64]"},
		{"a range as prefixes", []v1beta1.IPAddressPool{pool("a", "192.0.2.10-192.0.2.12")}, nil, "[192.0.2.10/31 192.0.2.12/32]"},
		{"a frozen pool too", []v1beta1.IPAddressPool{aged(pool("a", "192.0.2.0/24"), 1), aged(pool("b", "192.0.2.0/25", "198.51.100.0/24"), 2)}, nil,
			"[192.0.2.0/24 198.51.100.0/24]"},
		{"an address of a pool adds nothing", []v1beta1.IPAddressPool{pool("a", "192.0.2.0/24")}, []string{"192.0.2.10"}, "[192.0.2.0/24]"},
		{"an address whose pool nobody can read", []v1beta1.IPAddressPool{pool("a", "192.0.2.0/24"), pool("b", "garbled")}, []string{"192.0.2.10", "198.51.100.7", "10.0.0.1", "2001:db8::1"},
			"[10.0.0.1/32 192.0.2.0/24 198.51.100.7/32 2001:db8::1/128]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var c coverage
			c.update(compile(row.pools, nil))
			var addresses []announcers.Address
			for _, a := range row.addresses {
				addresses = append(addresses, announcers.Address{Addr: netip.MustParseAddr(a)})
			}
			pools := fmt.Sprint(c.including(nil))
			if got := fmt.Sprint(c.including(addresses)); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
			if again := fmt.Sprint(c.including(nil)); again != pools {
				t.Errorf("the prefixes of the pools became %s, they were %s", again, pools)
			}
		})
	}
}

func TestCoverageFollowsThePolicyAlone(t *testing.T) {
	var c coverage
	one := compile([]v1beta1.IPAddressPool{pool("a", "192.0.2.0/24")}, nil)
	c.update(one)
	before := &c.prefixes[0]
	c.update(one)
	if before != &c.prefixes[0] {
		t.Error("computed again for the same policy")
	}
	c.update(compile([]v1beta1.IPAddressPool{pool("a", "192.0.2.0/25")}, nil))
	if fmt.Sprint(c.prefixes) != "[192.0.2.0/25]" {
		t.Errorf("got %v for another policy", c.prefixes)
	}
}

func TestSoonest(t *testing.T) {
	for _, row := range []struct {
		name  string
		waits []time.Duration
		want  time.Duration
	}{
		{"nothing pending", []time.Duration{0, 0}, 0},
		{"one pending", []time.Duration{0, 2, 0}, 2},
		{"the first of several", []time.Duration{3, 2, 4}, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := soonest(row.waits...); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}
