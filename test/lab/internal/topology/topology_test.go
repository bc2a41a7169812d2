// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func inputs(nodes int) Inputs { return Inputs{Nodes: nodes, APIServers: 1, ProxyMode: "nftables"} }

func TestValidate(t *testing.T) {
	for name, row := range map[string]struct {
		inputs Inputs
		want   string
	}{
		"default":          {inputs(3), ""},
		"one node":         {inputs(1), ""},
		"most nodes":       {inputs(MaxNodes), ""},
		"no node":          {inputs(0), "NODES=0"},
		"too many nodes":   {inputs(MaxNodes + 1), "NODES=51"},
		"no API server":    {Inputs{3, 0, "nftables"}, "API_SERVERS=0"},
		"many API servers": {Inputs{3, 3, "nftables"}, "API_SERVERS=3: the lab has one"},
		"unknown proxy":    {Inputs{3, 1, "ipvs"}, "PROXY_MODE=ipvs"},
	} {
		t.Run(name, func(t *testing.T) {
			err := row.inputs.Validate()
			if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

func TestHostsHaveAddressesOfTheirOwnOutsideThePools(t *testing.T) {
	seen := map[netip.Addr]string{}
	for _, host := range inputs(MaxNodes).Hosts() {
		for subnet, address := range map[netip.Prefix]netip.Addr{Subnet4: host.Addr4(), Subnet6: host.Addr6(), Second4: host.Second4(), Second6: host.Second6()} {
			if other, ok := seen[address]; ok {
				t.Errorf("%s and %s share %s", host.Name, other, address)
			}
			seen[address] = host.Name
			if !subnet.Contains(address) {
				t.Errorf("%s of %s is not in %s", address, host.Name, subnet)
			}
			for _, pool := range []netip.Prefix{Pool4, Pool6, SecondP4, SecondP6} {
				if pool.Contains(address) {
					t.Errorf("%s of %s is in pool %s", address, host.Name, pool)
				}
			}
		}
	}
}

func TestPoolsAreLargeAndOnTheirSegment(t *testing.T) {
	for pool, subnet := range map[netip.Prefix]netip.Prefix{Pool4: Subnet4, Pool6: Subnet6, SecondP4: Second4, SecondP6: Second6} {
		if !subnet.Overlaps(pool) || pool.Bits() <= subnet.Bits() || pool != pool.Masked() {
			t.Errorf("pool %s is no part of %s", pool, subnet)
		}
		if pool.Addr().BitLen()-pool.Bits() < 14 {
			t.Errorf("pool %s has fewer than 16,384 addresses", pool)
		}
	}
}

func TestPodsOfNodesDoNotOverlap(t *testing.T) {
	nodes := inputs(MaxNodes).NodeList()
	for i, node := range nodes {
		if !Pods4.Overlaps(node.Pods4()) || !Pods6.Overlaps(node.Pods6()) {
			t.Errorf("pods of %s are outside the cluster's", node.Name)
		}
		for _, other := range nodes[i+1:] {
			if node.Pods4().Overlaps(other.Pods4()) || node.Pods6().Overlaps(other.Pods6()) {
				t.Errorf("pods of %s and %s overlap", node.Name, other.Name)
			}
		}
	}
}

func TestPodRoutesLeadToEveryOtherNode(t *testing.T) {
	in := inputs(3)
	lines := in.PodRouteScript(in.NodeList()[1].Host)
	want := []string{
		"route add 10.244.1.0/24 via 10.89.0.11", "route add fd44:0:0:1::/64 via fd89::11",
		"route add 10.244.3.0/24 via 10.89.0.13", "route add fd44:0:0:3::/64 via fd89::13",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
}

func TestEachNodeHasALinkOfItsOwnToTheRouter(t *testing.T) {
	lines := inputs(2).RouterScript()
	for _, want := range []string{
		"link add p-n1 address 02:00:00:89:03:0b type veth peer name tor0 address 02:00:00:89:02:0b netns n1",
		"link add p-n2 address 02:00:00:89:03:0c type veth peer name tor0 address 02:00:00:89:02:0c netns n2",
		"addr add 10.88.0.254/32 dev lo", "addr add fd88::254/128 dev lo nodad",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q is not among %q", want, lines)
		}
	}
}

func TestRoutedPoolsAreOnNoSegment(t *testing.T) {
	for _, pool := range []netip.Prefix{Routed4, Routed6} {
		for _, subnet := range []netip.Prefix{Subnet4, Subnet6, Second4, Second6, Behind4, Behind6, Pods4, Pods6, Services4, Services6} {
			if pool.Overlaps(subnet) {
				t.Errorf("%s and %s overlap", pool, subnet)
			}
		}
	}
}

func TestOnlyTheRouterHasNoDefaultRoute(t *testing.T) {
	for _, host := range inputs(2).Hosts() {
		has := slices.Contains(HostScript(host), "route add default via 10.89.0.254")
		if has == (host.Name == Router) {
			t.Errorf("default route of %s: %t", host.Name, has)
		}
	}
}
