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
	etherTypeARP  = 0x0806
	etherTypeIPv4 = 0x0800
	headerLength  = 14
	arpLength     = 28
	// minimumFrame is the shortest Ethernet frame without its checksum; not every driver pads.
	minimumFrame = 60
)

// view is what a responder needs to answer: the hardware address of its interface and the addresses announced there. It is immutable.
type view struct {
	mac       link.MAC
	addresses map[netip.Addr]*counters
}

// question is an ARP request for one of our addresses.
type question struct {
	target   netip.Addr
	counters *counters
	asker    link.MAC
	askerIP  netip.Addr
}

// ask reads a frame and returns the question in it, if it is one for us: an ARP request, sent to this interface or to all, by another
// station, for an address of the view. An announcement (sender and target are the same address) asks nothing; a probe (no sender
// address, RFC 5227 1.1) does.
func (v *view) ask(frame []byte) (question, bool) {
	target, ok := requestTarget(frame)
	if !ok {
		return question{}, false
	}
	counted, ours := v.addresses[target]
	if !ours || !v.addressedToUs(frame) {
		return question{}, false
	}
	var p arp.Packet
	if err := p.UnmarshalBinary(frame[headerLength:]); err != nil {
		return question{}, false
	}
	q := question{target: target, counters: counted, asker: link.MAC(p.SenderHardwareAddr), askerIP: p.SenderIP}
	return q, q.asker.IsUnicast() && q.asker != v.mac && q.askerIP != target
}

// addressedToUs says whether the Ethernet header leads to this interface or to all, from another station.
func (v *view) addressedToUs(frame []byte) bool {
	to, from := link.MAC(frame[0:6]), link.MAC(frame[6:12])
	return (to == link.Broadcast || to == v.mac) && from != v.mac
}

// requestTarget returns the address that a frame asks for, reading fixed offsets only: most frames are for others and end here.
func requestTarget(frame []byte) (netip.Addr, bool) {
	if len(frame) < headerLength+arpLength || binary.BigEndian.Uint16(frame[12:14]) != etherTypeARP {
		return netip.Addr{}, false
	}
	p := frame[headerLength:]
	ethernetIPv4 := binary.BigEndian.Uint16(p[0:2]) == 1 && binary.BigEndian.Uint16(p[2:4]) == etherTypeIPv4 && p[4] == 6 && p[5] == 4
	if !ethernetIPv4 || arp.Operation(binary.BigEndian.Uint16(p[6:8])) != arp.OperationRequest {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(p[24:28])), true
}

// answer is the frame that tells the asker where the address is.
func (v *view) answer(q question) ([]byte, error) {
	return arpFrame(q.asker, arp.OperationReply, v.mac, q.target, q.asker, q.askerIP)
}

// announcements are the frames that tell everybody unasked where the address is. There are two because stations differ in which of
// them they heed. In the reply the target hardware address is the sender's: Linux ignores a gratuitous reply of any other form.
func announcements(mac link.MAC, addr netip.Addr) ([][]byte, error) {
	request, err := arpFrame(link.Broadcast, arp.OperationRequest, mac, addr, link.MAC{}, addr)
	if err != nil {
		return nil, err
	}
	reply, err := arpFrame(link.Broadcast, arp.OperationReply, mac, addr, mac, addr)
	if err != nil {
		return nil, err
	}
	return [][]byte{request, reply}, nil
}

func arpFrame(to link.MAC, op arp.Operation, sender link.MAC, senderIP netip.Addr, target link.MAC, targetIP netip.Addr) ([]byte, error) {
	p, err := arp.NewPacket(op, sender[:], senderIP, target[:], targetIP)
	if err != nil {
		return nil, fmt.Errorf("building an ARP packet for %s: %w", senderIP, err)
	}
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("building an ARP packet for %s: %w", senderIP, err)
	}
	frame := make([]byte, minimumFrame)
	copy(frame[0:6], to[:])
	copy(frame[6:12], sender[:])
	binary.BigEndian.PutUint16(frame[12:14], etherTypeARP)
	copy(frame[headerLength:], payload)
	return frame, nil
}
