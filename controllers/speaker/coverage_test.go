// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"net/netip"
	"strings"
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
			pools := fmt.Sprint(c.including(nil, nil))
			if got := fmt.Sprint(c.including(addresses, nil)); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
			if again := fmt.Sprint(c.including(nil, nil)); again != pools {
				t.Errorf("the prefixes of the pools became %s, they were %s", again, pools)
			}
		})
	}
}

func TestAddressesOfServicesAreCoveredWhileNobodyCanReadAPool(t *testing.T) {
	services := []Service{service("a", "192.0.2.10", "2001:db8::1"), service("b", "198.51.100.7"), service("c", "198.51.100.7")}
	desired := []announcers.Address{{Addr: netip.MustParseAddr("198.51.100.7")}}
	for want, pools := range map[string][]v1beta1.IPAddressPool{
		"[192.0.2.0/24 198.51.100.7/32]":                 {pool("a", "192.0.2.0/24")},
		"[192.0.2.0/24 198.51.100.7/32 2001:db8::1/128]": {pool("a", "192.0.2.0/24"), pool("b", "garbled")},
	} {
		var c coverage
		c.update(compile(pools, nil))
		if got := fmt.Sprint(c.including(desired, services)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
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

func TestWhichSubnetsAreTold(t *testing.T) {
	for _, row := range []struct {
		name, subnets, want string
		pools               []v1beta1.IPAddressPool
	}{
		{"those that a pool is on", "10.0.0.0/8 192.0.2.0/24 2001:db8::/64", "[192.0.2.0/24]", []v1beta1.IPAddressPool{pool("a", "192.0.2.16/28")}},
		{"also if only a part of a pool is on it", "192.0.2.0/28 198.51.100.0/24", "[192.0.2.0/28]", []v1beta1.IPAddressPool{pool("a", "192.0.2.0/24")}},
		{"none twice, as part of another one", "192.0.2.0/24 192.0.2.0/28 192.0.2.7/32 198.51.100.0/24", "[192.0.2.0/24 198.51.100.0/24]",
			[]v1beta1.IPAddressPool{pool("a", "192.0.2.0/24", "198.51.100.0/24")}},
		{"none without a pool", "192.0.2.0/24", "[]", nil},
		{"all while nobody can read a pool", "10.0.0.0/8 192.0.2.0/24", "[10.0.0.0/8 192.0.2.0/24]", []v1beta1.IPAddressPool{pool("a", "192.0.2.0/24"), pool("b", "garbled")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var subnets []netip.Prefix
			for _, text := range strings.Fields(row.subnets) {
				subnets = append(subnets, netip.MustParsePrefix(text))
			}
			var c coverage
			c.update(compile(row.pools, nil))
			if got := fmt.Sprint(c.within(subnets)); got != row.want {
				t.Errorf("told are %s, want %s", got, row.want)
			}
		})
	}
	var many []netip.Prefix
	for i := range 2 * mostSubnets {
		many = append(many, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 0}), 24))
	}
	var c coverage
	c.update(compile([]v1beta1.IPAddressPool{pool("a", "10.0.0.0/8")}, nil))
	if got := c.within(many); len(got) != mostSubnets || got[0] != many[0] {
		t.Errorf("of many %v are told", got)
	}
}
