// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"metalsuite.io/api/reason"
)

const (
	// receiveBuffer is what a socket asks for, in bytes; the kernel gives at most net.core.rmem_max.
	receiveBuffer = 1 << 20
	// batch is how many packets are delivered before Serve looks whether the socket was closed, and drained the most that Drain delivers.
	batch, drained = 64, 4096
	// snap is how much of a packet is read. Whatever is longer than a header is of no interest.
	snap = 128
)

// listenSocket is a Listener on a UDP port.
type listenSocket struct {
	host   *host
	port   Port
	fd     int // for settings only, which do not outlive the file
	file   *os.File
	raw    syscall.RawConn
	closed atomic.Bool

	// mu is held while one packet is read, which does not wait, and delivered.
	mu      sync.Mutex
	deliver func(Datagram)
	failed  error
	name    unix.RawSockaddrInet6 // long enough for IPv4 too
	payload [snap]byte
	control [128]byte
	iov     unix.Iovec
	header  unix.Msghdr
}

// Listen implements Host.
func (h *host) Listen(port Port) (Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := &listenSocket{host: h, port: port}
	fd, err := h.socket(port.IPv6, l.prepare)
	if errors.Is(err, unix.EADDRINUSE) {
		err = reason.New(reason.BFDNotAvailable, "another process on this node uses UDP port %d", port.number())
	}
	if err != nil {
		return nil, fmt.Errorf("opening UDP port %d: %w", port.number(), err)
	}
	l.fd, l.file = fd, os.NewFile(uintptr(fd), fmt.Sprintf("udp port %d", port.number()))
	if l.raw, err = l.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("opening UDP port %d: %w", port.number(), err), l.file.Close())
	}
	h.listeners[l] = struct{}{}
	return l, nil
}

func (l *listenSocket) prepare(fd int) error {
	options := []option{{unix.IPPROTO_IP, unix.IP_PKTINFO, 1}, {unix.IPPROTO_IP, unix.IP_RECVTTL, 1}}
	if l.port.IPv6 {
		options = []option{{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1}, {unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1}, {unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1}}
	}
	if err := set(fd, append(options, option{unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer})); err != nil {
		return err
	}
	if err := bindToDevice(fd, l.port.Domain); err != nil {
		return err
	}
	return l.bind(fd)
}

// bind takes the port. The sockets of several VRFs may share it, but no other process may: it would take packets away unnoticed.
func (l *listenSocket) bind(fd int) error {
	var siblings []int
	for other := range l.host.listeners {
		if other.port.IPv6 == l.port.IPv6 && other.port.MultiHop == l.port.MultiHop && !other.closed.Load() {
			siblings = append(siblings, other.fd)
		}
	}
	if len(siblings) > 0 {
		siblings = append(siblings, fd)
	}
	if err := share(siblings, 1); err != nil {
		return err
	}
	any := netip.IPv4Unspecified()
	if l.port.IPv6 {
		any = netip.IPv6Unspecified()
	}
	err := unix.Bind(fd, address(any, l.port.number(), 0))
	return errors.Join(os.NewSyscallError("bind", err), share(siblings, 0))
}

func share(fds []int, value int) error {
	for _, fd := range fds {
		if err := set(fd, []option{{unix.SOL_SOCKET, unix.SO_REUSEADDR, value}}); err != nil {
			return err
		}
	}
	return nil
}

// Serve implements Listener.
func (l *listenSocket) Serve(deliver func(Datagram)) error {
	l.mu.Lock()
	l.deliver, l.failed = deliver, nil
	l.mu.Unlock()
	read := func(fd uintptr) bool { return l.read(fd, batch) }
	for {
		err := l.raw.Read(read)
		if l.closed.Load() {
			return net.ErrClosed
		}
		l.mu.Lock()
		err = errors.Join(err, l.failed)
		l.mu.Unlock()
		if err != nil {
			return fmt.Errorf("receiving from UDP port %d: %w", l.port.number(), err)
		}
	}
}

// Drain implements Listener.
func (l *listenSocket) Drain() {
	// The only error is that the socket is closed, and then there is nothing to deliver.
	_ = l.raw.Control(func(fd uintptr) { l.read(fd, drained) })
}

// read delivers what has arrived, up to a number of packets; it is false when there is nothing more.
func (l *listenSocket) read(fd uintptr, most int) bool {
	for range most {
		if more := l.readOne(fd); !more {
			return l.hasFailed()
		}
	}
	return true
}

func (l *listenSocket) hasFailed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed != nil
}

// readOne delivers a packet, if one has arrived.
func (l *listenSocket) readOne(fd uintptr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deliver == nil {
		return false
	}
	n, err := l.receive(fd)
	switch err {
	case 0:
	case unix.EAGAIN:
		return false
	case unix.EINTR:
		return true
	default:
		l.failed = os.NewSyscallError("recvmsg", err)
		return false
	}
	if d, ok := l.datagram(n); ok {
		l.deliver(d)
	}
	return true
}

// receive reads one packet into the fields of the socket. It is recvmsg(2) itself, since every wrapper of it allocates.
func (l *listenSocket) receive(fd uintptr) (int, syscall.Errno) {
	l.iov.Base = &l.payload[0]
	l.iov.SetLen(len(l.payload))
	l.header = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&l.name)), Namelen: uint32(unsafe.Sizeof(l.name)), Iov: &l.iov, Control: &l.control[0]}
	l.header.SetIovlen(1)
	l.header.SetControllen(len(l.control))
	n, _, err := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&l.header)), unix.MSG_DONTWAIT)
	return int(n), err
}

// datagram says what was read; false when the kernel did not tell all of it.
func (l *listenSocket) datagram(n int) (Datagram, bool) {
	d := Datagram{Payload: l.payload[:n], From: l.from()}
	hops := -1
	for rest := l.control[:min(uint64(l.header.Controllen), uint64(len(l.control)))]; len(rest) >= unix.SizeofCmsghdr; {
		header, data, remainder, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			return d, false
		}
		rest = remainder
		switch [2]int32{header.Level, header.Type} {
		case [2]int32{unix.IPPROTO_IP, unix.IP_TTL}, [2]int32{unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT}:
			hops = int(int32(binary.NativeEndian.Uint32(data)))
		case [2]int32{unix.IPPROTO_IP, unix.IP_PKTINFO}:
			// struct in_pktinfo: interface, local address, destination of the header.
			d.Interface, d.To = int(binary.NativeEndian.Uint32(data)), netip.AddrFrom4([4]byte(data[8:12]))
		case [2]int32{unix.IPPROTO_IPV6, unix.IPV6_PKTINFO}:
			// struct in6_pktinfo: destination, interface.
			d.Interface, d.To = int(binary.NativeEndian.Uint32(data[16:])), netip.AddrFrom16([16]byte(data[:16]))
		}
	}
	d.TTL = uint8(max(hops, 0))
	return d, hops >= 0 && d.To.IsValid() && d.From.IsValid()
}

// from is the address of the sender, without zone.
func (l *listenSocket) from() netip.Addr {
	switch l.name.Family {
	case unix.AF_INET:
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&l.name)).Addr)
	case unix.AF_INET6:
		return netip.AddrFrom16(l.name.Addr)
	}
	return netip.Addr{}
}

// Close implements Listener.
func (l *listenSocket) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	l.host.mu.Lock()
	delete(l.host.listeners, l)
	l.host.mu.Unlock()
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("closing UDP port %d: %w", l.port.number(), err)
	}
	return nil
}
