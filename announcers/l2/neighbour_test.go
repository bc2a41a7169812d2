// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net"
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/announcers/l2/link/linktest"
)

// neighbour returns where the kernel of the peer believes an address to be.
func (v *veth) neighbour(addr netip.Addr) (link.MAC, error) {
	found, err := v.inPeer.NeighList(v.peerLink().Attrs().Index, netlink.FAMILY_V4)
	if err != nil {
		return link.MAC{}, err
	}
	for _, n := range found {
		if n.IP.Equal(addr.AsSlice()) && len(n.HardwareAddr) == len(link.MAC{}) {
			return link.MAC(n.HardwareAddr), nil
		}
	}
	return link.MAC{}, nil
}

// greet makes the kernel of the peer look for an address, as any program on it would.
func (v *veth) greet(addr netip.Addr) error {
	return linktest.Inside(v.peer, func() error {
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 9)))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("hello"))
		return err
	})
}

var _ = Describe("A Linux neighbour", func() {
	It("finds an announced address and follows it to another hardware address unasked", func() {
		v := newVeth(GinkgoTB())
		address, err := netlink.ParseAddr(peerIP.String() + "/24")
		Expect(err).NotTo(HaveOccurred())
		Expect(v.inPeer.AddrAdd(v.peerLink(), address)).To(Succeed())
		n := newNode(v)
		n.start()
		Eventually(func() announcers.State { return n.apply(first).States[first] }).Should(isEffective)

		Expect(v.greet(first)).To(Succeed())
		Eventually(v.neighbour).WithArguments(first).Should(Equal(nodeMAC))
		v.setMAC(newMAC)
		Eventually(v.neighbour).WithArguments(first).Should(Equal(newMAC))
	})
})
