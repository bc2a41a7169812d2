// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"metalsuite.io/api/reason"
)

const bound = 10 * time.Second

var nodeMAC = net.HardwareAddr{0x02, 0, 0, 0, 0, 0x01}

// onThread runs a function on a thread of its own, which ends with it: what the function does to the thread concerns no one else.
func onThread(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- do()
	}()
	return <-done
}

func inside(ns netns.NsHandle, do func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return err
		}
		return do()
	})
}

// namespace makes a network namespace without a name, in which addresses may be used at once. It is gone at the end of the test.
func namespace(t testing.TB) netns.NsHandle {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces and raw sockets, so it must run as root")
	}
	ns := netns.None()
	must(t, onThread(func() (err error) {
		if ns, err = netns.New(); err != nil {
			return err
		}
		return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0)
	}))
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func handle(t testing.TB, ns netns.NsHandle) *netlink.Handle {
	t.Helper()
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	must(t, err)
	t.Cleanup(h.Close)
	return h
}

// pair is a veth pair: lan0 on the node, peer0 on the router.
type pair struct {
	testing.TB
	node, router     netns.NsHandle
	inNode, inRouter *netlink.Handle
	kernel           *Kernel
	conn             *packet.Conn
	reading          sync.WaitGroup

	mu   sync.Mutex
	seen []packetSeen
}

// packetSeen is a message of the node as it was seen on the wire.
type packetSeen struct {
	at       time.Time
	message  ndp.Message
	hopLimit byte
	source   netip.Addr
}

func newPair(t testing.TB) *pair {
	p := &pair{TB: t, node: namespace(t), router: namespace(t)}
	p.inNode, p.inRouter, p.kernel = handle(t, p.node), handle(t, p.router), NewKernelAt(p.node)
	return p
}

// add brings the link up, with somebody on the router's side who looks at what comes.
func (p *pair) add() {
	p.Helper()
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.HardwareAddr = "lan0", nodeMAC
	must(p, p.inNode.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "peer0", PeerHardwareAddr: routerMAC, PeerNamespace: netlink.NsFd(p.router)}))
	must(p, p.inRouter.LinkSetUp(p.peer0()))
	p.listen()
	must(p, p.inNode.LinkSetUp(p.lan0()))
}

func (p *pair) find(h *netlink.Handle, name string) netlink.Link {
	p.Helper()
	l, err := h.LinkByName(name)
	must(p, err)
	return l
}

func (p *pair) lan0() netlink.Link  { return p.find(p.inNode, "lan0") }
func (p *pair) peer0() netlink.Link { return p.find(p.inRouter, "peer0") }

func (p *pair) listen() {
	index := p.peer0().Attrs().Index
	must(p, inside(p.router, func() (err error) {
		p.conn, err = packet.Listen(&net.Interface{Index: index, Name: "peer0", HardwareAddr: routerMAC}, packet.Raw, unix.ETH_P_IPV6, nil)
		return err
	}))
	conn := p.conn
	p.reading.Go(func() {
		for b := make([]byte, 2000); ; {
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			p.note(b[:n])
		}
	})
	p.Cleanup(func() {
		_ = conn.Close()
		p.reading.Wait()
	})
}

// note keeps the messages of neighbour discovery that the node sends, but for those of its kernel.
func (p *pair) note(frame []byte) {
	if len(frame) < 58 || net.HardwareAddr(frame[6:12]).String() != nodeMAC.String() || frame[20] != unix.IPPROTO_ICMPV6 {
		return
	}
	m, err := ndp.ParseMessage(frame[54 : 54+int(binary.BigEndian.Uint16(frame[18:20]))])
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, packetSeen{time.Now(), m, frame[21], netip.AddrFrom16([16]byte(frame[22:38]))})
}

func advertisements(seen []packetSeen) []packetSeen {
	return slices.DeleteFunc(slices.Clone(seen), func(s packetSeen) bool {
		_, ok := s.message.(*ndp.RouterAdvertisement)
		return !ok
	})
}

func (p *pair) take() []packetSeen {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	return seen
}

// send sends an ICMPv6 message from the router's end.
func (p *pair) send(message []byte, hopLimit byte, source string) {
	p.Helper()
	from, to := netip.MustParseAddr(source).As16(), netip.MustParseAddr("ff02::1").As16()
	message = slices.Clone(message)
	binary.BigEndian.PutUint16(message[2:], checksum(from, to, message))
	f := append([]byte{0x33, 0x33, 0, 0, 0, 1}, routerMAC...)
	f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(len(message)))
	f = append(f, unix.IPPROTO_ICMPV6, hopLimit)
	f = append(append(append(f, from[:]...), to[:]...), message...)
	_, err := p.conn.WriteTo(f, &packet.Addr{HardwareAddr: f[:6]})
	must(p, err)
}

// checksum is that of RFC 4443 2.3.
func checksum(from, to [16]byte, message []byte) uint16 {
	b := slices.Concat(from[:], to[:], []byte{0, 0, 0, byte(len(message)), 0, 0, 0, unix.IPPROTO_ICMPV6}, message)
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// watch runs a Watcher on the node until the test ends.
func (p *pair) watch() *Watcher {
	w := New(Options{Host: p.kernel})
	w.Want([]string{"lan0"})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	p.Cleanup(func() {
		cancel()
		NewWithT(p).Eventually(done).WithTimeout(bound).Should(Receive(BeNil()))
	})
	return w
}

// finds waits until that is found on lan0.
func (p *pair) finds(w *Watcher, r reason.Reason, remote string) {
	p.Helper()
	NewWithT(p).Eventually(func() (found string) {
		n, problem := w.Found("lan0")
		if n.Remote.IsValid() {
			found = n.Remote.String()
		}
		if problem != nil {
			found += " " + string(problem.Reason)
		}
		return found
	}).WithTimeout(bound).WithPolling(2 * time.Millisecond).Should(Equal(remote + prefixed(r)))
}

func prefixed(r reason.Reason) string {
	if r == "" {
		return ""
	}
	return " " + string(r)
}

func TestAdvertisesOnTheWire(t *testing.T) {
	p := newPair(t)
	w := p.watch()
	p.finds(w, reason.InterfaceMissing, "")
	p.add()
	p.finds(w, reason.NoRouterAdvertisement, "")
	var seen []packetSeen
	NewWithT(t).Eventually(func() int {
		seen = append(seen, p.take()...)
		return len(advertisements(seen))
	}).WithTimeout(bound).WithPolling(2 * time.Millisecond).Should(BeNumerically(">=", 3))
	solicited := 0
	for _, s := range seen {
		if s.hopLimit != 255 || s.source != netip.MustParseAddr("fe80::ff:fe00:1") {
			t.Errorf("saw %+v", s)
		}
		switch m := s.message.(type) {
		case *ndp.RouterSolicitation:
			solicited++
		case *ndp.RouterAdvertisement:
			if m.RouterLifetime != 0 || len(m.Options) != 1 || m.Options[0].(*ndp.LinkLayerAddress).Addr.String() != nodeMAC.String() {
				t.Errorf("saw %+v", m)
			}
		}
	}
	if solicited == 0 {
		t.Error("no router was asked for")
	}
	if routers, err := p.kernel.Routers(p.lan0().Attrs().Index); err != nil || len(routers) > 0 {
		t.Errorf("our own kernel has heard us: %v, %v", routers, err)
	}
}

func TestBelievesOnlyWhatRFC4861Allows(t *testing.T) {
	p := newPair(t)
	p.add()
	w := p.watch()
	p.finds(w, reason.NoRouterAdvertisement, "")
	good := bytesOf(Advertisement, routerMAC)
	p.send(good, 64, "fe80::bad")
	p.send(good, 254, "fe80::bad")
	p.send(good, 255, "2001:db8::bad")
	p.send(good[:12], 255, "fe80::bad")
	p.send(append(bytesOf(Advertisement, nil), 1, 0, 0, 0, 0, 0, 0, 0), 255, "fe80::bad")
	p.send(with(good, 1, 1), 255, "fe80::bad")
	p.send([]byte{136, 0, 0, 0, 0xe0, 0, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xba, 0xd}, 255, "fe80::bad")
	p.send(append(bytesOf(Advertisement, nil), make([]byte, 1400)...), 255, "fe80::bad")
	// Messages are handled in the order in which they come.
	p.send(good, 255, "fe80::1")
	p.finds(w, "", "fe80::1%lan0")
	if n, _ := w.Found("lan0"); n.Local != netip.MustParseAddr("fe80::ff:fe00:1") {
		t.Errorf("our address is %v", n.Local)
	}
}

func TestAnswersASolicitationAtOnce(t *testing.T) {
	p := newPair(t)
	p.add()
	w := p.watch()
	p.finds(w, reason.NoRouterAdvertisement, "")
	p.send(bytesOf(Advertisement, routerMAC), 255, "fe80::1")
	p.finds(w, "", "fe80::1%lan0")
	g := NewWithT(t)
	// After the third one there is none for three seconds, so that the answer can be told from those that nobody asked for.
	count := 0
	g.Eventually(func() int { count += len(advertisements(p.take())); return count }).WithTimeout(bound).WithPolling(2 * time.Millisecond).Should(BeNumerically(">=", 3))
	asked := time.Now()
	p.send(bytesOf(Solicitation, routerMAC), 255, "fe80::1")
	var answer []packetSeen
	g.Eventually(func() []packetSeen {
		answer = advertisements(p.take())
		return answer
	}).WithTimeout(bound).WithPolling(2 * time.Millisecond).ShouldNot(BeEmpty())
	if after := answer[0].at.Sub(asked); after > 2*time.Second {
		t.Errorf("answered after %v", after)
	}
}

func TestFindsTheRouterThatTheKernelKnows(t *testing.T) {
	p := newPair(t)
	p.add()
	index := p.lan0().Attrs().Index
	for _, n := range []netlink.Neigh{
		{IP: net.ParseIP("fe80::7"), State: netlink.NUD_PERMANENT, Flags: netlink.NTF_ROUTER},
		{IP: net.ParseIP("fe80::8"), State: netlink.NUD_PERMANENT},
		{IP: net.ParseIP("2001:db8::9"), State: netlink.NUD_PERMANENT, Flags: netlink.NTF_ROUTER},
	} {
		n.LinkIndex, n.HardwareAddr = index, routerMAC
		must(t, p.inNode.NeighAdd(&n))
	}
	w := p.watch()
	p.finds(w, "", "fe80::7%lan0")
	p.send(bytesOf(Advertisement, routerMAC), 255, "fe80::1")
	p.finds(w, "", "fe80::1%lan0")
}

func TestFollowsARealLink(t *testing.T) {
	p := newPair(t)
	p.add()
	w := p.watch()
	p.finds(w, reason.NoRouterAdvertisement, "")
	p.send(bytesOf(Advertisement, routerMAC), 255, "fe80::1")
	p.finds(w, "", "fe80::1%lan0")
	p.send(bytesOf(Advertisement, routerMAC), 255, "fe80::2")
	p.finds(w, "", "fe80::2%lan0")

	must(t, p.inRouter.LinkSetDown(p.peer0()))
	p.finds(w, reason.NoCarrier, "")
	must(t, p.inRouter.LinkSetUp(p.peer0()))
	p.finds(w, reason.NoRouterAdvertisement, "")
	p.send(bytesOf(Advertisement, routerMAC), 255, "fe80::1")
	p.finds(w, "", "fe80::1%lan0")

	must(t, p.inNode.LinkDel(p.lan0()))
	p.finds(w, reason.InterfaceMissing, "")
	p.add()
	p.finds(w, reason.NoRouterAdvertisement, "")
	p.send(bytesOf(Advertisement, routerMAC), 255, "fe80::3")
	p.finds(w, "", "fe80::3%lan0")

	addresses, err := p.inNode.AddrList(p.lan0(), netlink.FAMILY_V6)
	must(t, err)
	for _, a := range addresses {
		must(t, p.inNode.AddrDel(p.lan0(), &a))
	}
	p.finds(w, reason.NoLinkLocalAddress, "")
	must(t, p.inNode.AddrAdd(p.lan0(), &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP("fe80::77"), Mask: net.CIDRMask(64, 128)}}))
	p.finds(w, "", "fe80::3%lan0")
}

// Two Watchers find each other, as two nodes on one cable would.
func TestTwoFindEachOther(t *testing.T) {
	p := newPair(t)
	p.add()
	other := New(Options{Host: NewKernelAt(p.router)})
	other.Want([]string{"peer0"})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- other.Run(ctx) }()
	w := p.watch()
	p.finds(w, "", "fe80::ff:fe00:99%lan0")
	g := NewWithT(t)
	g.Eventually(func() netip.Addr { n, _ := other.Found("peer0"); return n.Remote }).WithTimeout(bound).
		Should(Equal(netip.MustParseAddr("fe80::ff:fe00:1%peer0")))
	cancel()
	g.Eventually(done).WithTimeout(bound).Should(Receive(BeNil()))
}

func TestLeavesNothingBehind(t *testing.T) {
	p := newPair(t)
	p.add()
	count := func() int {
		found, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(found) + runtime.NumGoroutine()
	}
	before := 0
	for i := range 20 {
		w := New(Options{Host: p.kernel})
		w.Want([]string{"lan0"})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		p.finds(w, reason.NoRouterAdvertisement, "")
		cancel()
		must(t, <-done)
		if i == 0 {
			before = count()
		}
	}
	NewWithT(t).Eventually(count).WithTimeout(bound).Should(BeNumerically("<=", before))
}

func TestOpenNeedsNetRaw(t *testing.T) {
	p := newPair(t)
	p.add()
	links, err := p.kernel.links()
	must(t, err)
	l := links[slices.IndexFunc(links, func(l Link) bool { return l.Name == "lan0" })]
	var refused error
	must(t, onThread(func() error {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&header, &data[0]); err != nil {
			return err
		}
		data[0].Effective &^= 1 << unix.CAP_NET_RAW
		if err := unix.Capset(&header, &data[0]); err != nil {
			return err
		}
		_, refused = p.kernel.Open(l)
		return nil
	}))
	NewWithT(t).Expect(refused).To(MatchError(os.ErrPermission))
}
