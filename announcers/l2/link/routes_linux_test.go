// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"metalsuite.io/announcers/l2/link"
)

// watchRoutes starts a WatchRoutes that ends with the test, and returns what it sends.
func (p *pair) watchRoutes(t *testing.T, rest time.Duration) <-chan link.Routes {
	t.Helper()
	updates, done := make(chan link.Routes), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- p.host.WatchRoutesResting(ctx, updates, rest) }()
	t.Cleanup(func() {
		cancel()
		NewWithT(t).Eventually(done).WithTimeout(bound).Should(Receive(BeNil()))
	})
	return updates
}

// settle reads updates until the gateways and the subnets on lan0 are as wished.
func (p *pair) settle(t *testing.T, updates <-chan link.Routes, wish string, ok func(hops []netip.Addr, onLink []netip.Prefix) bool) {
	t.Helper()
	var last link.Routes
	for timeout := time.After(bound); ; {
		select {
		case last = <-updates:
			if ok(last.NextHops, last.OnLink[p.node.Attrs().Index]) {
				return
			}
		case <-timeout:
			t.Fatalf("%s: the routes are still %+v", wish, last)
		}
	}
}

func (p *pair) hops(t *testing.T, updates <-chan link.Routes, want ...string) {
	t.Helper()
	var addrs []netip.Addr
	for _, w := range want {
		addrs = append(addrs, netip.MustParseAddr(w))
	}
	p.settle(t, updates, "gateways", func(hops []netip.Addr, _ []netip.Prefix) bool { return slices.Equal(hops, addrs) })
}

func (p *pair) onLink(t *testing.T, updates <-chan link.Routes, want ...string) {
	t.Helper()
	p.settle(t, updates, "subnets", func(_ []netip.Addr, onLink []netip.Prefix) bool { return slices.Equal(onLink, prefixes(want...)) })
}

func (p *pair) address(t *testing.T, text string) *netlink.Addr {
	t.Helper()
	a, err := netlink.ParseAddr(text)
	g := NewWithT(t)
	g.Expect(err).NotTo(HaveOccurred())
	// Without duplicate address detection the address is there at once.
	a.Flags = unix.IFA_F_NODAD
	g.Expect(p.inNode.AddrAdd(p.node, a)).To(Succeed())
	return a
}

// via is a route over lan0.
func (p *pair) via(to, gateway string) *netlink.Route {
	r := &netlink.Route{LinkIndex: p.node.Attrs().Index}
	if to != "" {
		_, r.Dst, _ = net.ParseCIDR(to)
	}
	if r.Gw = net.ParseIP(gateway); r.Gw == nil {
		r.Scope = netlink.SCOPE_LINK
	}
	return r
}

func TestWatchRoutesSeesGateways(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	p.address(t, "192.0.2.1/24")
	p.address(t, "2001:db8::1/64")
	updates := p.watchRoutes(t, time.Millisecond)
	p.hops(t, updates)

	g.Expect(p.inNode.RouteAdd(p.via("0.0.0.0/0", "192.0.2.254"))).To(Succeed())
	p.hops(t, updates, "192.0.2.254")
	g.Expect(p.inNode.RouteReplace(p.via("0.0.0.0/0", "192.0.2.253"))).To(Succeed())
	p.hops(t, updates, "192.0.2.253")
	g.Expect(p.inNode.RouteAdd(p.via("::/0", "fe80::fe"))).To(Succeed())
	p.hops(t, updates, "192.0.2.253", "fe80::fe")
	g.Expect(p.inNode.RouteAdd(p.via("2001:db8:1::/48", "2001:db8::fe"))).To(Succeed())
	p.hops(t, updates, "192.0.2.253", "2001:db8::fe", "fe80::fe")

	many := p.via("198.51.100.0/24", "")
	many.Scope, many.LinkIndex = netlink.SCOPE_UNIVERSE, 0
	for _, gateway := range []string{"192.0.2.251", "192.0.2.250"} {
		many.MultiPath = append(many.MultiPath, &netlink.NexthopInfo{LinkIndex: p.node.Attrs().Index, Gw: net.ParseIP(gateway)})
	}
	g.Expect(p.inNode.RouteAdd(many)).To(Succeed())
	p.hops(t, updates, "192.0.2.250", "192.0.2.251", "192.0.2.253", "2001:db8::fe", "fe80::fe")
	g.Expect(p.inNode.RouteDel(many)).To(Succeed())

	elsewhere := p.via("203.0.113.0/24", "192.0.2.249")
	elsewhere.Table = 1234
	g.Expect(p.inNode.RouteAdd(elsewhere)).To(Succeed())
	p.hops(t, updates, "192.0.2.249", "192.0.2.253", "2001:db8::fe", "fe80::fe")
	// The kernel reports none of the routes that it drops with the interface.
	g.Expect(p.inNode.LinkSetDown(p.node)).To(Succeed())
	p.hops(t, updates)
}

func TestWatchRoutesSeesAGatewayOfTheOtherFamily(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	p.address(t, "192.0.2.1/24")
	r := p.via("198.51.100.0/24", "")
	r.Scope = netlink.SCOPE_UNIVERSE
	r.Via = &netlink.Via{AddrFamily: unix.AF_INET6, Addr: net.ParseIP("fe80::fe")}
	g.Expect(p.inNode.RouteAdd(r)).To(Succeed())
	p.hops(t, p.watchRoutes(t, time.Millisecond), "fe80::fe")
}

func TestWatchRoutesSeesSubnets(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	updates := p.watchRoutes(t, time.Millisecond)
	address := p.address(t, "192.0.2.1/24")
	p.onLink(t, updates, "192.0.2.0/24")
	p.address(t, "2001:db8::1/64")
	p.onLink(t, updates, "192.0.2.0/24", "2001:db8::/64")
	for _, to := range []string{"198.51.100.0/25", "198.51.100.200/32", "2001:db8:7::/64", "2001:db8:8::1/128", "224.0.0.0/4"} {
		g.Expect(p.inNode.RouteAdd(p.via(to, ""))).To(Succeed())
	}
	p.onLink(t, updates, "192.0.2.0/24", "198.51.100.0/25", "2001:db8::/64", "2001:db8:7::/64")
	daemon := p.via("2001:db8:9::/64", "")
	daemon.Protocol = unix.RTPROT_BIRD
	g.Expect(p.inNode.RouteAdd(daemon)).To(Succeed())
	// With the last address of IPv4 go all its routes; the kernel reports none of those that were added by hand.
	g.Expect(p.inNode.AddrDel(p.node, address)).To(Succeed())
	p.onLink(t, updates, "2001:db8::/64", "2001:db8:7::/64")
}

func TestWatchRoutesRestsBetweenListings(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	const rest = 100 * time.Millisecond
	updates := p.watchRoutes(t, rest)
	first := link.Routes{}
	g.Eventually(updates).WithTimeout(bound).Should(Receive(&first))
	started := time.Now()
	p.address(t, "192.0.2.1/24")
	p.onLink(t, updates, "192.0.2.0/24")
	g.Expect(time.Since(started)).To(BeNumerically(">", rest/2), "since the first listing")
}

func TestWatchRoutesSurvivesMoreChangesThanItsBufferHolds(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	updates := p.watchRoutes(t, time.Millisecond)
	// Nobody takes the first update, so the notices pile up.
	for range 3000 {
		p.address(t, "192.0.2.1/24")
		g.Expect(p.inNode.AddrDel(p.node, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(24, 32)}})).To(Succeed())
	}
	p.address(t, "198.51.100.1/24")
	p.onLink(t, updates, "198.51.100.0/24")
}

func TestWatchRoutesEndsWhileItRests(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	ctx, cancel := context.WithCancel(context.Background())
	updates, done := make(chan link.Routes), make(chan error, 1)
	go func() { done <- p.host.WatchRoutes(ctx, updates) }()
	g.Eventually(updates).WithTimeout(bound).Should(Receive())
	cancel()
	g.Eventually(done).WithTimeout(bound).Should(Receive(BeNil()))
}
