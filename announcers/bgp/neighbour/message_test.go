// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/ndp"
)

var (
	routerMAC = net.HardwareAddr{0x02, 0, 0, 0, 0, 0x99}
	fe1       = netip.MustParseAddr("fe80::1")
	fe2       = netip.MustParseAddr("fe80::2")
	fe3       = netip.MustParseAddr("fe80::3")
	fe9       = netip.MustParseAddr("fe80::9")
)

func bytesOf(k Kind, hardware net.HardwareAddr) []byte {
	b, _, err := build(k, hardware)
	if err != nil {
		panic(err)
	}
	return b
}

// with returns a message with a byte changed.
func with(b []byte, at int, value byte) []byte {
	b = slices.Clone(b)
	b[at] = value
	return b
}

func TestParse(t *testing.T) {
	advertisement, solicitation := bytesOf(Advertisement, routerMAC), bytesOf(Solicitation, routerMAC)
	withOption := func(option ...byte) []byte { return append(bytesOf(Advertisement, nil), option...) }
	for _, row := range []struct {
		name     string
		b        []byte
		hopLimit int
		source   string
		want     Message
		ok       bool
	}{
		{"an advertisement", advertisement, 255, "fe80::1", Message{Advertisement, fe1, string(routerMAC)}, true},
		{"without options", bytesOf(Advertisement, nil), 255, "fe80::1", Message{Advertisement, fe1, ""}, true},
		{"with a zone", advertisement, 255, "fe80::1%eth0", Message{Advertisement, fe1, string(routerMAC)}, true},
		{"with an unknown option", withOption(200, 1, 1, 2, 3, 4, 5, 6), 255, "fe80::1", Message{Advertisement, fe1, ""}, true},
		{"with a prefix option that has rubbish in it", withOption(3, 1, 1, 2, 3, 4, 5, 6), 255, "fe80::1", Message{Advertisement, fe1, ""}, true},
		{"a solicitation", solicitation, 255, "fe80::1", Message{Solicitation, fe1, string(routerMAC)}, true},
		{"a solicitation from no address", bytesOf(Solicitation, nil), 255, "::", Message{Solicitation, netip.IPv6Unspecified(), ""}, true},
		{"a solicitation from no address that has one of hardware", solicitation, 255, "::", Message{}, false},
		{"a solicitation from a global address", solicitation, 255, "2001:db8::1", Message{Solicitation, netip.MustParseAddr("2001:db8::1"), string(routerMAC)}, true},
		{"from afar", advertisement, 64, "fe80::1", Message{}, false},
		{"one hop away", advertisement, 254, "fe80::1", Message{}, false},
		{"with unknown hop limit", advertisement, 0, "fe80::1", Message{}, false},
		{"from a global address", advertisement, 255, "2001:db8::1", Message{}, false},
		{"from no address", bytesOf(Advertisement, nil), 255, "::", Message{}, false},
		{"from an IPv4 address", advertisement, 255, "::ffff:169.254.0.1", Message{}, false},
		{"of another type", with(advertisement, 0, 136), 255, "fe80::1", Message{}, false},
		{"of another code", with(advertisement, 1, 1), 255, "fe80::1", Message{}, false},
		{"with an option of length 0", withOption(1, 0, 1, 2, 3, 4, 5, 6), 255, "fe80::1", Message{}, false},
		{"with an option that is cut", withOption(1, 2, 1, 2, 3, 4, 5, 6), 255, "fe80::1", Message{}, false},
		{"with half an option", withOption(1), 255, "fe80::1", Message{}, false},
		{"cut in the header", advertisement[:15], 255, "fe80::1", Message{}, false},
		{"a solicitation cut in the header", solicitation[:7], 255, "fe80::1", Message{}, false},
		{"empty", nil, 255, "fe80::1", Message{}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, ok := parse(row.b, row.hopLimit, netip.MustParseAddr(row.source))
			if ok != row.ok || ok && got != row.want {
				t.Errorf("got %+v, %v", got, ok)
			}
		})
	}
}

func TestBuildMakesNobodyUseThisNodeAsRouter(t *testing.T) {
	b, to, err := build(Advertisement, routerMAC)
	if err != nil || to != netip.MustParseAddr("ff02::1") {
		t.Fatalf("goes to %v, %v", to, err)
	}
	m, err := ndp.ParseMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	ra, ok := m.(*ndp.RouterAdvertisement)
	if !ok || ra.RouterLifetime != 0 || ra.RouterSelectionPreference != ndp.Medium || len(ra.Options) != 1 {
		t.Errorf("is %+v", m)
	}
	if _, to, _ = build(Solicitation, nil); to != netip.MustParseAddr("ff02::2") {
		t.Errorf("a solicitation goes to %v", to)
	}
	if b = bytesOf(Advertisement, net.HardwareAddr{1, 2, 3, 4}); len(b) != advertisementLength {
		t.Errorf("an interface without Ethernet address makes %x", b)
	}
}

// FuzzParse compares with what the package ndp reads: it looks at more than we do, so what it takes we take too.
func FuzzParse(f *testing.F) {
	for _, k := range []Kind{Advertisement, Solicitation} {
		f.Add(bytesOf(k, nil), 255, []byte(fe1.AsSlice()))
		f.Add(bytesOf(k, routerMAC), 255, []byte(fe1.AsSlice()))
	}
	f.Add(append(bytesOf(Advertisement, nil), 1, 0, 3), 255, []byte(fe1.AsSlice()))
	f.Fuzz(func(t *testing.T, b []byte, hopLimit int, from []byte) {
		source, ok := netip.AddrFromSlice(from)
		if !ok || source.Is4() {
			return
		}
		m, ok := parse(b, hopLimit, source)
		if ok && (hopLimit != 255 || m.Kind == Advertisement && !source.IsLinkLocalUnicast() || len(m.Hardware)%8 != 6 && m.Hardware != "") {
			t.Errorf("takes %+v", m)
		}
		their, err := ndp.ParseMessage(b)
		if err != nil || len(b) < 4 || b[1] != 0 || hopLimit != 255 || !isLinkLocal(source) {
			return
		}
		switch their.(type) {
		case *ndp.RouterAdvertisement, *ndp.RouterSolicitation:
			if !ok {
				t.Errorf("does not take %+v", their)
			}
		}
	})
}
