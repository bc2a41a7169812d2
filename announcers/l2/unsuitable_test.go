// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/api/reason"
)

func TestEdgesOfTheSubnetsOfInterfaces(t *testing.T) {
	pool := func(p *port) { p.onLink = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/26")} }
	for _, row := range []struct {
		name   string
		links  []link.Link
		change func(*port)
		want   string
	}{
		{"IPv4", []link.Link{ethernet("eth0", 2, on("192.0.2.5/26"))}, nil, "192.0.2.0 NetworkAddress, 192.0.2.63 BroadcastAddress"},
		{"IPv6", []link.Link{ethernet("eth0", 2, on("2001:db8::5/64"))}, nil, "2001:db8:: SubnetRouterAnycastAddress"},
		{"two subnets, one in the other", []link.Link{ethernet("eth0", 2, on("192.0.2.5/24"), on("192.0.2.6/30"))}, nil,
			"192.0.2.0 NetworkAddress, 192.0.2.4 NetworkAddress, 192.0.2.7 BroadcastAddress, 192.0.2.255 BroadcastAddress"},
		{"subnets of four addresses", []link.Link{ethernet("eth0", 2, on("192.0.2.5/30"), on("2001:db8::5/126"))}, nil,
			"192.0.2.4 NetworkAddress, 192.0.2.7 BroadcastAddress, 2001:db8::4 SubnetRouterAnycastAddress"},
		{"subnets of two addresses (RFC 3021, RFC 6164)", []link.Link{ethernet("eth0", 2, on("192.0.2.5/31"), on("2001:db8::5/127"))}, nil, ""},
		{"host addresses", []link.Link{ethernet("eth0", 2, has(first), has(six))}, nil, ""},
		{"a route to a pool", []link.Link{ethernet("eth0", 2)}, pool, ""},
		{"without carrier", []link.Link{ethernet("eth0", 2, noCarrier, on("192.0.2.5/26"))}, nil, "192.0.2.0 NetworkAddress, 192.0.2.63 BroadcastAddress"},
		{"an interface that is never announced on", []link.Link{ethernet("veth3f", 2, on("192.0.2.5/26")), ethernet("wg0", 3, noARP, on("192.0.2.70/26"))}, nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			ports := inspectAll(t, row.links)
			if row.change != nil {
				row.change(&ports[0])
			}
			if got := listed(subnetEdges(ports)); got != row.want {
				t.Errorf("edges are %q, want %q", got, row.want)
			}
		})
	}
}

func TestAnEdgeIsToldWithItsSubnetAndInterface(t *testing.T) {
	edges := subnetEdges(inspectAll(t, []link.Link{ethernet("eth0", 2, on("2001:db8::5/64")), ethernet("eth1", 3, on("2001:db8::6/64"))}))
	const want = "2001:db8:: is the subnet-router anycast address of 2001:db8::/64 on interface eth0"
	if got := edges[netip.MustParseAddr("2001:db8::")]; got == nil || got.Detail != want {
		t.Errorf("told is %v, want %q", got, want)
	}
}

func TestAddressesThatNoServiceIsToGetBecauseOfTheNode(t *testing.T) {
	hop, internalHop := netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("192.0.2.78")
	ports := inspectAll(t, []link.Link{
		ethernet("eth0", 2, on("192.0.2.0/26"), has(second)), ethernet("kube-ipvs0", 4, dummy, has(first), has(internalHop)), ethernet("lo", 1, loopback, has(second)),
	})
	got := listed(unsuitable(subnetEdges(ports), localAddresses(ports), set([]netip.Addr{hop, internalHop})))
	// The address of the interface is the network address of its subnet as well: the use counts.
	const want = "192.0.2.0 LocalAddress, 192.0.2.2 LocalAddress, 192.0.2.63 BroadcastAddress, 192.0.2.77 NextHopAddress, 192.0.2.78 NextHopAddress"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func listed(all map[netip.Addr]*reason.Problem) string {
	var texts []string
	for _, a := range slices.SortedFunc(maps.Keys(all), netip.Addr.Compare) {
		texts = append(texts, fmt.Sprint(a, " ", all[a].Reason))
	}
	return strings.Join(texts, ", ")
}
