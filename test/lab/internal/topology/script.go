// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"net/netip"
)

// SegmentScript is the input of `ip -batch` in the segment's namespace: the two bridges.
func SegmentScript() []string {
	return []string{
		"link set lo up",
		"link add br0 type bridge stp_state 0 mcast_snooping 0",
		"link set br0 up",
		"link add br1 type bridge stp_state 0 mcast_snooping 0",
		"link set br1 up",
	}
}

// PortScript is the input of `ip -batch` in the segment's namespace that gives a host its links. Links are made with both ends where they belong, so the
// machine's own namespace never sees them.
func PortScript(h Host) []string {
	lines := portLines("v-"+h.Name, "br0", "eth0", h, 0)
	if h.Second {
		lines = append(lines, portLines("w-"+h.Name, "br1", "eth1", h, 1)...)
	}
	return lines
}

func portLines(port, bridge, end string, h Host, segment int) []string {
	return []string{
		fmt.Sprintf("link add %s type veth peer name %s address %s netns %s", port, end, h.MAC(segment), h.Name),
		fmt.Sprintf("link set %s master %s up", port, bridge),
	}
}

// HostScript is the input of `ip -batch` in a host's namespace: addresses and the default route. A default route must exist: without one, a process of the host's
// network namespace has no route to a Service address before kube-proxy rewrites it.
func HostScript(h Host) []string {
	lines := []string{"link set lo up"}
	lines = append(lines, addressLines("eth0", h.Addr4(), h.Addr6(), Subnet4, Subnet6)...)
	if h.Second {
		lines = append(lines, addressLines("eth1", h.Second4(), h.Second6(), Second4, Second6)...)
	}
	if h.Name == Router {
		return lines
	}
	router := RouterHost()
	return append(lines, defaultLines(router.Addr4(), router.Addr6())...)
}

// OwnAddressScript is the input of `ip -batch` in a host's namespace that takes the pools' addresses from it.
func OwnAddressScript() []string {
	return []string{
		fmt.Sprintf("addr flush dev eth0 to %s", Pool4), fmt.Sprintf("addr flush dev eth0 to %s", Pool6),
		fmt.Sprintf("addr flush dev eth1 to %s", SecondP4), fmt.Sprintf("addr flush dev eth1 to %s", SecondP6),
	}
}

func addressLines(link string, v4, v6 netip.Addr, subnet4, subnet6 netip.Prefix) []string {
	return []string{
		fmt.Sprintf("link set %s up", link),
		fmt.Sprintf("addr add %s dev %s", netip.PrefixFrom(v4, subnet4.Bits()), link),
		fmt.Sprintf("addr add %s dev %s nodad", netip.PrefixFrom(v6, subnet6.Bits()), link),
	}
}

func defaultLines(v4, v6 netip.Addr) []string {
	return []string{fmt.Sprintf("route add default via %s", v4), fmt.Sprintf("route add ::/0 via %s", v6)}
}

// PodRouteScript is the input of `ip -batch` in a host's namespace: the routes to the pods of every other node.
func (in Inputs) PodRouteScript(h Host) []string {
	var lines []string
	for _, node := range in.NodeList() {
		if node.Name == h.Name {
			continue
		}
		lines = append(lines,
			fmt.Sprintf("route add %s via %s", node.Pods4(), node.Addr4()),
			fmt.Sprintf("route add %s via %s", node.Pods6(), node.Addr6()))
	}
	return lines
}

// RouterScript is the input of `ip -batch` in the router's namespace: the link to the routed client, the addresses on no link, and a link of its own to each
// node, which has link-local addresses alone.
func (in Inputs) RouterScript() []string {
	v4, v6 := BehindRouter()
	lines := []string{fmt.Sprintf("link add eth1 type veth peer name eth0 netns %s", Routed)}
	lines = append(lines, addressLines("eth1", v4, v6, Behind4, Behind6)...)
	lines = append(lines, addressLines("lo", Loop4, Loop6, netip.PrefixFrom(Loop4, 32), netip.PrefixFrom(Loop6, 128))...)
	for _, node := range in.NodeList() {
		lines = append(lines,
			fmt.Sprintf("link add %s address %s type veth peer name %s address %s netns %s", Downlink(node.Name), node.MAC(3), Uplink, node.MAC(2), node.Name),
			fmt.Sprintf("link set %s up", Downlink(node.Name)))
	}
	return lines
}

// UplinkScript is the input of `ip -batch` in a node's namespace that brings its end of the link to the router up.
func UplinkScript() []string { return []string{fmt.Sprintf("link set %s up", Uplink)} }

// Downlink is the router's end of its link to a node.
func Downlink(node string) string { return "p-" + node }

// RoutedScript is the input of `ip -batch` in the routed client's namespace.
func RoutedScript() []string {
	v4, v6 := BehindClient()
	lines := append([]string{"link set lo up"}, addressLines("eth0", v4, v6, Behind4, Behind6)...)
	return append(lines, defaultLines(BehindRouter())...)
}

// MasqueradeRules is the input of `nft -f` on a node: what its pods send out of the cluster leaves with the node's own address.
func MasqueradeRules(n Node) string {
	return fmt.Sprintf(`table inet lab {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr %s ip daddr != { %s, %s } oifname { "eth0", "eth1" } masquerade
		ip6 saddr %s ip6 daddr != { %s, %s } oifname { "eth0", "eth1" } masquerade
	}
}
`, n.Pods4(), Pods4, Services4, n.Pods6(), Pods6, Services6)
}

// Sysctls of a host, in order. They are set before the links exist, so that these inherit them.
func Sysctls(namespace string) [][2]string {
	if namespace == Segment {
		return [][2]string{
			{"net/bridge/bridge-nf-call-iptables", "0"},
			{"net/bridge/bridge-nf-call-ip6tables", "0"},
			{"net/bridge/bridge-nf-call-arptables", "0"},
			{"net/ipv6/conf/default/disable_ipv6", "1"},
		}
	}
	common := [][2]string{
		{"net/ipv4/conf/all/rp_filter", "0"},
		{"net/ipv4/conf/default/rp_filter", "0"},
		{"net/ipv6/conf/all/accept_dad", "0"},
		{"net/ipv6/conf/default/accept_dad", "0"},
	}
	if namespace == Stranger {
		// It answers for an address on the segment where it has it, and on no other.
		common = append(common, [2]string{"net/ipv4/conf/all/arp_ignore", "1"})
	}
	if namespace == Client || namespace == Routed || namespace == Stranger {
		return common
	}
	return append(common, [][2]string{
		{"net/ipv4/ip_forward", "1"},
		{"net/ipv6/conf/all/forwarding", "1"},
		{"net/ipv6/conf/default/forwarding", "1"},
		{"net/ipv4/fib_multipath_hash_policy", "1"},
	}...)
}
