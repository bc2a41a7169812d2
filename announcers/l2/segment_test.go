// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"

	"metalsuite.io/announcers/l2/link"
)

// lan is the name of the interface of this node on a segment.
const lan = "lan0"

// segment is an Ethernet with this node's interface on it and a peer that watches: simulated, or made of a veth pair.
type segment interface {
	links() Links
	// send lets the peer send a frame to the node.
	send(frame []byte)
	// answers takes the answers to the peer off the wire and returns who answered for an address. When there are none it may wait a while
	// for one.
	answers(addr netip.Addr) []link.MAC
	// unasked returns what the peer has seen of this node that it did not ask for.
	unasked() []seen
	// setCarrier plugs or unplugs the cable.
	setCarrier(on bool)
	// setMAC changes the hardware address of this node's interface.
	setMAC(m link.MAC)
	// remove takes this node's interface away, and add brings it (back).
	remove()
	add()
	// configure gives an address to this node's interface.
	configure(addr netip.Addr)
	// proxy keeps an address on a dummy of this node, as service proxies do, with an ARP that is as strict as they ask for.
	proxy(addr netip.Addr)
	// route leads a route of this node through an address.
	route(via netip.Addr)
}

// seen is a frame of ARP or neighbour discovery that the peer saw, as the packages arp and ndp read it.
type seen struct {
	to, from            link.MAC
	arp                 *arp.Packet
	ndp                 ndp.Message
	source, destination netip.Addr
}

// read returns false for frames of other kinds.
func read(frame []byte) (seen, bool) {
	if len(frame) < headerLength {
		return seen{}, false
	}
	s := seen{to: link.MAC(frame[0:6]), from: link.MAC(frame[6:12])}
	switch binary.BigEndian.Uint16(frame[12:14]) {
	case etherTypeARP:
		s.arp = new(arp.Packet)
		return s, s.arp.UnmarshalBinary(frame[headerLength:]) == nil
	case etherTypeIPv6:
		return s, s.readNDP(frame[headerLength:])
	}
	return s, false
}

func (s *seen) readNDP(packet []byte) bool {
	if len(packet) < ipv6Length || packet[6] != protocolICMP {
		return false
	}
	// What follows the packet in a frame is padding.
	end := ipv6Length + int(binary.BigEndian.Uint16(packet[4:6]))
	if end > len(packet) {
		return false
	}
	packet = packet[:end]
	s.source, s.destination = netip.AddrFrom16([16]byte(packet[8:24])), netip.AddrFrom16([16]byte(packet[24:40]))
	var err error
	s.ndp, err = ndp.ParseMessage(packet[ipv6Length:])
	if err != nil || packet[7] != ndp.HopLimit {
		return false
	}
	switch s.ndp.(type) {
	case *ndp.NeighborSolicitation, *ndp.NeighborAdvertisement:
		return true
	}
	return false
}

// claims returns the address that the sender says it has, and where; false when it says nothing of the kind.
func (s seen) claims() (netip.Addr, link.MAC, bool) {
	if s.arp != nil {
		return s.arp.SenderIP, link.MAC(s.arp.SenderHardwareAddr), !s.arp.SenderIP.IsUnspecified()
	}
	if na, ok := s.ndp.(*ndp.NeighborAdvertisement); ok {
		for _, o := range na.Options {
			if lla, ok := o.(*ndp.LinkLayerAddress); ok && lla.Direction == ndp.Target {
				return na.TargetAddress, link.MAC(lla.Addr), true
			}
		}
	}
	return netip.Addr{}, link.MAC{}, false
}

// probes returns the address of which the sender, from no address, asks whether it is free.
func (s seen) probes() (netip.Addr, bool) {
	if s.arp != nil {
		return s.arp.TargetIP, s.arp.Operation == arp.OperationRequest && s.arp.SenderIP.IsUnspecified()
	}
	if ns, ok := s.ndp.(*ndp.NeighborSolicitation); ok && s.source.IsUnspecified() {
		return ns.TargetAddress, true
	}
	return netip.Addr{}, false
}

// isOurs leaves out what the kernel of the node says in its own name.
func (s seen) isOurs() bool {
	claimed, _, claims := s.claims()
	probed, probes := s.probes()
	return claims && !claimed.IsLinkLocalUnicast() || probes && !probed.IsLinkLocalUnicast()
}

var (
	peerMAC     = link.MAC{0x02, 0, 0, 0, 0, 0x99}
	nodeMAC     = link.MAC{0x02, 0, 0, 0, 0, 0x01}
	newMAC      = link.MAC{0x02, 0, 0, 0, 0, 0x77}
	strangerMAC = link.MAC{0x02, 0, 0, 0, 0, 0x66}
	peerIP      = netip.MustParseAddr("192.0.2.254")
	peerIP6     = netip.MustParseAddr("fe80::99")
	nodeIP6     = netip.MustParseAddr("fe80::1")
)

func must(frame []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return frame
}

// who builds the question of the peer, to all stations, who has an address.
func who(addr netip.Addr) []byte {
	if addr.Is4() {
		return must(arpFrame(link.Broadcast, arp.OperationRequest, peerMAC, peerIP, link.MAC{}, addr))
	}
	group, err := ndp.SolicitedNodeMulticast(addr)
	if err != nil {
		panic(err)
	}
	return solicitationFrame(addr, groupMAC(group), peerIP6, group, true)
}

// solicitationFrame builds a neighbour solicitation of the peer, with or without its hardware address in it.
func solicitationFrame(target netip.Addr, to link.MAC, source, destination netip.Addr, hardware bool) []byte {
	m := &ndp.NeighborSolicitation{TargetAddress: target}
	if hardware {
		m.Options = []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: net.HardwareAddr(peerMAC[:])}}
	}
	payload := must(ndp.MarshalMessageChecksum(m, source, destination))
	frame := make([]byte, icmpStart+len(payload))
	ipv6(frame, to, peerMAC, source, destination, len(payload))
	copy(frame[icmpStart:], payload)
	return frame
}

// claimBy builds what a station says, to everybody, that has an address.
func claimBy(mac link.MAC, addr netip.Addr) []byte {
	frames, err := protocolOf(addr).announcements(station{mac: mac, ip: peerIP6}, addr)
	if err != nil {
		panic(err)
	}
	return frames[len(frames)-1]
}

// probeBy builds the question of a station that wants an address and asks whether it is free.
func probeBy(mac link.MAC, addr netip.Addr) []byte {
	frame, err := protocolOf(addr).probe(station{mac: mac}, addr)
	return must(frame, err)
}
