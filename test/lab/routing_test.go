// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestNextHops(t *testing.T) {
	one, two := net.ParseIP("10.89.0.11"), net.ParseIP("10.89.0.12")
	for name, row := range map[string]struct {
		routes []netlink.Route
		want   string
	}{
		"none":          {nil, "[]"},
		"one":           {[]netlink.Route{{Gw: one}}, "[10.89.0.11]"},
		"several":       {[]netlink.Route{{MultiPath: []*netlink.NexthopInfo{{Gw: two}, {Gw: one}}}}, "[10.89.0.11 10.89.0.12]"},
		"IPv6 for IPv4": {[]netlink.Route{{Via: &netlink.Via{Addr: net.ParseIP("fe80::1")}}}, "[fe80::1]"},
		"mixed": {[]netlink.Route{{MultiPath: []*netlink.NexthopInfo{
			{Via: &netlink.Via{Addr: net.ParseIP("fe80::2")}}, {Via: &netlink.Via{Addr: net.ParseIP("fe80::1")}}}}}, "[fe80::1 fe80::2]"},
		"one by route": {[]netlink.Route{{Gw: two}, {Gw: one}, {Gw: one}}, "[10.89.0.11 10.89.0.12]"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fmt.Sprint(nextHops(row.routes)); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}
