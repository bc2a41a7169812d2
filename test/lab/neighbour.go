// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
)

// Question is how to ask who has an address. The zero value asks everybody, as a host does that wants to send something.
type Question struct {
	// To asks this hardware address alone, as a host does that makes sure that it still reaches a neighbour (RFC 4861, 7.3.3). Empty asks
	// everybody, or in IPv6 those that listen for the address.
	To net.HardwareAddr
	// Probe asks without an address of its own, as a host does that is about to take the address (RFC 5227, 2.1.1; RFC 4862, 5.4.2).
	Probe bool
}

// heard is what somebody said of the watched address.
type heard struct {
	mac string
	// asked is whether it answers a question of ours.
	asked bool
}

// neighbour speaks of one address on one link, in the protocol of its family. It holds no state but who asks.
type neighbour interface {
	// protocol is the type of the frames.
	protocol() int
	// question is the frame that asks.
	question(Question) ([]byte, error)
	// answer is the frame in which a hardware address tells us that it has the address.
	answer(mac net.HardwareAddr) ([]byte, error)
	// claim is the frame in which a hardware address announces to everybody, unasked, that it has the address.
	claim(mac net.HardwareAddr) ([]byte, error)
	// hear reads a frame; false if it says nothing of the address.
	hear(frame []byte) (heard, bool)
}

var (
	broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	allNodes  = netip.MustParseAddr("ff02::1")
)

const (
	typeARP  = 0x0806
	typeIPv6 = 0x86dd

	ethernetLength = 14
	ipv6Length     = 40
)

// newNeighbour asks as one of the link's own addresses.
func newNeighbour(device *net.Interface, own []net.Addr, address netip.Addr) (neighbour, error) {
	for _, o := range own {
		prefix, err := netip.ParsePrefix(o.String())
		switch {
		case err != nil || prefix.Addr().Is4() != address.Is4():
		case address.Is4():
			return arpNeighbour{mac: device.HardwareAddr, own: prefix.Addr(), address: address}, nil
		default:
			return ndpNeighbour{mac: device.HardwareAddr, own: prefix.Addr(), address: address}, nil
		}
	}
	return nil, errors.New("the link has no address of that family")
}

// ethernet puts the header before a payload.
func ethernet(to, from net.HardwareAddr, kind uint16, payload []byte) []byte {
	frame := append(append(make([]byte, 0, ethernetLength+len(payload)), to...), from...)
	return append(binary.BigEndian.AppendUint16(frame, kind), payload...)
}

// arpNeighbour speaks ARP (RFC 826).
type arpNeighbour struct {
	mac          net.HardwareAddr
	own, address netip.Addr
}

func (n arpNeighbour) protocol() int { return typeARP }

func (n arpNeighbour) question(q Question) ([]byte, error) {
	to, own := broadcast, n.own
	if len(q.To) > 0 {
		to = q.To
	}
	if q.Probe {
		own = netip.IPv4Unspecified()
	}
	return n.frame(arp.OperationRequest, to, n.mac, own, make(net.HardwareAddr, 6))
}

func (n arpNeighbour) answer(mac net.HardwareAddr) ([]byte, error) {
	p, err := arp.NewPacket(arp.OperationReply, mac, n.address, n.mac, n.own)
	if err != nil {
		return nil, fmt.Errorf("making an ARP packet: %w", err)
	}
	return n.packed(n.mac, p)
}

// claim has the target's hardware address equal to the sender's: Linux takes no other gratuitous reply.
func (n arpNeighbour) claim(mac net.HardwareAddr) ([]byte, error) {
	return n.frame(arp.OperationReply, broadcast, mac, n.address, mac)
}

func (n arpNeighbour) frame(op arp.Operation, to, mac net.HardwareAddr, sender netip.Addr, target net.HardwareAddr) ([]byte, error) {
	p, err := arp.NewPacket(op, mac, sender, target, n.address)
	if err != nil {
		return nil, fmt.Errorf("making an ARP packet: %w", err)
	}
	return n.packed(to, p)
}

func (n arpNeighbour) packed(to net.HardwareAddr, p *arp.Packet) ([]byte, error) {
	payload, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("making an ARP packet: %w", err)
	}
	return ethernet(to, p.SenderHardwareAddr, typeARP, payload), nil
}

func (n arpNeighbour) hear(frame []byte) (heard, bool) {
	var p arp.Packet
	if len(frame) < ethernetLength || p.UnmarshalBinary(frame[ethernetLength:]) != nil || p.SenderIP != n.address {
		return heard{}, false
	}
	gratuitous := p.SenderIP == p.TargetIP
	if !gratuitous && p.Operation != arp.OperationReply {
		return heard{}, false
	}
	return heard{mac: p.SenderHardwareAddr.String(), asked: !gratuitous}, true
}

// ndpNeighbour speaks the neighbour discovery protocol (RFC 4861).
type ndpNeighbour struct {
	mac          net.HardwareAddr
	own, address netip.Addr
}

func (n ndpNeighbour) protocol() int { return typeIPv6 }

func (n ndpNeighbour) question(q Question) ([]byte, error) {
	group, err := ndp.SolicitedNodeMulticast(n.address)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", n.address, err)
	}
	m := &ndp.NeighborSolicitation{TargetAddress: n.address}
	if q.Probe {
		return n.frame(multicast(group), n.mac, netip.IPv6Unspecified(), group, m)
	}
	if len(q.To) > 0 {
		// Who is asked alone may be left to see from the frame who asks (RFC 4861, 4.3), as some routers and switches do.
		return n.frame(q.To, n.mac, n.own, n.address, m)
	}
	m.Options = []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: n.mac}}
	return n.frame(multicast(group), n.mac, n.own, group, m)
}

func (n ndpNeighbour) answer(mac net.HardwareAddr) ([]byte, error) {
	return n.frame(n.mac, mac, n.address, n.own, &ndp.NeighborAdvertisement{
		Solicited: true, TargetAddress: n.address, Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}},
	})
}

func (n ndpNeighbour) claim(mac net.HardwareAddr) ([]byte, error) {
	return n.frame(multicast(allNodes), mac, n.address, allNodes, &ndp.NeighborAdvertisement{
		Override: true, TargetAddress: n.address,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}},
	})
}

func (n ndpNeighbour) frame(to, mac net.HardwareAddr, source, destination netip.Addr, m ndp.Message) ([]byte, error) {
	payload, err := ndp.MarshalMessageChecksum(m, source, destination)
	if err != nil {
		return nil, fmt.Errorf("making an NDP message: %w", err)
	}
	header := make([]byte, ipv6Length)
	header[0] = 6 << 4
	binary.BigEndian.PutUint16(header[4:], uint16(len(payload)))
	header[6], header[7] = 58, ndp.HopLimit
	copy(header[8:], source.AsSlice())
	copy(header[24:], destination.AsSlice())
	return ethernet(to, mac, typeIPv6, append(header, payload...)), nil
}

// hear takes for an answer what says that it is solicited. A host that probes has no address to which an answer could go, so everybody is told
// then (RFC 4861, 7.2.4): that cannot be told from an unasked one.
func (n ndpNeighbour) hear(frame []byte) (heard, bool) {
	if len(frame) < ethernetLength+ipv6Length || frame[ethernetLength+6] != 58 {
		return heard{}, false
	}
	message, err := ndp.ParseMessage(frame[ethernetLength+ipv6Length:])
	na, ok := message.(*ndp.NeighborAdvertisement)
	if err != nil || !ok || na.TargetAddress != n.address {
		return heard{}, false
	}
	for _, option := range na.Options {
		if target, ok := option.(*ndp.LinkLayerAddress); ok && target.Direction == ndp.Target {
			return heard{mac: target.Addr.String(), asked: na.Solicited}, true
		}
	}
	// It may be left out where the one who asks knows it (RFC 4861, 4.4).
	return heard{mac: net.HardwareAddr(frame[6:12]).String(), asked: na.Solicited}, true
}

// multicast is the Ethernet group of an IPv6 group (RFC 2464, 7).
func multicast(group netip.Addr) net.HardwareAddr {
	a := group.As16()
	return net.HardwareAddr{0x33, 0x33, a[12], a[13], a[14], a[15]}
}

// Exchange is a question for an address and its answer, as frames.
type Exchange struct {
	// Protocol is the type of both frames.
	Protocol         int
	Question, Answer []byte
}

// Exchange returns how the host would ask on the link who has an address, and what a host of that hardware address would answer. It sends
// nothing.
func (h Host) Exchange(link string, address netip.Addr, question Question, mac net.HardwareAddr) (Exchange, error) {
	conn, n, err := h.neighbour(link, address)
	if err != nil {
		return Exchange{}, err
	}
	asked, errAsked := n.question(question)
	answered, errAnswered := n.answer(mac)
	return Exchange{n.protocol(), asked, answered}, errors.Join(errAsked, errAnswered, conn.Close())
}

// Claim announces on the link, unasked, that a hardware address has the address, whosever that may be: a gratuitous ARP reply or an
// unsolicited neighbour advertisement.
func (h Host) Claim(_ context.Context, link string, address netip.Addr, mac net.HardwareAddr) error {
	conn, n, err := h.neighbour(link, address)
	if err != nil {
		return err
	}
	frame, err := n.claim(mac)
	if err == nil {
		err = send(conn, frame)
	}
	if err := errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("claiming %s on %s of host %s: %w", address, link, h.Name, err)
	}
	return nil
}
