// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"metalsuite.io/api/reason"
)

func TestBest(t *testing.T) {
	at := func(text string, flags int) address {
		return address{netip.MustParsePrefix(text), flags | unix.IFA_F_PERMANENT}
	}
	leased := func(text string) address { return address{netip.MustParsePrefix(text), 0} }
	for _, row := range []struct {
		name string
		in   []address
		ipv6 bool
		want string
	}{
		{"nothing", nil, true, ""},
		{"link-local alone", []address{at("fe80::1/64", 0)}, true, ""},
		{"loopback alone", []address{at("::1/128", 0), at("127.0.0.1/8", 0)}, true, ""},
		{"the other family", []address{at("192.0.2.1/24", 0), at("2001:db8::1/64", 0)}, true, "2001:db8::1"},
		{"the other family, the other way", []address{at("192.0.2.1/24", 0), at("2001:db8::1/64", 0)}, false, "192.0.2.1"},
		{"unique local", []address{at("fd00::1/64", 0)}, true, "fd00::1"},
		{"tentative", []address{at("2001:db8::1/64", unix.IFA_F_TENTATIVE), at("2001:db8::2/64", 0)}, true, "2001:db8::2"},
		{"optimistic", []address{at("2001:db8::1/64", unix.IFA_F_TENTATIVE|unix.IFA_F_OPTIMISTIC)}, true, ""},
		{"a duplicate", []address{at("2001:db8::1/64", unix.IFA_F_DADFAILED)}, true, ""},
		{"deprecated", []address{at("2001:db8::1/64", unix.IFA_F_DEPRECATED)}, true, ""},
		{"temporary", []address{at("2001:db8::1/64", unix.IFA_F_TEMPORARY)}, true, ""},
		{"a second one of IPv4", []address{at("192.0.2.2/24", unix.IFA_F_SECONDARY)}, false, "192.0.2.2"},
		{"a single one", []address{at("2001:db8::1/128", 0), at("2001:db8::2/64", 0)}, true, "2001:db8::2"},
		{"a single one alone", []address{at("192.0.2.1/32", 0)}, false, "192.0.2.1"},
		{"one that the network gave", []address{leased("2001:db8::1/64"), at("2001:db8::2/64", 0)}, true, "2001:db8::2"},
		{"the lowest", []address{at("2001:db8::2/64", 0), at("2001:db8::1/64", 0)}, true, "2001:db8::1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := best(row.in, row.ipv6); got.IsValid() != (row.want != "") || got.IsValid() && got.String() != row.want {
				t.Errorf("got %v, want %s", got, row.want)
			}
		})
	}
}

func (p *pair) configure(name, text string) {
	p.Helper()
	a, err := netlink.ParseAddr(text)
	must(p, err)
	must(p, p.inNode.AddrAdd(p.find(p.inNode, name), a))
}

func (p *pair) route(text, via string) {
	p.Helper()
	_, to, err := net.ParseCIDR(text)
	must(p, err)
	must(p, p.inNode.RouteAdd(&netlink.Route{Dst: to, Gw: net.ParseIP(via)}))
}

func TestWaysAndAddresses(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	p.add()
	must(t, p.inNode.LinkSetUp(p.find(p.inNode, "lo")))
	p.configure("lan0", "192.0.2.1/24")
	p.configure("lan0", "2001:db8::1/64")
	p.configure("lo", "198.51.100.1/32")
	p.configure("lo", "2001:db8:1::1/128")
	for _, text := range []string{"2001:db8::1", "fe80::ff:fe00:1"} {
		g.Eventually(func() (bool, error) { return p.kernel.HasAddress(netip.MustParseAddr(text)) }).WithTimeout(bound).Should(BeTrue(), text)
	}
	p.route("203.0.113.0/24", "192.0.2.9")
	p.route("2001:db8:9::/48", "2001:db8::9")
	address := netip.MustParseAddr

	for peer, want := range map[string]string{
		"192.0.2.9": "192.0.2.1", "203.0.113.7": "192.0.2.1", "2001:db8::9": "2001:db8::1", "2001:db8:9::7": "2001:db8::1",
		"fe80::9%lan0": "fe80::ff:fe00:1",
	} {
		way, err := p.kernel.Way(address(peer), "")
		g.Expect(err).NotTo(HaveOccurred(), peer)
		routed := strings.HasSuffix(peer, "7")
		g.Expect(way).To(Equal(Way{Local: address(want), Interface: "lan0", OnLink: !routed}), peer)
	}
	_, err := p.kernel.Way(address("198.18.0.1"), "")
	g.Expect(errors.Is(err, unix.ENETUNREACH)).To(BeTrue(), "%v", err)
	_, err = p.kernel.Way(address("192.0.2.9"), "gone")
	g.Expect(err).To(HaveOccurred())

	for _, row := range []struct {
		local, via string
		ipv6       bool
		want       string
	}{
		{"192.0.2.1", "lan0", true, "2001:db8::1"},
		{"192.0.2.1", "", true, "2001:db8::1"},
		{"2001:db8::1", "", false, "192.0.2.1"},
		{"fe80::ff:fe00:1%lan0", "", false, "192.0.2.1"},
		{"198.51.100.1", "lan0", true, "2001:db8:1::1"},
		{"192.0.2.77", "lan0", true, "2001:db8::1"},
	} {
		found, err := p.kernel.GlobalAddress(address(row.local), row.via, row.ipv6)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(found).To(Equal(address(row.want)), "%+v", row)
	}
	for _, via := range []string{"", "gone"} {
		found, err := p.kernel.GlobalAddress(netip.Addr{}, via, true)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(found.IsValid()).To(BeFalse())
	}

	for text, want := range map[string]bool{"192.0.2.1": true, "2001:db8:1::1": true, "192.0.2.9": false, "fe80::ff:fe00:1%any": true} {
		has, err := p.kernel.HasAddress(address(text))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(has).To(Equal(want), text)
	}
	for name, want := range map[string]bool{"lan0": true, "lo": true, "gone": false} {
		has, err := p.kernel.HasInterface(name)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(has).To(Equal(want), name)
	}
}

func TestWayInAVRF(t *testing.T) {
	p := newPair(t)
	p.add()
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "red"
	vrf := &netlink.Vrf{LinkAttrs: attributes, Table: 100}
	if err := p.inNode.LinkAdd(vrf); errors.Is(err, unix.EOPNOTSUPP) {
		t.Log("this kernel has no VRFs")
		return
	} else if err != nil {
		t.Fatal(err)
	}
	must(t, p.inNode.LinkSetUp(vrf))
	must(t, p.inNode.LinkSetMaster(p.lan0(), vrf))
	p.configure("lan0", "192.0.2.1/24")
	g := NewWithT(t)
	way, err := p.kernel.Way(netip.MustParseAddr("192.0.2.9"), "red")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(way).To(Equal(Way{Local: netip.MustParseAddr("192.0.2.1"), Interface: "lan0", OnLink: true}))
	_, err = p.kernel.Way(netip.MustParseAddr("192.0.2.9"), "")
	g.Expect(err).To(HaveOccurred())
	w := p.watch()
	p.finds(w, reason.NoRouterAdvertisement, "")
	p.send(bytesOf(Advertisement, routerMAC), 255, "fe80::1")
	p.finds(w, "", "fe80::1%lan0")
}
