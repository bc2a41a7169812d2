// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"iter"
	"net/netip"
)

// route is what a message of the kernel says about one route.
type route struct {
	unicast bool
	// direct says that what has no gateway is a neighbour.
	direct bool
	to     netip.Prefix
	hops   []hop
}

// hop is one way that a route takes; the gateway is the zero Addr when the destination itself is the neighbour.
type hop struct {
	index   int
	gateway netip.Addr
}

// Numbers of rtnetlink(7) and linux/rtnetlink.h.
const (
	sizeRouteMessage = 12
	sizeNextHop      = 8
	sizeAttribute    = 4

	familyIPv4 = 2
	familyIPv6 = 10

	typeUnicast = 1
	flagCloned  = 0x200
	scopeLink   = 253

	protocolKernel = 2
	protocolBoot   = 3
	protocolStatic = 4
	protocolRA     = 9

	attributeTo        = 1
	attributeInterface = 4
	attributeGateway   = 5
	attributeMultipath = 9
	attributeVia       = 18
)

// parseRoute reads the body of a RTM_NEWROUTE message. False means that it is none of IPv4 or IPv6.
func parseRoute(m []byte) (route, bool) {
	if len(m) < sizeRouteMessage || m[0] != familyIPv4 && m[0] != familyIPv6 {
		return route{}, false
	}
	flags := binary.NativeEndian.Uint32(m[8:])
	r := route{unicast: m[7] == typeUnicast && flags&flagCloned == 0, direct: isDirect(m[0], m[5], m[6])}
	for kind, value := range attributes(m[sizeRouteMessage:]) {
		switch kind {
		case attributeTo:
			if a, ok := netip.AddrFromSlice(value); ok {
				r.to = netip.PrefixFrom(a, int(m[1])).Masked()
			}
		case attributeMultipath:
			r.hops = append(r.hops, parseNextHops(value)...)
		}
	}
	if len(r.hops) == 0 {
		r.hops = []hop{parseHop(0, m[sizeRouteMessage:])}
	}
	return r, true
}

// isDirect says whether a route without gateway leads to neighbours. IPv4 says so with the scope. IPv6 has only one scope; there, who
// made the route decides: the kernel, a router's advertisement or an administrator, not a routing daemon.
func isDirect(family, protocol, scope byte) bool {
	if family == familyIPv4 {
		return scope == scopeLink
	}
	switch protocol {
	case protocolKernel, protocolBoot, protocolStatic, protocolRA:
		return true
	}
	return false
}

// parseNextHops reads a list of struct rtnexthop, each with its attributes.
func parseNextHops(b []byte) []hop {
	var hops []hop
	for len(b) >= sizeNextHop {
		length := int(binary.NativeEndian.Uint16(b))
		if length < sizeNextHop || length > len(b) {
			break
		}
		index := int(int32(binary.NativeEndian.Uint32(b[4:])))
		hops = append(hops, parseHop(index, b[sizeNextHop:length]))
		b = b[min(align(length), len(b)):]
	}
	return hops
}

// parseHop reads the attributes that say where to.
func parseHop(index int, b []byte) hop {
	h := hop{index: index}
	for kind, value := range attributes(b) {
		switch {
		case kind == attributeInterface && len(value) == 4:
			h.index = int(int32(binary.NativeEndian.Uint32(value)))
		case kind == attributeGateway:
			h.gateway, _ = netip.AddrFromSlice(value)
		case kind == attributeVia && len(value) > 2:
			// A gateway of the other family, after its family in two bytes.
			h.gateway, _ = netip.AddrFromSlice(value[2:])
		}
	}
	return h
}

// attributes yields the kinds and values of netlink attributes, up to the first that is broken.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= sizeAttribute {
			length := int(binary.NativeEndian.Uint16(b))
			if length < sizeAttribute || length > len(b) {
				return
			}
			// The two highest bits are flags.
			if !yield(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[sizeAttribute:length]) {
				return
			}
			b = b[min(align(length), len(b)):]
		}
	}
}

// align rounds up to the netlink alignment of 4 bytes.
func align(n int) int { return (n + 3) &^ 3 }
