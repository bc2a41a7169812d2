// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/ndp"
)

// Kind is a kind of message of neighbour discovery.
type Kind int

// The kinds that matter between routers.
const (
	// Advertisement says that the sender is a router (RFC 4861 4.2).
	Advertisement Kind = iota + 1
	// Solicitation asks routers to advertise (RFC 4861 4.1).
	Solicitation
)

// Message is a message that was received.
type Message struct {
	Kind Kind
	// Source is the sender, without zone.
	Source netip.Addr
	// Hardware is the bytes of the hardware address that the message says the sender has; empty when it says none.
	Hardware string
}

// Numbers of RFC 4861: the types of messages (4.1, 4.2), how long they are without options, and the source link-layer address (4.6.1).
const (
	typeSolicitation    = 133
	typeAdvertisement   = 134
	solicitationLength  = 8
	advertisementLength = 16
	optionSource        = 1
	optionUnit          = 8
)

// parse reads an ICMPv6 message as RFC 4861 6.1.1 and 6.1.2 ask: what does not fulfil them is not there. The kernel has checked the
// checksum. Options that are of no interest here are passed over whatever is in them.
func parse(b []byte, hopLimit int, source netip.Addr) (Message, bool) {
	if hopLimit != ndp.HopLimit || len(b) < 4 || b[1] != 0 {
		return Message{}, false
	}
	m := Message{Source: source.WithZone("")}
	length := solicitationLength
	switch b[0] {
	case typeSolicitation:
		m.Kind = Solicitation
	case typeAdvertisement:
		m.Kind, length = Advertisement, advertisementLength
	default:
		return Message{}, false
	}
	if len(b) < length || m.Kind == Advertisement && !isLinkLocal(m.Source) {
		return Message{}, false
	}
	var ok bool
	m.Hardware, ok = sourceOption(b[length:])
	if m.Source.IsUnspecified() && m.Hardware != "" {
		return Message{}, false
	}
	return m, ok
}

// sourceOption returns the source link-layer address among options; it is false when they cannot be read.
func sourceOption(b []byte) (hardware string, ok bool) {
	for len(b) > 0 {
		if len(b) < 2 || b[1] == 0 || len(b) < int(b[1])*optionUnit {
			return "", false
		}
		option := b[:int(b[1])*optionUnit]
		if option[0] == optionSource {
			hardware = string(option[2:])
		}
		b = b[len(option):]
	}
	return hardware, true
}

// build returns a message of this node without checksum, which the kernel fills in, and to whom it goes. An advertisement has no prefixes
// and a lifetime of 0, so that nobody uses this node as a default router (RFC 4861 4.2).
func build(k Kind, hardware net.HardwareAddr) (b []byte, to netip.Addr, err error) {
	var options []ndp.Option
	if len(hardware) == 6 {
		options = append(options, &ndp.LinkLayerAddress{Direction: ndp.Source, Addr: hardware})
	}
	var m ndp.Message = &ndp.RouterAdvertisement{Options: options}
	to = netip.IPv6LinkLocalAllNodes()
	if k == Solicitation {
		m, to = &ndp.RouterSolicitation{Options: options}, netip.IPv6LinkLocalAllRouters()
	}
	if b, err = ndp.MarshalMessage(m); err != nil {
		return nil, to, fmt.Errorf("building a Neighbor Discovery message: %w", err)
	}
	return b, to, nil
}

func isLinkLocal(a netip.Addr) bool { return a.Is6() && !a.Is4In6() && a.IsLinkLocalUnicast() }
