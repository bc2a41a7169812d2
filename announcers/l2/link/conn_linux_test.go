// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/announcers/l2/link/linktest"
)

// open opens a Conn on lan0 until the test ends.
func (p *pair) open(tb testing.TB, protocol link.Protocol) *link.Conn {
	tb.Helper()
	conn, err := p.host.Open(p.link(), protocol)
	NewWithT(tb).Expect(err).NotTo(HaveOccurred())
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// serve collects the frames that a Conn delivers, until Serve ends.
func serve(conn *link.Conn) (frames <-chan []byte, done <-chan error) {
	received, ended := make(chan []byte, 1000), make(chan error, 1)
	go func() {
		ended <- conn.Serve(func(f []byte, _ func([]byte) error) { received <- slices.Clone(f) })
	}()
	return received, ended
}

// peerSocket opens a packet socket on the peer's end.
func (p *pair) peerSocket(tb testing.TB, etherType int) *packet.Conn {
	tb.Helper()
	var peer *packet.Conn
	err := linktest.Inside(p.peerNS, func() (err error) {
		peer, err = packet.Listen(&net.Interface{Index: p.peer.Attrs().Index}, packet.Raw, etherType, nil)
		return err
	})
	NewWithT(tb).Expect(err).NotTo(HaveOccurred())
	tb.Cleanup(func() { _ = peer.Close() })
	return peer
}

func sendAll(t *testing.T, from *packet.Conn, frames ...[]byte) {
	t.Helper()
	for _, f := range frames {
		_, err := from.WriteTo(f, &packet.Addr{HardwareAddr: f[:6]})
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
	}
}

// receive takes the next frame.
func receive(t *testing.T, frames <-chan []byte, want []byte) {
	t.Helper()
	NewWithT(t).Eventually(frames).WithTimeout(bound).Should(Receive(Equal(want)))
}

// edit returns a changed copy of a frame.
func edit(frame []byte, changes map[int][]byte) []byte {
	f := slices.Clone(frame)
	for at, b := range changes {
		copy(f[at:], b)
	}
	return f
}

func tagged(frame []byte) []byte {
	return slices.Concat(frame[:12], []byte{0x81, 0, 0, 5}, frame[12:])
}

// solicitation asks everybody in a group for 2001:db8::1.
func solicitation() []byte {
	f := make([]byte, 86)
	copy(f, []byte{0x33, 0x33, 0xff, 0, 0, 1})
	copy(f[6:], peerMAC[:])
	copy(f[12:], []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255, 0xfe, 0x80})
	f[54] = 135
	copy(f[62:], netip.MustParseAddr("2001:db8::1").AsSlice())
	return f
}

var otherMAC = []byte{0x02, 0, 0, 0, 0, 0x55}

func TestConnDeliversWhatConcernsThisStation(t *testing.T) {
	for _, row := range []struct {
		protocol  link.Protocol
		etherType int
		frame     []byte
		good      []map[int][]byte
		bad       []map[int][]byte
	}{
		{
			link.ARP, unix.ETH_P_ARP, request(),
			[]map[int][]byte{nil, {0: nodeMAC[:]}, {21: {2}}, {0: nodeMAC[:], 21: {2}}},
			[]map[int][]byte{{0: otherMAC}, {0: {0x01, 0, 0x5e, 0, 0, 1}}, {21: {3}}, {18: {8}}, {14: {0, 6}}},
		},
		{
			link.NDP, unix.ETH_P_IPV6, solicitation(),
			[]map[int][]byte{nil, {0: nodeMAC[:]}, {0: link.Broadcast[:]}, {54: {136}}},
			[]map[int][]byte{{0: otherMAC}, {54: {134}}, {55: {1}}, {21: {254}}, {20: {17}}},
		},
	} {
		t.Run(row.protocol.String(), func(t *testing.T) {
			g := NewWithT(t)
			p := newPair(t)
			// A promiscuous interface brings frames for other stations up to the sockets.
			g.Expect(p.inNode.SetPromiscOn(p.node)).To(Succeed())
			conn := p.open(t, row.protocol)
			g.Expect(conn.Filter(prefixes("192.0.2.0/24", "2001:db8::/64"))).To(Succeed())
			frames, _ := serve(conn)
			peer := p.peerSocket(t, row.etherType)
			g.Expect(conn.Write(row.frame)).To(Succeed())
			sendAll(t, peer, tagged(row.frame))
			for _, changes := range row.bad {
				sendAll(t, peer, edit(row.frame, changes))
			}
			for _, changes := range row.good {
				f := edit(row.frame, changes)
				sendAll(t, peer, f)
				receive(t, frames, f)
			}
		})
	}
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestFilterChangesWhileFramesArrive(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	conn, peer := p.open(t, link.ARP), p.peerSocket(t, unix.ETH_P_ARP)
	frames, _ := serve(conn)
	other := edit(request(), map[int][]byte{38: {198, 51, 100, 1}, 28: {198, 51, 100, 2}})
	for _, f := range [][]byte{request(), other} {
		sendAll(t, peer, f)
		receive(t, frames, f)
	}
	g.Expect(conn.Filter(prefixes("192.0.2.0/24"))).To(Succeed())
	sendAll(t, peer, other, request())
	receive(t, frames, request())
	g.Expect(conn.Filter(nil)).To(Succeed())
	sendAll(t, peer, other)
	receive(t, frames, other)
}

// limitOptions makes the kernel give the sockets of a namespace as little memory for options as older ones do without being asked. A
// kernel that keeps one limit for all namespaces shows it in none.
func limitOptions(t *testing.T, ns netns.NsHandle) {
	t.Helper()
	err := linktest.Inside(ns, func() error { return os.WriteFile("/proc/sys/net/core/optmem_max", []byte("20480"), 0) })
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("limiting the memory for socket options: %v", err)
	}
}

func TestFilterThatTheKernelHasNoRoomForLetsEverythingUp(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	limitOptions(t, p.nodeNS)
	conn, peer := p.open(t, link.ARP), p.peerSocket(t, unix.ETH_P_ARP)
	frames, _ := serve(conn)
	var many []netip.Prefix
	for i := range 1400 {
		many = append(many, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 32))
	}
	// The second does not fit beside the first, the last not even alone.
	for _, count := range []int{500, 600, 1400} {
		g.Expect(conn.Filter(many[:count])).To(Succeed())
	}
	sendAll(t, peer, request())
	receive(t, frames, request())
}

func TestReplyGoesOutOnTheSameSocket(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	conn, peer := p.open(t, link.ARP), p.peerSocket(t, unix.ETH_P_ARP)
	answer := edit(request(), map[int][]byte{0: peerMAC[:], 6: nodeMAC[:], 21: {2}})
	go func() { _ = conn.Serve(func(_ []byte, reply func([]byte) error) { _ = reply(answer) }) }()
	g.Expect(peer.SetReadDeadline(time.Now().Add(bound))).To(Succeed())
	sendAll(t, peer, request())
	buffer := make([]byte, 128)
	n, _, err := peer.ReadFrom(buffer)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(buffer[:n]).To(Equal(answer))
	g.Expect(conn.Write([]byte{1, 2, 3})).NotTo(Succeed())
}

func TestCloseEndsServe(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	conn := p.open(t, link.NDP)
	_, done := serve(conn)
	g.Expect(conn.Close()).To(Succeed())
	g.Eventually(done).WithTimeout(bound).Should(Receive(MatchError(net.ErrClosed)))
	g.Expect(conn.Close()).To(Succeed())
	g.Expect(conn.Write(solicitation())).To(MatchError(net.ErrClosed))
	g.Expect(conn.Filter(nil)).To(MatchError(net.ErrClosed))
	g.Expect(conn.Groups(nil)).To(MatchError(net.ErrClosed))
	g.Expect(conn.Serve(nil)).To(MatchError(net.ErrClosed))
}

func TestCloseEndsServeUnderAFlood(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	conn, peer := p.open(t, link.ARP), p.peerSocket(t, unix.ETH_P_ARP)
	served, done, stopped := make(chan struct{}, 1), make(chan error, 1), make(chan struct{})
	go func() {
		done <- conn.Serve(func([]byte, func([]byte) error) {
			// Every frame is followed by another one before the next is read.
			_, _ = peer.WriteTo(request(), &packet.Addr{HardwareAddr: link.Broadcast[:]})
			select {
			case served <- struct{}{}:
			default:
			}
		})
		close(stopped)
	}()
	sendAll(t, peer, request())
	g.Eventually(served).WithTimeout(bound).Should(Receive())
	g.Expect(conn.Close()).To(Succeed())
	g.Eventually(done).WithTimeout(bound).Should(Receive(MatchError(net.ErrClosed)))
	<-stopped
}

func TestServeTellsThatTheInterfaceWentDown(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	conn, peer := p.open(t, link.ARP), p.peerSocket(t, unix.ETH_P_ARP)
	_, done := serve(conn)
	g.Expect(p.inNode.LinkSetDown(p.node)).To(Succeed())
	g.Eventually(done).WithTimeout(bound).Should(Receive(MatchError(unix.ENETDOWN)))
	g.Expect(conn.Write(request())).To(MatchError(unix.ENETDOWN))
	g.Expect(p.inNode.LinkSetUp(p.node)).To(Succeed())
	p.awaitCarrier(t)
	frames, _ := serve(conn)
	sendAll(t, peer, request())
	receive(t, frames, request())
}

func TestFullQueueIsBusy(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	conn := p.open(t, link.ARP)
	g.Expect(p.inNode.QdiscAdd(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: p.node.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       100, Buffer: 15_625_000, Limit: 1000, // bytes a second, ticks of 64 ns, bytes
	})).To(Succeed())
	g.Eventually(func() error { return conn.Write(request()) }).WithTimeout(bound).WithPolling(1).Should(MatchError(link.ErrBusy))
}

func TestOpenNeedsNetRaw(t *testing.T) {
	g := NewWithT(t)
	err := linktest.WithoutRawSockets(func() error {
		conn, err := link.NewHost().Open(link.Link{Index: 1, Name: "lo"}, link.NDP)
		if err == nil {
			return conn.Close()
		}
		return err
	})
	g.Expect(errors.Is(err, os.ErrPermission)).To(BeTrue(), "error %v", err)
}

func TestOpenFailsWithoutInterface(t *testing.T) {
	g := NewWithT(t)
	_, err := link.NewHostAt(linktest.Namespace(t)).Open(link.Link{Index: 99, Name: "gone"}, link.ARP)
	g.Expect(err).To(MatchError(ContainSubstring("gone")))
}
