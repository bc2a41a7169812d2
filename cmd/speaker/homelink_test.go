// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"

	"metalsuite.io/announcers/l2/link/linktest"
)

func TestHomeLinkFollowsTheCarrier(t *testing.T) {
	home := netip.MustParseAddr("192.0.2.1")
	ns := linktest.Namespace(t)
	host := linktest.Handle(t, ns)
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "port"}
	address, err := netlink.ParseAddr("192.0.2.1/24")
	if err := errors.Join(err, host.LinkAdd(veth), host.AddrAdd(veth, address), host.LinkSetUp(veth)); err != nil {
		t.Fatal(err)
	}
	port, err := host.LinkByName("port")
	if err != nil {
		t.Fatal(err)
	}
	carrier := func(of netip.Addr) (up bool) {
		if err := linktest.Inside(ns, func() error { up = homeLink(of)(); return nil }); err != nil {
			t.Fatal(err)
		}
		return up
	}
	// The kernel passes the news of a carrier on in its own time.
	seen := NewWithT(t).Eventually(carrier).WithArguments(home).WithTimeout(10 * time.Second)
	seen.Should(BeFalse(), "the other end is down, so there is no carrier")
	if err := host.LinkSetUp(port); err != nil {
		t.Fatal(err)
	}
	seen.Should(BeTrue(), "both ends are up, so there is carrier")
	if !carrier(netip.MustParseAddr("192.0.2.77")) {
		t.Fatal("an address that is on no interface says nothing about links")
	}
}
