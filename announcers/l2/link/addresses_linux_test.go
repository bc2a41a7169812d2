// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/announcers/l2/link/linktest"
)

func TestWatchSeesSubnets(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	updates := p.watch(t)
	for _, text := range []string{"192.0.2.1/24", "192.0.2.2/24", "10.0.0.1/32", "2001:db8::1/64", "2001:db8:1::1/128"} {
		p.address(t, text)
	}
	peer := net.IPNet{IP: net.IPv4(198, 51, 100, 9), Mask: net.CIDRMask(28, 32)}
	single := net.IPNet{IP: net.IPv4(198, 51, 101, 9), Mask: net.CIDRMask(32, 32)}
	for _, towards := range []*net.IPNet{&peer, &single} {
		g.Expect(p.inNode.AddrAdd(p.node, &netlink.Addr{IPNet: netlink.NewIPNet(net.IPv4(10, 0, 0, 2)), Peer: towards})).To(Succeed())
	}
	want := prefixes("192.0.2.0/24", "198.51.100.0/28", "2001:db8::/64")
	until(t, updates, func(l link.Link) bool { return slices.Equal(l.Prefixes, want) && len(l.Addresses) >= 7 })
}

func TestWatchTellsInternalInterfacesAndHostAddresses(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	proxy := linktest.Internal(t, p.inNode, "eth7") // no name tells what it is
	lo, err := p.inNode.LinkByName("lo")
	g.Expect(err).NotTo(HaveOccurred())
	for _, add := range []struct {
		on   netlink.Link
		text string
	}{
		{proxy, "192.0.2.1/32"}, {proxy, "2001:db8::1/128"}, {proxy, "192.0.2.129/25"}, {lo, "198.51.100.1/32"}, {p.node, "203.0.113.1/32"}, {p.node, "10.0.0.1/24"},
	} {
		a, err := netlink.ParseAddr(add.text)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(p.inNode.AddrAdd(add.on, a)).To(Succeed())
	}
	find := func(links []link.Link) map[string]string {
		visible := func(in []netip.Addr) []netip.Addr {
			return slices.DeleteFunc(slices.Clone(in), func(a netip.Addr) bool { return a.IsLinkLocalUnicast() || a.IsLoopback() })
		}
		out := map[string]string{}
		for _, l := range links {
			out[l.Name] = fmt.Sprintf("internal %t, has %v, of them with a subnet %v", l.Internal(), visible(l.Addresses), visible(l.Wider))
		}
		return out
	}
	want := map[string]string{
		"eth7": "internal true, has [192.0.2.1 192.0.2.129 2001:db8::1], of them with a subnet [192.0.2.129]",
		"lo":   "internal true, has [198.51.100.1], of them with a subnet []",
		"lan0": "internal false, has [10.0.0.1 203.0.113.1], of them with a subnet [10.0.0.1]",
	}
	updates := p.watch(t)
	g.Eventually(func() map[string]string {
		select {
		case links := <-updates:
			return find(links)
		default:
			return nil
		}
	}).WithTimeout(bound).WithPolling(time.Millisecond).Should(Equal(want))
}

func TestWhichKindsOfInterfacesAreInternal(t *testing.T) {
	const ethernet = unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_BROADCAST | unix.IFF_MULTICAST
	for _, row := range []struct {
		name     string
		link     netlink.Link
		flags    uint32
		internal bool
	}{
		{"a dummy", &netlink.Dummy{}, ethernet | unix.IFF_NOARP, true},
		{"a dummy with ARP switched on", &netlink.Dummy{}, ethernet, true},
		{"a dummy that is switched off, as kube-proxy makes it", &netlink.Dummy{}, unix.IFF_BROADCAST | unix.IFF_NOARP, true},
		{"the loopback", &netlink.Device{}, unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOOPBACK, true},
		{"a tunnel", &netlink.Iptun{}, unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_NOARP, true},
		{"a VRF", &netlink.Vrf{}, ethernet | unix.IFF_NOARP, true},
		{"a card", &netlink.Device{}, ethernet, false},
		{"a card without carrier", &netlink.Device{}, unix.IFF_UP | unix.IFF_BROADCAST, false},
		{"a VLAN", &netlink.Vlan{}, ethernet, false},
		{"a bond", &netlink.Bond{}, ethernet, false},
		{"a macvlan", &netlink.Macvlan{}, ethernet, false},
		{"a bridge", &netlink.Bridge{}, ethernet, false},
		{"a veth", &netlink.Veth{}, ethernet, false},
	} {
		for _, name := range []string{"eth0", "kube-ipvs0", "kube-dummy-if", "dummy0", "lo"} {
			row.link.Attrs().Name, row.link.Attrs().RawFlags = name, row.flags
			if got := link.FromKernel(row.link); got.Internal() != row.internal || got.Name != name {
				t.Errorf("%s named %s is internal: %t, want %t", row.name, name, got.Internal(), row.internal)
			}
		}
	}
}

func TestWatchSeesTheEndOfDuplicateAddressDetection(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	updates := p.watch(t)
	usable := func(l link.Link) bool { return l.LinkLocal.IsValid() }
	states := until(t, updates, usable)
	own := states[len(states)-1].LinkLocal
	g.Expect(own).To(Equal(netip.MustParseAddr("fe80::ff:fe00:1")))
	for _, s := range states[:len(states)-1] {
		if slices.Contains(s.Addresses, own) {
			g.Expect(s.LinkLocal.IsValid()).To(BeFalse(), "tentative")
		}
	}

	lower := netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP("fe80::1"), Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD}
	g.Expect(p.inNode.AddrAdd(p.node, &lower)).To(Succeed())
	until(t, updates, func(l link.Link) bool { return l.LinkLocal == netip.MustParseAddr("fe80::1") })
	g.Expect(p.inNode.AddrDel(p.node, &lower)).To(Succeed())
	until(t, updates, func(l link.Link) bool { return l.LinkLocal == own })
	g.Expect(p.inNode.LinkSetDown(p.node)).To(Succeed())
	until(t, updates, func(l link.Link) bool { return !l.LinkLocal.IsValid() })
}

func TestAnAddressThatSomebodyElseHasIsNotUsable(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	until(t, p.watch(t), func(l link.Link) bool { return l.Carrier })
	taken := netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP("fe80::1"), Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD}
	g.Expect(linktest.Handle(t, p.peerNS).AddrAdd(p.peer, &taken)).To(Succeed())
	taken.Flags = 0
	g.Expect(p.inNode.AddrAdd(p.node, &taken)).To(Succeed())
	g.Eventually(func(g Gomega) {
		found, err := p.inNode.AddrList(p.node, netlink.FAMILY_V6)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(slices.ContainsFunc(found, func(a netlink.Addr) bool {
			return a.IP.Equal(taken.IP) && a.Flags&unix.IFA_F_DADFAILED != 0
		})).To(BeTrue())
	}).WithTimeout(bound).Should(Succeed())
	until(t, p.watch(t), func(l link.Link) bool {
		return slices.Contains(l.Addresses, netip.MustParseAddr("fe80::1")) && l.LinkLocal != netip.MustParseAddr("fe80::1")
	})
}
