// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/hostnet"
)

// The source ports of control packets (RFC 5881 4), and how often a free one is looked for.
const (
	firstSourcePort = 49152
	sourcePorts     = 65536 - firstSourcePort
	portAttempts    = 64
)

// trafficClass is that of network control (RFC 4594 3.1, CS6).
const trafficClass = 0xc0

// host is the network of this machine.
type host struct {
	namespace netns.NsHandle

	mu sync.Mutex
	// listeners are the open ones, ports the source ports in use, so that no two sessions have the same.
	listeners map[*listenSocket]struct{}
	ports     map[uint16]struct{}
}

// NewHost returns the network of the namespace that the process runs in.
func NewHost() Host { return NewHostAt(netns.None()) }

// NewHostAt returns the network of a namespace. It must stay open as long as the Host is used.
func NewHostAt(namespace netns.NsHandle) Host {
	return &host{namespace: namespace, listeners: map[*listenSocket]struct{}{}, ports: map[uint16]struct{}{}}
}

// inside runs a function in the namespace of the host.
func (h *host) inside(do func() error) error { return hostnet.Inside(h.namespace, do) }

// Domain implements Host.
func (h *host) Domain(device string) (domain string) {
	err := h.inside(func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		if index := link.Attrs().MasterIndex; link.Type() != "vrf" && index != 0 {
			if link, err = netlink.LinkByIndex(index); err != nil {
				return err
			}
		}
		if link.Type() == "vrf" {
			domain = link.Attrs().Name
		}
		return nil
	})
	if err != nil {
		return ""
	}
	return domain
}

// option is one setting of a socket.
type option struct{ level, name, value int }

func set(fd int, options []option) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

// socket opens a UDP socket that does not block. A function prepares it; the socket is closed when that fails.
func (h *host) socket(ipv6 bool, prepare func(fd int) error) (fd int, err error) {
	family := unix.AF_INET
	if ipv6 {
		family = unix.AF_INET6
	}
	err = h.inside(func() error {
		if fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
			return os.NewSyscallError("socket", err)
		}
		if err = prepare(fd); err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		return nil
	})
	return fd, err
}

func bindToDevice(fd int, device string) error {
	if device == "" {
		return nil
	}
	err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, device)
	switch {
	case errors.Is(err, unix.ENODEV):
		return reason.New(reason.BFDNotAvailable, "this node has no interface %s", device)
	case errors.Is(err, unix.EPERM):
		return reason.New(reason.BFDNotAvailable, "the kernel does not let the speaker use the interface %s, which needs Linux 5.7 or the capability NET_RAW", device)
	}
	return os.NewSyscallError("setsockopt", err)
}

// address is a socket address. Scope counts for link-local ones.
func address(a netip.Addr, port uint16, scope int) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Port: int(port), Addr: a.As4()}
	}
	s := &unix.SockaddrInet6{Port: int(port), Addr: a.As16()}
	if a.IsLinkLocalUnicast() {
		s.ZoneId = uint32(scope)
	}
	return s
}

// sender is the sending socket of a session.
type sender struct {
	host   *host
	fd     int
	port   uint16
	scope  int
	remote netip.Addr
	to     unix.Sockaddr
}

// Dial implements Host.
func (h *host) Dial(path Path) (Sender, error) {
	s := &sender{host: h, remote: path.Remote}
	if !path.Remote.IsValid() {
		return nil, reason.New(reason.BFDNotAvailable, "the session has no peer address")
	}
	if err := h.inside(func() error { return s.resolve(path) }); err != nil {
		return nil, err
	}
	s.to = address(path.Remote, Port{MultiHop: path.MultiHop}.number(), s.scope)
	fd, err := h.socket(path.Remote.Is6(), func(fd int) error { return s.prepare(fd, path) })
	if err != nil {
		h.giveBack(s.port)
		return nil, fmt.Errorf("opening a socket for BFD packets to %v: %w", path.Remote, err)
	}
	s.fd = fd
	return s, nil
}

// resolve finds the interface of the path.
func (s *sender) resolve(path Path) error {
	name := path.Remote.Zone()
	if name == "" {
		name = path.Interface
	}
	if name == "" {
		return nil
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return reason.New(reason.BFDNotAvailable, "this node has no interface %s", name)
	}
	link, err := netlink.LinkByIndex(i.Index)
	if err != nil {
		return fmt.Errorf("reading the interface %s: %w", name, err)
	}
	// What comes through a VRF comes in by one of its interfaces.
	if link.Type() != "vrf" {
		s.scope = i.Index
	}
	return nil
}

func (s *sender) prepare(fd int, path Path) error {
	options := []option{{unix.IPPROTO_IP, unix.IP_TTL, ttl}, {unix.IPPROTO_IP, unix.IP_TOS, trafficClass}}
	if path.Remote.Is6() {
		options = []option{
			{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1}, {unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl},
			{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, trafficClass},
		}
	}
	if err := set(fd, options); err != nil {
		return err
	}
	if err := deaf(fd); err != nil {
		return err
	}
	if err := bindToDevice(fd, path.Interface); err != nil {
		return err
	}
	return s.bind(fd, path)
}

// deaf makes a socket take nothing in: answers go to the port of the listener.
func deaf(fd int) error {
	drop := [...]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	return os.NewSyscallError("setsockopt", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]}))
}

func (s *sender) bind(fd int, path Path) (err error) {
	local := path.Local
	if !local.IsValid() {
		local = netip.IPv4Unspecified()
		if path.Remote.Is6() {
			local = netip.IPv6Unspecified()
		}
	}
	for range portAttempts {
		s.port = s.host.takePort()
		err = unix.Bind(fd, address(local, s.port, s.scope))
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
		s.host.giveBack(s.port)
		s.port = 0
	}
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return reason.New(reason.NoSourceAddress, "%v is not an address of this node, or not ready yet", local)
	}
	return os.NewSyscallError("bind", err)
}

// takePort returns a source port that no other session has.
func (h *host) takePort() uint16 {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		port := uint16(firstSourcePort + rand.IntN(sourcePorts))
		if _, taken := h.ports[port]; !taken || len(h.ports) == sourcePorts {
			h.ports[port] = struct{}{}
			return port
		}
	}
}

func (h *host) giveBack(port uint16) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.ports, port)
}

// Send implements Sender.
func (s *sender) Send(payload []byte) error {
	err := unix.Sendto(s.fd, payload, unix.MSG_DONTWAIT, s.to)
	switch {
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EINTR):
		return nil
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return reason.New(reason.BFDNotAvailable, "this node has no route to %v", s.remote)
	case errors.Is(err, unix.EPERM):
		return reason.New(reason.BFDNotAvailable, "a packet filter of this node drops the BFD packets to %v", s.remote)
	}
	return fmt.Errorf("sending a BFD packet to %v: %w", s.remote, err)
}

// Scope implements Sender.
func (s *sender) Scope() int { return s.scope }

// Close implements Sender.
func (s *sender) Close() error {
	s.host.giveBack(s.port)
	return os.NewSyscallError("close", unix.Close(s.fd))
}
