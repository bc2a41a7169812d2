// SPDX-License-Identifier: Apache-2.0

// Package link shows the network interfaces of this host and opens raw sockets on them.
//
// Link and MAC are plain values. Host reads the kernel through netlink and packet sockets and exists on Linux only; elsewhere it
// compiles and refuses. The package knows nothing about addresses that are announced. A Host holds no state and may be used from any
// goroutine; a Socket may be read, and a Conn served, by one goroutine while others write.
package link

import (
	"net"
	"net/netip"
	"slices"
)

// MAC is an Ethernet hardware address.
type MAC [6]byte

// Broadcast is the Ethernet destination of everybody on the segment.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// String returns the address in the usual colon form.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// IsUnicast says whether the address names one station: neither zero nor a group.
func (m MAC) IsUnicast() bool { return m != MAC{} && m[0]&1 == 0 }

// Link is one network interface at one moment.
type Link struct {
	Index int
	Name  string
	// MAC is zero when the interface has no Ethernet address.
	MAC MAC
	// Up says that the administrator switched the interface on.
	Up bool
	// Carrier says that the interface is up and the kernel considers it operational (IFF_RUNNING).
	Carrier bool
	// Master is the index of the bridge, bond or VRF that the interface is a port of; 0 when it is of none.
	Master int
	// NoARP says that the interface does not take part in ARP.
	NoARP bool
	// Broadcast says that the interface has a broadcast address.
	Broadcast bool
	// Loopback says that the interface leads nowhere else.
	Loopback bool
	// Dummy says that the interface drops every frame (the kernel's kind "dummy").
	Dummy bool
	// Bridge says that the interface is a bridge: it leads where its ports lead.
	Bridge bool
	// Addresses are the addresses configured on the interface, sorted.
	Addresses []netip.Addr
	// Wider are those of Addresses that come with a subnet or a peer; the others are host addresses (/32, /128).
	Wider []netip.Addr
	// Prefixes are the subnets that the addresses say the interface leads to: masked, sorted, distinct. An address towards a peer
	// stands for the peer's. Neither single addresses nor IPv6 link-local ones (fe80::/10) are among them.
	Prefixes []netip.Prefix
	// LinkLocal is an IPv6 link-local address that the interface may use, without zone: duplicate address detection has passed. It is
	// the zero Addr when there is none.
	LinkLocal netip.Addr
}

// Equal says whether two observations of an interface are the same.
func (l Link) Equal(o Link) bool {
	return slices.Equal(l.Addresses, o.Addresses) && slices.Equal(l.Wider, o.Wider) && slices.Equal(l.Prefixes, o.Prefixes) && l.plain() == o.plain()
}

// Internal says whether the interface leads to no segment by what it is: nothing that is sent to it reaches another station by ARP.
func (l Link) Internal() bool { return l.Dummy || l.Loopback || l.NoARP }

// plain is a Link without its slices, so that it can be compared.
type plain struct {
	index, master                                          int
	name                                                   string
	mac                                                    MAC
	up, carrier, noARP, broadcast, loopback, dummy, bridge bool
	linkLocal                                              netip.Addr
}

func (l Link) plain() plain {
	return plain{l.Index, l.Master, l.Name, l.MAC, l.Up, l.Carrier, l.NoARP, l.Broadcast, l.Loopback, l.Dummy, l.Bridge, l.LinkLocal}
}

func isLinkLocal6(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() }
