// SPDX-License-Identifier: Apache-2.0

// Package topology says who is in the lab and which addresses they have: a pure function of the inputs.
//
// It touches nothing; package cluster makes it real.
package topology

import (
	"fmt"
	"net/netip"
	"strconv"
)

// Names of the hosts that are not nodes; each is the name of its network namespace.
const (
	ControlPlane = "cp"
	Client       = "client"
	Routed       = "routed"
	Router       = "tor"
	Segment      = "lan"
	Stranger     = "stranger"
	SecondRouter = "bird"
)

// The autonomous systems of the two routers; hosts may peer with them from any other.
const (
	RouterASN       = 64999
	SecondRouterASN = 64998
)

// Uplink is a node's end of its own link to the router, which has link-local addresses alone.
const Uplink = "tor0"

// MaxNodes keeps the nodes' addresses clear of the client's.
const MaxNodes = 50

// What the hosts share. The pools hold addresses that no host has: 16,384 IPv4 and 65,536 IPv6 addresses on each segment.
var (
	Subnet4  = netip.MustParsePrefix("10.89.0.0/16")
	Subnet6  = netip.MustParsePrefix("fd89::/64")
	Pool4    = netip.MustParsePrefix("10.89.64.0/18")
	Pool6    = netip.MustParsePrefix("fd89::1:0/112")
	Second4  = netip.MustParsePrefix("10.90.0.0/16")
	Second6  = netip.MustParsePrefix("fd90::/64")
	SecondP4 = netip.MustParsePrefix("10.90.64.0/18")
	SecondP6 = netip.MustParsePrefix("fd90::1:0/112")
	Behind4  = netip.MustParsePrefix("10.91.0.0/24")
	Behind6  = netip.MustParsePrefix("fd91::/64")
	// Routed4 and Routed6 hold addresses that are on no segment: packets for them go where routes lead.
	Routed4 = netip.MustParsePrefix("10.92.0.0/16")
	Routed6 = netip.MustParsePrefix("fd92::/112")
	// Loop4 and Loop6 are the router's own, on no link.
	Loop4 = netip.MustParseAddr("10.88.0.254")
	Loop6 = netip.MustParseAddr("fd88::254")

	Pods4     = netip.MustParsePrefix("10.244.0.0/16")
	Pods6     = netip.MustParsePrefix("fd44::/48")
	Services4 = netip.MustParsePrefix("10.96.0.0/16")
	Services6 = netip.MustParsePrefix("fd96::/112")
)

// Inputs are what a user chooses.
type Inputs struct {
	// Nodes is the number of nodes, 1 to MaxNodes.
	Nodes int
	// APIServers is the number of API servers: 1.
	APIServers int
	// ProxyMode is kube-proxy's: nftables or iptables.
	ProxyMode string
}

// Validate says what is wrong with the inputs, if anything.
func (in Inputs) Validate() error {
	switch {
	case in.Nodes < 1 || in.Nodes > MaxNodes:
		return fmt.Errorf("NODES=%d: say 1 to %d", in.Nodes, MaxNodes)
	case in.APIServers != 1:
		return fmt.Errorf("API_SERVERS=%d: the lab has one API server; say 1", in.APIServers)
	case in.ProxyMode != "nftables" && in.ProxyMode != "iptables":
		return fmt.Errorf("PROXY_MODE=%s: say nftables or iptables", in.ProxyMode)
	}
	return nil
}

// Host is one network namespace with a leg on the segment.
type Host struct {
	// Name of the namespace; for a node also the node's name.
	Name string
	// Number makes the host's addresses: 10.89.0.N and fd89::N.
	Number int
	// Second: the host has a leg on the second segment too.
	Second bool
}

// Node is a host that runs pods.
type Node struct {
	Host
	// Index counts from 1.
	Index int
}

// Addr4 is the host's IPv4 address on eth0.
func (h Host) Addr4() netip.Addr { return host4(Subnet4, h.Number) }

// Addr6 is the host's IPv6 address on eth0.
func (h Host) Addr6() netip.Addr { return host6(Subnet6, h.Number) }

// Second4 is the host's IPv4 address on eth1.
func (h Host) Second4() netip.Addr { return host4(Second4, h.Number) }

// Second6 is the host's IPv6 address on eth1.
func (h Host) Second6() netip.Addr { return host6(Second6, h.Number) }

// MAC is the host's hardware address on the given segment, 0 for eth0 and 1 for eth1: locally administered, the host's number in the last byte. A node's link to
// the router has 2 at its own end and 3 at the router's.
func (h Host) MAC(segment int) string { return fmt.Sprintf("02:00:00:89:%02x:%02x", segment, h.Number) }

// Pods4 is the node's part of the pods' IPv4 addresses.
func (n Node) Pods4() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(n.Index), 0}), 24)
}

// Pods6 is the node's part of the pods' IPv6 addresses.
func (n Node) Pods6() netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf("fd44:0:0:%x::/64", n.Index))
}

// NodeList lists the nodes n1, n2, ...
func (in Inputs) NodeList() []Node {
	nodes := make([]Node, in.Nodes)
	for i := range nodes {
		nodes[i] = Node{Host: Host{Name: "n" + strconv.Itoa(i+1), Number: 11 + i, Second: true}, Index: i + 1}
	}
	return nodes
}

// ControlPlaneHost is the host of etcd and the API server.
func ControlPlaneHost() Host { return Host{Name: ControlPlane, Number: 1} }

// ClientHost is the client on the segment.
func ClientHost() Host { return Host{Name: Client, Number: 100, Second: true} }

// StrangerHost belongs to nobody: it uses what addresses a test wants it to use.
func StrangerHost() Host { return Host{Name: Stranger, Number: 200, Second: true} }

// RouterHost is the router: the default gateway of every host, and the way to the routed client.
func RouterHost() Host { return Host{Name: Router, Number: 254} }

// SecondRouterHost is a router on the segment that nobody's packets go through: another implementation of what the first one speaks.
func SecondRouterHost() Host { return Host{Name: SecondRouter, Number: 253} }

// Hosts lists every host on the segment.
func (in Inputs) Hosts() []Host {
	hosts := []Host{ControlPlaneHost(), ClientHost(), StrangerHost(), RouterHost(), SecondRouterHost()}
	for _, node := range in.NodeList() {
		hosts = append(hosts, node.Host)
	}
	return hosts
}

// Namespaces lists every namespace of the lab.
func (in Inputs) Namespaces() []string {
	names := []string{Segment, Routed}
	for _, host := range in.Hosts() {
		names = append(names, host.Name)
	}
	return names
}

// BehindRouter and BehindClient are the two ends of the link between the router and the routed client.
func BehindRouter() (v4, v6 netip.Addr) { return host4(Behind4, 254), host6(Behind6, 254) }

// BehindClient is the routed client's end.
func BehindClient() (v4, v6 netip.Addr) { return host4(Behind4, 100), host6(Behind6, 100) }

// APIService is the address of the Service default/kubernetes: the first of the range.
func APIService() netip.Addr { return Services4.Addr().Next() }

// host4 is the address with the given last byte.
func host4(subnet netip.Prefix, number int) netip.Addr {
	bytes := subnet.Addr().As4()
	bytes[3] = byte(number)
	return netip.AddrFrom4(bytes)
}

// host6 writes the number's decimal digits as the last group, so that 10.89.0.11 and fd89::11 belong together.
func host6(subnet netip.Prefix, number int) netip.Addr {
	return netip.MustParseAddr(subnet.Addr().String() + strconv.Itoa(number))
}
