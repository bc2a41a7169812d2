// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"

	"github.com/mdlayher/arp"

	"metalsuite.io/announcers/l2/link"
)

// lan is the name of the interface of this node on a segment.
const lan = "lan0"

// segment is an Ethernet with this node's interface on it and a peer that watches: simulated, or made of a veth pair.
type segment interface {
	links() Links
	// ask lets the peer ask all stations for an address and returns who answers.
	ask(addr netip.Addr) []link.MAC
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
}

// seen is an ARP frame that the peer saw.
type seen struct {
	to, from link.MAC
	packet   arp.Packet
}

func read(frame []byte) (seen, bool) {
	if len(frame) < headerLength {
		return seen{}, false
	}
	s := seen{to: link.MAC(frame[0:6]), from: link.MAC(frame[6:12])}
	err := s.packet.UnmarshalBinary(frame[headerLength:])
	return s, err == nil && frame[12] == 0x08 && frame[13] == 0x06
}

var (
	peerMAC = link.MAC{0x02, 0, 0, 0, 0, 0x99}
	nodeMAC = link.MAC{0x02, 0, 0, 0, 0, 0x01}
	newMAC  = link.MAC{0x02, 0, 0, 0, 0, 0x77}
	peerIP  = netip.MustParseAddr("192.0.2.254")
)

// who builds the request of the peer for an address.
func who(addr netip.Addr) []byte {
	frame, err := arpFrame(link.Broadcast, arp.OperationRequest, peerMAC, peerIP, link.MAC{}, addr)
	if err != nil {
		panic(err)
	}
	return frame
}
