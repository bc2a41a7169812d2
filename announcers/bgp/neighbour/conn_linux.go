// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// maxMessage is how much of a message is read: the largest that an Ethernet carries without jumbo frames. What is longer is not read.
const maxMessage = 1500

// conn is a raw socket for ICMPv6 that is bound to our link-local address on one interface.
type conn struct {
	link Link
	file *os.File
	raw  syscall.RawConn
	// Only Receive uses these.
	buffer  [maxMessage]byte
	control [128]byte
}

// Open implements Host. The socket is on one interface alone; it hears what goes to all stations, to all routers and to our address.
func (k *Kernel) Open(l Link) (Conn, error) {
	fd, err := k.socket(unix.AF_INET6, unix.IPPROTO_ICMPV6)
	if err != nil {
		return nil, fmt.Errorf("opening a socket for ICMPv6: %w", err)
	}
	c := &conn{link: l, file: os.NewFile(uintptr(fd), "icmpv6")}
	if err := prepare(fd, l); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing a socket for ICMPv6: %w", err), c.file.Close())
	}
	if c.raw, err = c.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing a socket for ICMPv6: %w", err), c.file.Close())
	}
	return c, nil
}

// prepare binds the socket, and lets through and sends what RFC 4861 says.
func prepare(fd int, l Link) error {
	var wanted ipv6.ICMPFilter
	wanted.SetAll(true)
	wanted.Accept(ipv6.ICMPTypeRouterAdvertisement)
	wanted.Accept(ipv6.ICMPTypeRouterSolicitation)
	filter := unix.ICMPv6Filter{}
	for t := range 256 {
		if wanted.WillBlock(ipv6.ICMPType(t)) {
			filter.Data[t/32] |= 1 << (t % 32)
		}
	}
	if err := unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &filter); err != nil {
		return err
	}
	for _, option := range []struct{ name, value int }{
		{unix.IPV6_RECVHOPLIMIT, 1},
		{unix.IPV6_UNICAST_HOPS, ndp.HopLimit},
		{unix.IPV6_MULTICAST_HOPS, ndp.HopLimit},
		// Our own kernel must not take this node for its router.
		{unix.IPV6_MULTICAST_LOOP, 0},
		{unix.IPV6_MULTICAST_IF, l.Index},
	} {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, option.name, option.value); err != nil {
			return err
		}
	}
	for _, group := range []netip.Addr{netip.IPv6LinkLocalAllNodes(), netip.IPv6LinkLocalAllRouters()} {
		membership := unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(l.Index)}
		if err := unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &membership); err != nil {
			return err
		}
	}
	return unix.Bind(fd, &unix.SockaddrInet6{Addr: l.LinkLocal.As16(), ZoneId: uint32(l.Index)})
}

// Receive implements Conn.
func (c *conn) Receive() (Message, error) {
	for {
		m, ok, err := c.receiveOne()
		if err != nil {
			return Message{}, fmt.Errorf("receiving a Neighbor Discovery message: %w", err)
		}
		if ok && m.Source != c.link.LinkLocal {
			return m, nil
		}
	}
}

// receiveOne waits for a message, which may be of no use.
func (c *conn) receiveOne() (m Message, ok bool, err error) {
	var failed error
	err = c.raw.Read(func(fd uintptr) bool {
		n, controls, flags, from, err := unix.Recvmsg(int(fd), c.buffer[:], c.control[:], 0)
		if err == unix.EAGAIN {
			return false
		}
		if err == unix.EINTR {
			return true
		}
		failed = err
		source, is6 := from.(*unix.SockaddrInet6)
		if err == nil && is6 && flags&unix.MSG_TRUNC == 0 {
			m, ok = parse(c.buffer[:n], hopLimit(c.control[:controls]), netip.AddrFrom16(source.Addr))
		}
		return true
	})
	return m, ok, errors.Join(err, failed)
}

// hopLimit returns the hop limit that a packet came with, or 0 when that is not told.
func hopLimit(controls []byte) int {
	var message ipv6.ControlMessage
	if message.Parse(controls) != nil {
		return 0
	}
	return message.HopLimit
}

// Send implements Conn.
func (c *conn) Send(k Kind) error {
	b, to, err := build(k, c.link.Hardware)
	if err != nil {
		return err
	}
	var failed error
	err = c.raw.Control(func(fd uintptr) {
		failed = unix.Sendto(int(fd), b, 0, &unix.SockaddrInet6{Addr: to.As16(), ZoneId: uint32(c.link.Index)})
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("sending a Neighbor Discovery message: %w", err)
	}
	return nil
}

// Close implements Conn.
func (c *conn) Close() error {
	if err := c.file.Close(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
