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
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/announcers/l2/link/linktest"
)

var (
	nodeMAC = link.MAC{0x02, 0, 0, 0, 0, 0x01}
	peerMAC = link.MAC{0x02, 0, 0, 0, 0, 0x99}
)

const bound = 5 * time.Second

// pair is a veth pair, lan0 in one namespace and peer0 in another.
type pair struct {
	host       *link.Host
	inNode     *netlink.Handle
	node, peer netlink.Link
	nodeNS     netns.NsHandle
	peerNS     netns.NsHandle
}

func newPair(t testing.TB) *pair {
	t.Helper()
	g := NewWithT(t)
	nodeNS, peerNS := linktest.Namespace(t), linktest.Namespace(t)
	inNode, inPeer := linktest.Handle(t, nodeNS), linktest.Handle(t, peerNS)
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.HardwareAddr = "lan0", nodeMAC[:]
	g.Expect(inNode.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "peer0", PeerHardwareAddr: peerMAC[:], PeerNamespace: netlink.NsFd(peerNS)})).To(Succeed())
	node, err := inNode.LinkByName("lan0")
	g.Expect(err).NotTo(HaveOccurred())
	peer, err := inPeer.LinkByName("peer0")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(inNode.LinkSetUp(node)).To(Succeed())
	g.Expect(inPeer.LinkSetUp(peer)).To(Succeed())
	p := &pair{host: link.NewHostAt(nodeNS), inNode: inNode, node: node, peer: peer, nodeNS: nodeNS, peerNS: peerNS}
	p.awaitCarrier(t)
	return p
}

// awaitCarrier waits until the kernel has taken note of the carrier on both ends: before, it drops what is sent and says nothing.
func (p *pair) awaitCarrier(t testing.TB) {
	t.Helper()
	inPeer := linktest.Handle(t, p.peerNS)
	NewWithT(t).Eventually(func() bool { return isRunning(p.inNode, "lan0") && isRunning(inPeer, "peer0") }).
		WithTimeout(bound).WithPolling(time.Millisecond).Should(BeTrue())
}

func isRunning(in *netlink.Handle, name string) bool {
	l, err := in.LinkByName(name)
	return err == nil && l.Attrs().RawFlags&unix.IFF_RUNNING != 0
}

// link is lan0 as the Host opens it.
func (p *pair) link() link.Link {
	return link.Link{Index: p.node.Attrs().Index, Name: "lan0", MAC: nodeMAC}
}

// watch starts a Watch that ends with the test, and returns what it sends.
func (p *pair) watch(t *testing.T) <-chan []link.Link {
	t.Helper()
	updates, done := make(chan []link.Link), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- p.host.Watch(ctx, updates) }()
	t.Cleanup(func() {
		cancel()
		NewWithT(t).Eventually(done).WithTimeout(bound).Should(Receive(BeNil()))
	})
	return updates
}

// until reads updates until lan0 is as wished, and returns every state of it on the way. It is there all the time.
func until(t *testing.T, updates <-chan []link.Link, wish func(link.Link) bool) []link.Link {
	t.Helper()
	var states []link.Link
	for timeout := time.After(bound); ; {
		select {
		case links := <-updates:
			i := slices.IndexFunc(links, func(l link.Link) bool { return l.Name == "lan0" })
			if i < 0 {
				t.Fatalf("lan0 is missing among %+v", links)
			}
			if states = append(states, links[i]); wish(links[i]) {
				return states
			}
		case <-timeout:
			t.Fatalf("lan0 never became as wished: %+v", states)
		}
	}
}

func TestWatchSeesWhatHappensToAnInterface(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	updates := p.watch(t)
	states := until(t, updates, func(l link.Link) bool { return l.Carrier })
	last := states[len(states)-1]
	g.Expect(last.MAC).To(Equal(nodeMAC))
	g.Expect(last.Up && last.Broadcast && !last.NoARP && !last.Loopback && last.Master == 0).To(BeTrue(), "%+v", last)

	address, err := netlink.ParseAddr("192.0.2.1/24")
	g.Expect(err).NotTo(HaveOccurred())
	configured := func(l link.Link) bool { return slices.Contains(l.Addresses, netip.MustParseAddr("192.0.2.1")) }
	g.Expect(p.inNode.AddrAdd(p.node, address)).To(Succeed())
	until(t, updates, configured)
	g.Expect(p.inNode.AddrDel(p.node, address)).To(Succeed())
	until(t, updates, func(l link.Link) bool { return !configured(l) })

	g.Expect(p.inNode.LinkSetHardwareAddr(p.node, net.HardwareAddr{2, 0, 0, 0, 0, 0x77})).To(Succeed())
	until(t, updates, func(l link.Link) bool { return l.MAC == link.MAC{2, 0, 0, 0, 0, 0x77} })
}

func TestWatchSeesAShortInterruption(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	updates := p.watch(t)
	until(t, updates, func(l link.Link) bool { return l.Carrier })
	g.Expect(p.inNode.LinkSetDown(p.node)).To(Succeed())
	g.Expect(p.inNode.LinkSetUp(p.node)).To(Succeed())
	until(t, updates, func(l link.Link) bool { return !l.Up && !l.Carrier })
	until(t, updates, func(l link.Link) bool { return l.Up && l.Carrier })
}

func TestWatchSeesAnInterfaceJoinAndLeaveABridge(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	updates := p.watch(t)
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "br0"
	bridge := &netlink.Bridge{LinkAttrs: attributes}
	g.Expect(p.inNode.LinkAdd(bridge)).To(Succeed())
	g.Expect(p.inNode.LinkSetMaster(p.node, bridge)).To(Succeed())
	until(t, updates, func(l link.Link) bool { return l.Master == bridge.Index })
	g.Expect(p.inNode.LinkSetNoMaster(p.node)).To(Succeed())
	until(t, updates, func(l link.Link) bool { return l.Master == 0 })
}

// request is an ARP request from the peer to everybody.
func request() []byte {
	f := make([]byte, 60)
	copy(f[0:], link.Broadcast[:])
	copy(f[6:], peerMAC[:])
	copy(f[12:], []byte{0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1})
	copy(f[22:], peerMAC[:])
	copy(f[28:], []byte{192, 0, 2, 254})
	copy(f[38:], []byte{192, 0, 2, 1})
	return f
}
