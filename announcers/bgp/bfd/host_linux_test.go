// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"metalsuite.io/announcers/l2/link/linktest"
	"metalsuite.io/api/reason"
)

// bound is for what takes milliseconds on a machine that is not busy.
const bound = 20 * time.Second

// machines are two hosts on a veth pair, both ends called eth0; each has an address of both families behind the interface too.
type machines struct {
	t           testing.TB
	left, right netns.NsHandle
}

func newMachines(t testing.TB) *machines {
	t.Helper()
	m := &machines{t: t, left: linktest.Namespace(t), right: linktest.Namespace(t)}
	inLeft := linktest.Handle(t, m.left)
	for _, ns := range []netns.NsHandle{m.left, m.right} {
		m.must(linktest.Inside(ns, func() error {
			// Duplicate address detection would keep addresses from use for seconds.
			return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0)
		}))
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "eth0"
	m.must(inLeft.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "eth0", PeerNamespace: netlink.NsFd(m.right)}))
	m.raise(m.left, "198.18.0.1", "2001:db8::1", "198.18.1.1", "2001:db8:1::1")
	m.raise(m.right, "198.18.0.2", "2001:db8::2", "198.18.2.1", "2001:db8:2::1")
	m.route(m.left, "198.18.2.1/32", "198.18.0.2")
	m.route(m.left, "2001:db8:2::1/128", "2001:db8::2")
	m.route(m.right, "198.18.1.1/32", "198.18.0.1")
	m.route(m.right, "2001:db8:1::1/128", "2001:db8::1")
	return m
}

func (m *machines) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machines) raise(ns netns.NsHandle, four, six, behind4, behind6 string) {
	m.t.Helper()
	h := linktest.Handle(m.t, ns)
	for name, addresses := range map[string][]string{"lo": {behind4 + "/32", behind6 + "/128"}, "eth0": {four + "/24", six + "/64"}} {
		l, err := h.LinkByName(name)
		m.must(err)
		m.must(h.LinkSetUp(l))
		for _, a := range addresses {
			address, err := netlink.ParseAddr(a)
			m.must(err)
			address.Flags = unix.IFA_F_NODAD
			m.must(h.AddrAdd(l, address))
		}
	}
}

func (m *machines) route(ns netns.NsHandle, to, via string) {
	m.t.Helper()
	_, destination, err := net.ParseCIDR(to)
	m.must(err)
	m.must(linktest.Handle(m.t, ns).RouteAdd(&netlink.Route{Dst: destination, Gw: net.ParseIP(via)}))
}

// linkLocal returns the link-local address of a host, with its zone.
func (m *machines) linkLocal(ns netns.NsHandle) (addr netip.Addr) {
	m.t.Helper()
	h := linktest.Handle(m.t, ns)
	l, err := h.LinkByName("eth0")
	m.must(err)
	NewWithT(m.t).Eventually(func() bool {
		addresses, err := h.AddrList(l, netlink.FAMILY_V6)
		m.must(err)
		for _, a := range addresses {
			if found, _ := netip.AddrFromSlice(a.IP); found.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0 {
				addr = found.WithZone("eth0")
				return true
			}
		}
		return false
	}).WithTimeout(bound).WithPolling(time.Millisecond).Should(BeTrue())
	return addr
}

// run starts an engine in a namespace, which ends with the test.
func (m *machines) run(ns netns.NsHandle, sessions ...Session) *Engine {
	m.t.Helper()
	e := New(Options{Host: NewHostAt(ns)})
	e.Set(sessions)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	m.t.Cleanup(func() {
		cancel()
		NewWithT(m.t).Eventually(done).WithTimeout(bound).Should(Receive(BeNil()))
	})
	return e
}

// await waits until the session peer is as wished.
func await(t testing.TB, e *Engine, wish func(State) bool) State {
	t.Helper()
	var st State
	NewWithT(t).Eventually(func() bool { st, _ = e.State("peer"); return wish(st) }).WithTimeout(bound).WithPolling(time.Millisecond).
		Should(BeTrue(), func() string { return "the session is not as wished" })
	return st
}

func isUp(s State) bool { return s.Phase == Up && s.RemotePhase == Up }

func TestRealSockets(t *testing.T) {
	m := newMachines(t)
	leftLink, rightLink := m.linkLocal(m.left), m.linkLocal(m.right)
	at := netip.MustParseAddr
	tests := []struct {
		name        string
		left, right Path
	}{
		{"IPv4", Path{Remote: at("198.18.0.2")}, Path{Remote: at("198.18.0.1")}},
		{"IPv4, from and by", Path{Remote: at("198.18.0.2"), Local: at("198.18.0.1"), Interface: "eth0"}, Path{Remote: at("198.18.0.1")}},
		{"IPv6", Path{Remote: at("2001:db8::2")}, Path{Remote: at("2001:db8::1"), Local: at("2001:db8::2")}},
		{"IPv6, link-local", Path{Remote: rightLink}, Path{Remote: leftLink, Local: rightLink, Interface: "eth0"}},
		{"IPv4, several hops", Path{Remote: at("198.18.2.1"), Local: at("198.18.1.1"), MultiHop: true}, Path{Remote: at("198.18.1.1"), Local: at("198.18.2.1"), MultiHop: true}},
		{"IPv6, several hops", Path{Remote: at("2001:db8:2::1"), Local: at("2001:db8:1::1"), MultiHop: true}, Path{Remote: at("2001:db8:1::1"), Local: at("2001:db8:2::1"), MultiHop: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := *m
			in.t = t
			config := every(100 * ms)
			config.MinimumTTL = 250
			a := in.run(m.left, Session{Name: "peer", Path: test.left, Config: config})
			b := in.run(m.right, Session{Name: "peer", Path: test.right, Config: config})
			await(t, a, isUp)
			await(t, b, isUp)
			b.Set(nil)
			if st := await(t, a, func(s State) bool { return s.Phase == Down }); st.PeerAdminDowns != 1 || st.RemotePhase != AdminDown || st.Problem != nil {
				t.Errorf("%+v", st)
			}
		})
	}
}

// stranger sends packets from the right host.
func (m *machines) stranger(hops int, port uint16) func(payload []byte) {
	m.t.Helper()
	h := NewHostAt(m.right).(*host)
	fd, err := h.socket(false, func(fd int) error { return set(fd, []option{{unix.IPPROTO_IP, unix.IP_TTL, hops}}) })
	m.must(err)
	m.t.Cleanup(func() { m.must(unix.Close(fd)) })
	to := address(netip.MustParseAddr("198.18.0.1"), port, 0)
	return func(payload []byte) {
		// The socket is full while the kernel asks for the hardware address of the other host.
		if err := unix.Sendto(fd, payload, 0, to); !errors.Is(err, unix.EAGAIN) {
			m.must(err)
		}
	}
}

func passively(path Path, least uint8) Session {
	return Session{Name: "peer", Path: path, Config: Config{Passive: true, MinimumTTL: least}}
}

func TestPacketsThatCameOverARouterAreIgnored(t *testing.T) {
	tests := []struct {
		name      string
		multiHop  bool
		port      uint16
		bad, good int
	}{{"single hop", false, singleHopPort, 254, 255}, {"several hops", true, multiHopPort, 9, 10}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := newMachines(t)
			e := m.run(m.left, passively(Path{Remote: netip.MustParseAddr("198.18.0.2"), MultiHop: test.multiHop}, 10))
			payload := Packet{Phase: Down, Multiplier: 3, Sender: 5, DesiredTransmit: slow, RequiredReceive: slow}.Append(nil)
			bad := m.stranger(test.bad, test.port)
			st := await(t, e, func(s State) bool { bad(payload); return s.ControlDiscarded > 3 })
			if st.Phase != Down || st.ControlReceived > 0 {
				t.Errorf("%+v", st)
			}
			m.stranger(test.good, test.port)(payload)
			await(t, e, func(s State) bool { return s.Phase == Init })
		})
	}
}

func TestFloodOfStrangersDoesNotEndASession(t *testing.T) {
	m := newMachines(t)
	a := m.run(m.left, to(netip.MustParseAddr("198.18.0.2"), every(200*ms)))
	b := m.run(m.right, to(netip.MustParseAddr("198.18.0.1"), every(200*ms)))
	await(t, a, isUp)
	await(t, b, isUp)
	flood := m.stranger(255, singleHopPort)
	unknown := Packet{Phase: Up, Multiplier: 3, Sender: 5, Receiver: 6}.Append(nil)
	for began := time.Now(); time.Since(began) < time.Second; {
		flood(unknown)
	}
	if st, _ := a.State("peer"); st.Phase != Up || st.Ups != 1 || st.ControlDiscarded == 0 {
		t.Errorf("%+v", st)
	}
}

func TestWhatIsMissingIsTold(t *testing.T) {
	m := newMachines(t)
	at := netip.MustParseAddr
	tests := []struct {
		name string
		path Path
		want reason.Reason
		says string
	}{
		{"source", Path{Remote: at("198.18.0.2"), Local: at("198.18.0.77")}, reason.NoSourceAddress, "198.18.0.77"},
		{"interface", Path{Remote: at("198.18.0.2"), Interface: "eth7"}, reason.BFDNotAvailable, "eth7"},
		{"zone", Path{Remote: at("fe80::1%eth7")}, reason.BFDNotAvailable, "eth7"},
		{"route", Path{Remote: at("192.0.2.1"), MultiHop: true}, reason.BFDNotAvailable, "no route"},
		{"route, IPv6", Path{Remote: at("2001:db8:77::1"), MultiHop: true}, reason.BFDNotAvailable, "no route"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := *m
			in.t = t
			e := in.run(m.left, Session{Name: "peer", Path: test.path})
			st := await(t, e, func(s State) bool { return s.Problem != nil })
			NewWithT(t).Expect(st.Problem.Reason).To(Equal(test.want))
			NewWithT(t).Expect(st.Problem.Detail).To(ContainSubstring(test.says))
		})
	}
}

func TestPortOfAnotherDaemon(t *testing.T) {
	m := newMachines(t)
	taken, err := NewHostAt(m.left).Listen(Port{})
	m.must(err)
	e := m.run(m.left, to(netip.MustParseAddr("198.18.0.2"), every(50*ms)))
	st := await(t, e, func(s State) bool { return s.Problem != nil })
	NewWithT(t).Expect(st.Problem.Detail).To(ContainSubstring("another process on this node uses UDP port 3784"))
	m.must(taken.Close())
	m.run(m.right, to(netip.MustParseAddr("198.18.0.1"), every(50*ms)))
	if st := await(t, e, isUp); st.Problem != nil {
		t.Errorf("%v", st.Problem)
	}
}

func TestInterfaceThatComesLater(t *testing.T) {
	m := newMachines(t)
	path := Path{Remote: netip.MustParseAddr("198.18.9.2"), Interface: "late0"}
	e := m.run(m.left, Session{Name: "peer", Path: path})
	await(t, e, func(s State) bool { return s.Problem != nil })
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "late0"
	h := linktest.Handle(t, m.left)
	m.must(h.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "late1"}))
	l, err := h.LinkByName("late0")
	m.must(err)
	m.must(h.LinkSetUp(l))
	a, err := netlink.ParseAddr("198.18.9.1/24")
	m.must(err)
	m.must(h.AddrAdd(l, a))
	await(t, e, func(s State) bool { return s.Problem == nil && s.ControlSent > 0 })
}

// The socket is read by Serve and by Drain at once, and each packet is delivered once, without allocation.
func TestDrain(t *testing.T) {
	m := newMachines(t)
	l, err := NewHostAt(m.left).Listen(Port{})
	m.must(err)
	first, seen := make(chan Datagram, 1), 0
	served := make(chan error, 1)
	go func() {
		served <- l.Serve(func(d Datagram) {
			if seen++; seen == 1 {
				first <- d
			}
		})
	}()
	send := m.stranger(255, singleHopPort)
	send([]byte("one"))
	var d Datagram
	NewWithT(t).Eventually(first).WithTimeout(bound).Should(Receive(&d))
	index := linkIndex(t, m.left)
	if d.From != netip.MustParseAddr("198.18.0.2") || d.To != netip.MustParseAddr("198.18.0.1") || d.TTL != 255 || d.Interface != index || len(d.Payload) != 3 {
		t.Errorf("%+v", d)
	}
	payload := make([]byte, 500)
	if n := testing.AllocsPerRun(200, func() { send(payload); l.Drain() }); n > 1 { // Drain's own closure.
		t.Errorf("%v allocations", n)
	}
	l.Drain()
	socket := l.(*listenSocket)
	socket.mu.Lock()
	if seen != 202 {
		t.Errorf("%d packets were delivered", seen)
	}
	socket.mu.Unlock()
	m.must(l.Close())
	NewWithT(t).Eventually(served).WithTimeout(bound).Should(Receive(MatchError(net.ErrClosed)))
	l.Drain()
}

// The sockets of VRFs share a port among themselves; a device stands for a VRF here. Nobody else can join them.
func TestPortIsSharedAmongDomainsOnly(t *testing.T) {
	m := newMachines(t)
	h := NewHostAt(m.left)
	for _, domain := range []string{"", "eth0", "lo"} {
		l, err := h.Listen(Port{Domain: domain})
		m.must(err)
		defer l.Close()
	}
	other := NewHostAt(m.left)
	if l, err := other.Listen(Port{}); err == nil {
		t.Error("another process could take the port", l.Close())
	}
	if _, err := h.Listen(Port{Domain: "eth7"}); err == nil || problemOf(err).Detail != "this node has no interface eth7" {
		t.Errorf("a device that is not there: %v", err)
	}
	if domain := h.Domain("eth0") + h.Domain("eth7"); domain != "" {
		t.Errorf("the VRF of an ordinary device is %q", domain)
	}
}

func TestPathWithoutPeer(t *testing.T) {
	m := newMachines(t)
	if _, err := NewHostAt(m.left).Dial(Path{}); err == nil || problemOf(err).Detail != "the session has no peer address" {
		t.Errorf("error %v", err)
	}
}

// The kernel of the peer, which forwards, returns echo packets.
func TestRealEcho(t *testing.T) {
	m := newMachines(t)
	m.must(linktest.Inside(m.right, func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }))
	config := every(200 * ms)
	config.Echo = 100 * ms
	a := m.run(m.left, to(netip.MustParseAddr("198.18.0.2"), config))
	b := m.run(m.right, to(netip.MustParseAddr("198.18.0.1"), config))
	st := await(t, a, func(s State) bool { return s.EchoActive && s.EchoReceived > 3 })
	if st.Phase != Up || st.EchoProblem != nil {
		t.Errorf("%+v", st)
	}
	// The left host does not forward, and says so.
	st = await(t, b, func(s State) bool { return s.Phase == Up && s.EchoProblem != nil })
	NewWithT(t).Expect(st.EchoProblem.Detail).To(ContainSubstring("does not accept echo packets"))
	m.must(linktest.Inside(m.right, func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0) }))
	st = await(t, a, func(s State) bool { return s.Downs > 0 })
	if st.Diagnostic != EchoFailed {
		t.Errorf("%+v", st)
	}
}

func linkIndex(t testing.TB, ns netns.NsHandle) int {
	t.Helper()
	l, err := linktest.Handle(t, ns).LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().Index
}

func TestSourcePortsAreDistinctAndInRange(t *testing.T) {
	m := newMachines(t)
	h := NewHostAt(m.left)
	ports := map[int]bool{}
	for range 50 {
		s, err := h.Dial(Path{Remote: netip.MustParseAddr("198.18.0.2")})
		m.must(err)
		t.Cleanup(func() { m.must(s.Close()) })
		name, err := unix.Getsockname(s.(*sender).fd)
		m.must(err)
		port := name.(*unix.SockaddrInet4).Port
		if port < firstSourcePort || ports[port] {
			t.Errorf("port %d", port)
		}
		ports[port] = true
	}
}

func TestHasten(t *testing.T) {
	if err := (&host{}).Hasten(); err != nil {
		t.Fatal(err)
	}
	attributes, err := unix.SchedGetAttr(0, 0)
	if err != nil || attributes.Runtime != 0 && attributes.Runtime != uint64(shortSlice) {
		t.Errorf("%+v, %v", attributes, err)
	}
}
