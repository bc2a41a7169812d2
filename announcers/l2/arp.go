// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/arp"

	"metalsuite.io/announcers/l2/link"
)

const (
	arpLength      = 28
	ethernetType   = 1
	hardwareLength = 6
	protocolLength = 4
)

// arpProtocol is ARP for IPv4 on Ethernet (RFC 826) with the probes and announcements of RFC 5227.
type arpProtocol struct{}

func (arpProtocol) kind() link.Protocol { return link.ARP }

// parse reads fixed offsets only. An announcement (sender and target are the same address) asks nothing and claims; a probe (no sender
// address) asks and claims nothing.
func (arpProtocol) parse(frame []byte) (message, bool) {
	if len(frame) < headerLength+arpLength || binary.BigEndian.Uint16(frame[12:14]) != etherTypeARP {
		return message{}, false
	}
	p := frame[headerLength:]
	if binary.BigEndian.Uint16(p[0:2]) != ethernetType || binary.BigEndian.Uint16(p[2:4]) != etherTypeIPv4 ||
		p[4] != hardwareLength || p[5] != protocolLength {
		return message{}, false
	}
	op := arp.Operation(binary.BigEndian.Uint16(p[6:8]))
	if op != arp.OperationRequest && op != arp.OperationReply {
		return message{}, false
	}
	out := message{
		to: link.MAC(frame[0:6]), from: link.MAC(frame[6:12]), hardware: link.MAC(p[8:14]),
		sender: netip.AddrFrom4([4]byte(p[14:18])), target: netip.AddrFrom4([4]byte(p[24:28])),
	}
	out.asks = op == arp.OperationRequest && out.sender != out.target
	if !out.sender.IsUnspecified() {
		out.claims = out.sender
	}
	return out, out.hardware.IsUnicast() && (out.to == link.Broadcast || out.to.IsUnicast())
}

func (arpProtocol) answer(buffer []byte, s station, question message) []byte {
	frame := buffer[:minimumFrame]
	clear(frame)
	etherHeader(frame, question.hardware, s.mac, etherTypeARP)
	p := frame[headerLength:]
	binary.BigEndian.PutUint16(p[0:2], ethernetType)
	binary.BigEndian.PutUint16(p[2:4], etherTypeIPv4)
	p[4], p[5] = hardwareLength, protocolLength
	binary.BigEndian.PutUint16(p[6:8], uint16(arp.OperationReply))
	copy(p[8:14], s.mac[:])
	target, sender := question.target.As4(), question.sender.As4()
	copy(p[14:18], target[:])
	copy(p[18:24], question.hardware[:])
	copy(p[24:28], sender[:])
	return frame
}

// announcements are two because stations differ in which of them they heed. In the reply the target hardware address is the sender's:
// Linux ignores a gratuitous reply of any other form.
func (arpProtocol) announcements(s station, a netip.Addr) ([][]byte, error) {
	request, err := arpFrame(link.Broadcast, arp.OperationRequest, s.mac, a, link.MAC{}, a)
	if err != nil {
		return nil, err
	}
	reply, err := arpFrame(link.Broadcast, arp.OperationReply, s.mac, a, s.mac, a)
	if err != nil {
		return nil, err
	}
	return [][]byte{request, reply}, nil
}

// probe has no sender address, so that it changes nothing in anybody's table (RFC 5227 2.1.1).
func (arpProtocol) probe(s station, a netip.Addr) ([]byte, error) {
	return arpFrame(link.Broadcast, arp.OperationRequest, s.mac, netip.IPv4Unspecified(), link.MAC{}, a)
}

func arpFrame(to link.MAC, op arp.Operation, sender link.MAC, senderIP netip.Addr, target link.MAC, targetIP netip.Addr) ([]byte, error) {
	p, err := arp.NewPacket(op, sender[:], senderIP, target[:], targetIP)
	if err != nil {
		return nil, fmt.Errorf("building an ARP packet for %s: %w", targetIP, err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("building an ARP packet for %s: %w", targetIP, err)
	}
	frame := make([]byte, minimumFrame)
	etherHeader(frame, to, sender, etherTypeARP)
	copy(frame[headerLength:], payload)
	return frame, nil
}

// etherHeader writes the header of a frame.
func etherHeader(frame []byte, to, from link.MAC, etherType uint16) {
	copy(frame[0:6], to[:])
	copy(frame[6:12], from[:])
	binary.BigEndian.PutUint16(frame[12:14], etherType)
}
