// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
)

func attribute(kind uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, align(len(b))-len(b))...)
}

func nextHop(index byte, attributes ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(8+len(attributes)))
	b = binary.NativeEndian.AppendUint32(append(b, 0, 0), uint32(index))
	return append(b, attributes...)
}

// newRoute is a message with a scope, a protocol and a type.
func newRoute(family, bits, protocol, scope, kind byte, attributes ...[]byte) []byte {
	return slices.Concat([]byte{family, bits, 0, 0, 254, protocol, scope, kind, 0, 0, 0, 0}, slices.Concat(attributes...))
}

func TestCollectRoutes(t *testing.T) {
	oif := attribute(attributeInterface, binary.NativeEndian.AppendUint32(nil, 7)...)
	to4 := attribute(attributeTo, 192, 0, 2, 0)
	to6 := attribute(attributeTo, netip.MustParseAddr("2001:db8::").AsSlice()...)
	gateway := attribute(attributeGateway, 192, 0, 2, 254)
	via6 := attribute(attributeVia, append([]byte{10, 0}, netip.MustParseAddr("fe80::fe").AsSlice()...)...)
	cloned := newRoute(familyIPv4, 0, protocolKernel, 0, typeUnicast, gateway, oif)
	binary.NativeEndian.PutUint32(cloned[8:], flagCloned)
	for _, row := range []struct {
		name    string
		message []byte
		hops    []string
		onLink  map[int]string
	}{
		{"default route", newRoute(familyIPv4, 0, 16, 0, typeUnicast, gateway, oif), []string{"192.0.2.254"}, nil},
		{"gateway of the other family", newRoute(familyIPv4, 0, 16, 0, typeUnicast, via6, oif), []string{"fe80::fe"}, nil},
		{"subnet", newRoute(familyIPv4, 24, 2, scopeLink, typeUnicast, to4, oif), nil, map[int]string{7: "192.0.2.0/24"}},
		{"subnet by a daemon", newRoute(familyIPv4, 24, 186, scopeLink, typeUnicast, to4, oif), nil, map[int]string{7: "192.0.2.0/24"}},
		{"not of scope link", newRoute(familyIPv4, 24, 2, 0, typeUnicast, to4, oif), nil, nil},
		{"subnet of IPv6", newRoute(familyIPv6, 64, protocolRA, 0, typeUnicast, to6, oif), nil, map[int]string{7: "2001:db8::/64"}},
		{"subnet of IPv6 by a daemon", newRoute(familyIPv6, 64, 186, 0, typeUnicast, to6, oif), nil, nil},
		{"single address", newRoute(familyIPv4, 32, 2, scopeLink, typeUnicast, to4, oif), nil, nil},
		{"default without gateway", newRoute(familyIPv6, 0, protocolStatic, 0, typeUnicast, oif), nil, nil},
		{"link-local", newRoute(familyIPv6, 64, 2, 0, typeUnicast, attribute(attributeTo, netip.MustParseAddr("fe80::").AsSlice()...), oif), nil, nil},
		{"multicast", newRoute(familyIPv6, 8, 2, 0, typeUnicast, attribute(attributeTo, netip.MustParseAddr("ff00::").AsSlice()...), oif), nil, nil},
		{"unreachable", newRoute(familyIPv4, 24, 2, scopeLink, 7, to4, oif, gateway), nil, nil},
		{"cloned", cloned, nil, nil},
		{"other family", newRoute(28, 0, 2, 0, typeUnicast, gateway, oif), nil, nil},
		{"cut off", cloned[:11], nil, nil},
		{"too long a prefix", newRoute(familyIPv4, 77, 2, scopeLink, typeUnicast, to4, oif), nil, nil},
		{
			"several ways",
			newRoute(familyIPv4, 24, 2, scopeLink, typeUnicast, to4, attribute(attributeMultipath, slices.Concat(nextHop(3, gateway...), nextHop(4), nextHop(5, via6...))...)),
			[]string{"192.0.2.254", "fe80::fe"}, map[int]string{4: "192.0.2.0/24"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCollector()
			if r, ok := parseRoute(row.message); ok {
				c.add(r)
			}
			want := Routes{OnLink: map[int][]netip.Prefix{}}
			for _, h := range row.hops {
				want.NextHops = append(want.NextHops, netip.MustParseAddr(h))
			}
			for index, p := range row.onLink {
				want.OnLink[index] = prefixesOf(p)
			}
			if got := c.routes(); !got.Equal(want) {
				t.Errorf("the routes are %+v, want %+v", got, want)
			}
		})
	}
}

func TestRoutesEqual(t *testing.T) {
	base := Routes{NextHops: []netip.Addr{netip.MustParseAddr("192.0.2.254")}, OnLink: map[int][]netip.Prefix{1: prefixesOf("192.0.2.0/24")}}
	for name, other := range map[string]Routes{
		"no gateway":    {OnLink: base.OnLink},
		"no subnet":     {NextHops: base.NextHops},
		"other subnet":  {NextHops: base.NextHops, OnLink: map[int][]netip.Prefix{1: prefixesOf("192.0.2.0/25")}},
		"other segment": {NextHops: base.NextHops, OnLink: map[int][]netip.Prefix{2: prefixesOf("192.0.2.0/24")}},
	} {
		if base.Equal(other) || !base.Equal(base) {
			t.Errorf("%s is not compared", name)
		}
	}
}

func FuzzParseRoute(f *testing.F) {
	f.Add(newRoute(familyIPv4, 24, 2, scopeLink, typeUnicast, attribute(attributeMultipath, nextHop(3, attribute(attributeGateway, 1, 2, 3, 4)...)...)))
	f.Fuzz(func(t *testing.T, message []byte) {
		r, ok := parseRoute(message)
		if !ok {
			return
		}
		c := newCollector()
		c.add(r)
		for _, of := range c.routes().OnLink {
			for _, p := range of {
				if p != p.Masked() || !isSubnet(p) {
					t.Errorf("%v is no subnet", p)
				}
			}
		}
	})
}
