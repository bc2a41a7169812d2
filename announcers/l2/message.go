// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"

	"metalsuite.io/announcers/l2/link"
)

const (
	etherTypeARP  = 0x0806
	etherTypeIPv4 = 0x0800
	etherTypeIPv6 = 0x86dd
	headerLength  = 14
	// minimumFrame is the shortest Ethernet frame without its checksum; not every driver pads.
	minimumFrame = 60
	// maximumFrame holds any frame that is built here, and as much of a received one as is read.
	maximumFrame = 256
)

// message is what one frame says, be it ARP or neighbour discovery.
type message struct {
	// to and from are the addresses of the Ethernet header.
	to, from link.MAC
	// asks is whether the sender wants to know who has the target.
	asks   bool
	target netip.Addr
	// sender is the address of who asks; the unspecified address when the sender only wants to know whether the target is free (RFC 5227
	// 1.1, RFC 4862 5.4).
	sender netip.Addr
	// claims is the address that the sender says it has; invalid when it says so of none.
	claims netip.Addr
	// hardware is where the sender says it is.
	hardware link.MAC
}

// station is this node on one interface: its hardware address and, for IPv6, its link-local address.
type station struct {
	mac link.MAC
	ip  netip.Addr
}

// protocol is how the stations of one address family find each other.
//
// parse and answer are called for every frame: they neither lock nor allocate. The others build frames with the packages arp and ndp.
type protocol interface {
	// kind says which frames the protocol needs.
	kind() link.Protocol

	// parse reads a frame. It returns false when the frame is nothing that a responder needs, or not valid.
	parse(frame []byte) (message, bool)

	// answer builds into a buffer of maximumFrame bytes what tells the sender of a question where the target is.
	answer(buffer []byte, s station, question message) []byte

	// announcements are the frames that tell everybody unasked where an address is.
	announcements(s station, a netip.Addr) ([][]byte, error)

	// probe is the frame that makes whoever uses the address speak up.
	probe(s station, a netip.Addr) ([]byte, error)
}

// protocols are those in use; the sockets of an interface are opened in this order.
var protocols = []protocol{arpProtocol{}, ndpProtocol{}}

// protocolOf returns the protocol of an address's family.
func protocolOf(a netip.Addr) protocol {
	if a.Is4() {
		return protocols[0]
	}
	return protocols[1]
}
