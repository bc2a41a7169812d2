// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"net/netip"
	"testing"

	"metalsuite.io/announcers/l2/link"
)

func TestMACIsUnicast(t *testing.T) {
	for _, row := range []struct {
		name string
		mac  link.MAC
		want bool
	}{
		{"a station", link.MAC{0x02, 0, 0, 0, 0, 1}, true},
		{"everybody", link.Broadcast, false},
		{"a group", link.MAC{0x01, 0, 0x5e, 0, 0, 1}, false},
		{"nobody", link.MAC{}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := row.mac.IsUnicast(); got != row.want {
				t.Errorf("%s.IsUnicast() = %t, want %t", row.mac, got, row.want)
			}
		})
	}
}

func TestLinkEqual(t *testing.T) {
	base := link.Link{Index: 2, Name: "eth0", MAC: link.MAC{2}, Up: true, Carrier: true, Broadcast: true, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
	for name, change := range map[string]func(*link.Link){
		"index":      func(l *link.Link) { l.Index = 3 },
		"name":       func(l *link.Link) { l.Name = "eth1" },
		"MAC":        func(l *link.Link) { l.MAC = link.MAC{4} },
		"up":         func(l *link.Link) { l.Up = false },
		"carrier":    func(l *link.Link) { l.Carrier = false },
		"master":     func(l *link.Link) { l.Master = 9 },
		"ARP":        func(l *link.Link) { l.NoARP = true },
		"broadcast":  func(l *link.Link) { l.Broadcast = false },
		"loopback":   func(l *link.Link) { l.Loopback = true },
		"addresses":  func(l *link.Link) { l.Addresses = nil },
		"prefixes":   func(l *link.Link) { l.Prefixes = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} },
		"link-local": func(l *link.Link) { l.LinkLocal = netip.MustParseAddr("fe80::1") },
	} {
		t.Run(name, func(t *testing.T) {
			other := base
			change(&other)
			if base.Equal(other) || !base.Equal(base) {
				t.Errorf("%s is not compared", name)
			}
		})
	}
}
