// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"net"
	"net/netip"
	"slices"
	"testing"

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
