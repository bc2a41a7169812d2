// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/ndp"

	"metalsuite.io/announcers/l2/link"
)

// Offsets and values of neighbour discovery in a frame (RFC 8200 3, RFC 4861 4.3 and 4.4).
const (
	ipv6Length    = 40
	icmpStart     = headerLength + ipv6Length
	ndpLength     = 24
	optionLength  = 8
	protocolICMP  = 58
	solicitation  = 135
	advertisement = 136
	sourceOption  = 1
	targetOption  = 2

	flagSolicited = 1 << 6
	flagOverride  = 1 << 5
)

var allNodes = netip.IPv6LinkLocalAllNodes()

// ndpProtocol is neighbour discovery for IPv6 on Ethernet (RFC 4861, RFC 2464) with the probes of RFC 4862.
type ndpProtocol struct{}

func (ndpProtocol) kind() link.Protocol { return link.NDP }

// parse reads solicitations and advertisements that are valid by RFC 4861 7.1. Between the IPv6 header and the message there is nothing:
// a fragmented message is to be ignored (RFC 6980 5), and nobody sends other extension headers here.
func (ndpProtocol) parse(frame []byte) (message, bool) {
	body, ok := ndpBody(frame)
	if !ok {
		return message{}, false
	}
	out := message{to: link.MAC(frame[0:6]), from: link.MAC(frame[6:12]), sender: netip.AddrFrom16([16]byte(frame[22:38]))}
	about := netip.AddrFrom16([16]byte(body[8:24]))
	wanted := byte(targetOption)
	if body[0] == solicitation {
		out.asks, out.target, wanted = true, about, sourceOption
	} else {
		out.claims = about
	}
	hardware, found, ok := hardwareOption(body[ndpLength:], wanted)
	if !ok || about.IsMulticast() || out.sender.IsMulticast() {
		return message{}, false
	}
	out.hardware = out.from
	if found {
		out.hardware = hardware
	}
	if out.asks && out.sender.IsUnspecified() && (found || frame[38] != 0xff) {
		return message{}, false // RFC 4861 7.1.1: who has no address yet names no hardware address and asks the group
	}
	return out, out.hardware.IsUnicast()
}

// ndpBody returns the ICMPv6 message of a frame if it is a solicitation or an advertisement that has not passed a router and is
// complete and unharmed.
func ndpBody(frame []byte) ([]byte, bool) {
	if len(frame) < icmpStart+ndpLength || binary.BigEndian.Uint16(frame[12:14]) != etherTypeIPv6 || frame[14]>>4 != 6 {
		return nil, false
	}
	length := int(binary.BigEndian.Uint16(frame[18:20]))
	if frame[20] != protocolICMP || frame[21] != ndp.HopLimit || length < ndpLength || len(frame) < icmpStart+length {
		return nil, false
	}
	message := frame[icmpStart : icmpStart+length]
	known := (message[0] == solicitation || message[0] == advertisement) && message[1] == 0
	return message, known && checksum(frame[22:54], message) == 0
}

// hardwareOption returns the link-layer address among the options of a message, and whether there is one. The options are not valid when
// one has no length or is cut off (RFC 4861 7.1).
func hardwareOption(options []byte, wanted byte) (mac link.MAC, found, valid bool) {
	for len(options) > 0 {
		if len(options) < optionLength || options[1] == 0 || int(options[1])*optionLength > len(options) {
			return mac, false, false
		}
		if options[0] == wanted && options[1] == 1 && !found {
			mac, found = link.MAC(options[2:8]), true
		}
		options = options[int(options[1])*optionLength:]
	}
	return mac, found, true
}

// answer tells the sender, or everybody when the sender has no address yet (RFC 4861 7.2.4).
func (ndpProtocol) answer(buffer []byte, s station, question message) []byte {
	to, destination, flags := question.hardware, question.sender, byte(flagSolicited|flagOverride)
	if question.sender.IsUnspecified() {
		to, destination, flags = groupMAC(allNodes), allNodes, flagOverride
	}
	const length = ndpLength + optionLength
	frame := buffer[:icmpStart+length]
	clear(frame)
	ipv6(frame, to, s.mac, s.ip, destination, length)
	m := frame[icmpStart:]
	m[0], m[4] = advertisement, flags
	target := question.target.As16()
	copy(m[8:24], target[:])
	m[24], m[25] = targetOption, 1
	copy(m[26:32], s.mac[:])
	binary.BigEndian.PutUint16(m[2:4], checksum(frame[22:54], m))
	return frame
}

// announcements is one advertisement to all nodes that overrides what they know (RFC 4861 7.2.6).
func (ndpProtocol) announcements(s station, a netip.Addr) ([][]byte, error) {
	frame, err := ndpFrame(s.mac, s.ip, allNodes, &ndp.NeighborAdvertisement{
		Override: true, TargetAddress: a,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: net.HardwareAddr(s.mac[:])}},
	})
	return [][]byte{frame}, err
}

// probe comes from no address, so that it changes nothing in anybody's table (RFC 4862 5.4.2).
func (ndpProtocol) probe(s station, a netip.Addr) ([]byte, error) {
	group, err := ndp.SolicitedNodeMulticast(a)
	if err != nil {
		return nil, fmt.Errorf("building a probe for %s: %w", a, err)
	}
	return ndpFrame(s.mac, netip.IPv6Unspecified(), group, &ndp.NeighborSolicitation{TargetAddress: a})
}

// ndpFrame builds a message to a multicast group.
func ndpFrame(from link.MAC, source, group netip.Addr, m ndp.Message) ([]byte, error) {
	payload, err := ndp.MarshalMessageChecksum(m, source, group)
	if err != nil {
		return nil, fmt.Errorf("building a Neighbor Discovery message: %w", err)
	}
	frame := make([]byte, icmpStart+len(payload))
	ipv6(frame, groupMAC(group), from, source, group, len(payload))
	copy(frame[icmpStart:], payload)
	return frame, nil
}

// ipv6 writes the Ethernet and the IPv6 header of a message with so many bytes.
func ipv6(frame []byte, to, from link.MAC, source, destination netip.Addr, length int) {
	etherHeader(frame, to, from, etherTypeIPv6)
	frame[14] = 6 << 4
	binary.BigEndian.PutUint16(frame[18:20], uint16(length))
	frame[20], frame[21] = protocolICMP, ndp.HopLimit
	s, d := source.As16(), destination.As16()
	copy(frame[22:38], s[:])
	copy(frame[38:54], d[:])
}

// groupMAC is where frames to a multicast group go (RFC 2464 7).
func groupMAC(group netip.Addr) link.MAC {
	g := group.As16()
	return link.MAC{0x33, 0x33, g[12], g[13], g[14], g[15]}
}

// checksum is that of ICMPv6 over a message and its addresses, source and destination in a row (RFC 8200 8.1). Over a message that
// carries its checksum the result is 0.
func checksum(addresses, message []byte) uint16 {
	sum := uint32(len(message)) + protocolICMP
	for _, b := range [2][]byte{addresses, message} {
		for ; len(b) >= 2; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
