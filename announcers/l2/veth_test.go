// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/announcers/l2/link/linktest"
)

// answerTime is how long the peer waits for answers; two nodes on one machine need far less.
const answerTime = 60 * time.Millisecond

// veth is a segment made of a veth pair between two network namespaces.
type veth struct {
	tb         testing.TB
	node, peer netns.NsHandle
	inNode     *netlink.Handle
	inPeer     *netlink.Handle
	conn       *packet.Conn
	listening  sync.WaitGroup

	mu   sync.Mutex
	wire []seen
}

func newVeth(tb testing.TB) *veth {
	tb.Helper()
	v := &veth{tb: tb, node: linktest.Namespace(tb), peer: linktest.Namespace(tb)}
	v.inNode, v.inPeer = linktest.Handle(tb, v.node), linktest.Handle(tb, v.peer)
	// Duplicate address detection would keep the link-local address from use for two seconds.
	v.must(linktest.Inside(v.node, func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0)
	}))
	v.add()
	return v
}

func (v *veth) must(err error) {
	v.tb.Helper()
	if err != nil {
		v.tb.Fatal(err)
	}
}

func (v *veth) links() Links { return HostLinks(link.NewHostAt(v.node)) }

func (v *veth) add() {
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.HardwareAddr = lan, nodeMAC[:]
	v.must(v.inNode.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "peer0", PeerHardwareAddr: peerMAC[:], PeerNamespace: netlink.NsFd(v.peer)}))
	v.must(v.inNode.LinkSetUp(v.nodeLink()))
	// The peer listens before there is carrier, so that it misses nothing.
	v.listen()
	v.must(v.inPeer.LinkSetUp(v.peerLink()))
}

func (v *veth) remove() {
	v.must(v.inNode.LinkDel(v.nodeLink()))
	v.must(v.conn.Close())
	v.listening.Wait()
}

func (v *veth) nodeLink() netlink.Link { return v.find(v.inNode, lan) }
func (v *veth) peerLink() netlink.Link { return v.find(v.inPeer, "peer0") }

func (v *veth) find(h *netlink.Handle, name string) netlink.Link {
	l, err := h.LinkByName(name)
	v.must(err)
	return l
}

// listen records every frame of ARP and neighbour discovery that reaches the peer.
func (v *veth) listen() {
	index := v.peerLink().Attrs().Index
	v.must(linktest.Inside(v.peer, func() (err error) {
		v.conn, err = packet.Listen(&net.Interface{Index: index, HardwareAddr: peerMAC[:]}, packet.Raw, unix.ETH_P_ALL, nil)
		return err
	}))
	conn := v.conn
	v.listening.Go(func() { v.record(conn) })
	v.tb.Cleanup(func() { _ = conn.Close(); v.listening.Wait() })
}

func (v *veth) record(conn *packet.Conn) {
	buffer := make([]byte, 256)
	for {
		n, _, err := conn.ReadFrom(buffer)
		if errors.Is(err, unix.ENETDOWN) {
			continue
		}
		if err != nil {
			return
		}
		if f, ok := read(slices.Clone(buffer[:n])); ok && f.from != peerMAC && f.from != strangerMAC && f.isOurs() {
			v.mu.Lock()
			v.wire = append(v.wire, f)
			v.mu.Unlock()
		}
	}
}

func (v *veth) send(frame []byte) {
	// Without carrier the frame is refused, which is what some specs are about.
	_, _ = v.conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
}

func (v *veth) answers(addr netip.Addr) []link.MAC {
	deadline := time.After(answerTime)
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for {
		v.mu.Lock()
		macs := takeAnswers(&v.wire, addr)
		v.mu.Unlock()
		if len(macs) > 0 {
			return macs
		}
		select {
		case <-deadline:
			return nil
		case <-poll.C:
		}
	}
}

func (v *veth) unasked() []seen {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(v.wire), func(f seen) bool { return f.to == peerMAC })
}

func (v *veth) setCarrier(on bool) {
	if on {
		v.must(v.inPeer.LinkSetUp(v.peerLink()))
		return
	}
	v.must(v.inPeer.LinkSetDown(v.peerLink()))
}

func (v *veth) setMAC(m link.MAC) { v.must(v.inNode.LinkSetHardwareAddr(v.nodeLink(), m[:])) }

func (v *veth) configure(addr netip.Addr) {
	bits := 24
	if addr.Is6() {
		bits = 64
	}
	parsed, err := netlink.ParseAddr(fmt.Sprintf("%s/%d", addr, bits))
	v.must(err)
	v.must(v.inNode.AddrAdd(v.nodeLink(), parsed))
}

func (v *veth) proxy(addr netip.Addr) {
	v.must(linktest.Inside(v.node, func() error {
		return os.WriteFile("/proc/sys/net/ipv4/conf/all/arp_ignore", []byte("1"), 0)
	}))
	proxy := linktest.Internal(v.tb, v.inNode, "kube-dummy-if")
	v.must(v.inNode.AddrAdd(proxy, &netlink.Addr{IPNet: netlink.NewIPNet(addr.AsSlice())}))
}

func (v *veth) route(via netip.Addr) {
	destination, flags := "203.0.113.0/24", int(netlink.FLAG_ONLINK)
	if via.Is6() {
		destination = "2001:db8:ffff::/48"
	} else {
		// Linux takes no route over an interface without an IPv4 address.
		v.configure(netip.MustParseAddr("192.0.2.253"))
	}
	_, to, err := net.ParseCIDR(destination)
	v.must(err)
	v.must(v.inNode.RouteAdd(&netlink.Route{LinkIndex: v.nodeLink().Attrs().Index, Dst: to, Gw: via.AsSlice(), Flags: flags}))
}
