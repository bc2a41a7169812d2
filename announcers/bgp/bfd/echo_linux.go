// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"metalsuite.io/api/reason"
)

const (
	ipv4Header, udpHeader = 20, 8
	echoFrame             = ipv4Header + udpHeader + echoLength
)

// Forwards implements echoer: the kernel returns an echo packet as a router does.
func (h *host) Forwards() bool {
	var value []byte
	err := h.inside(func() (err error) {
		value, err = os.ReadFile("/proc/sys/net/ipv4/ip_forward")
		return err
	})
	return err == nil && bytes.HasPrefix(value, []byte("1"))
}

// echoSocket is a packet socket: the kernel would neither send a packet to its own address to another machine, nor take one in.
type echoSocket struct {
	host   *host
	conn   *packet.Conn
	index  int
	remote netip.Addr
	frame  [echoFrame]byte
	// to is where frames go, as known at a time.
	to      packet.Addr
	toSince time.Time
}

// neighbourAge is how long a hardware address is taken for granted.
const neighbourAge = time.Second

// OpenEcho implements echoer.
func (h *host) OpenEcho(path Path) (EchoSocket, error) {
	s := &echoSocket{host: h, remote: path.Remote}
	if err := h.inside(func() error { return s.open(path) }); err != nil {
		return nil, fmt.Errorf("opening a socket for echo packets to %v: %w", path.Remote, err)
	}
	return s, nil
}

func (s *echoSocket) open(path Path) error {
	local, i, err := way(path)
	if err != nil {
		return err
	}
	s.index = i.Index
	s.header(local)
	filter, err := bpf.Assemble(echoFilter(local))
	if err != nil {
		return fmt.Errorf("building the packet filter: %w", err)
	}
	s.conn, err = packet.Listen(i, packet.Datagram, unix.ETH_P_IP, &packet.Config{Filter: filter})
	if errors.Is(err, os.ErrPermission) {
		return reason.New(reason.BFDEchoNotUsed, "the speaker may not open packet sockets, which needs the capability NET_RAW")
	}
	return err
}

// way finds out from which address and through which interface packets go to the peer.
func way(path Path) (netip.Addr, *net.Interface, error) {
	options := &netlink.RouteGetOptions{Oif: path.Interface}
	if path.Local.IsValid() {
		options.SrcAddr = path.Local.AsSlice()
	}
	routes, err := netlink.RouteGetWithOptions(path.Remote.AsSlice(), options)
	if err != nil || len(routes) == 0 {
		return netip.Addr{}, nil, reason.New(reason.BFDEchoNotUsed, "this node has no route to %v", path.Remote)
	}
	if routes[0].Gw != nil {
		return netip.Addr{}, nil, reason.New(reason.BFDEchoNotUsed, "%v is behind a router", path.Remote)
	}
	local, ok := netip.AddrFromSlice(routes[0].Src.To4())
	if path.Local.IsValid() {
		local, ok = path.Local, true
	}
	i, err := net.InterfaceByIndex(routes[0].LinkIndex)
	if err != nil || !ok {
		return netip.Addr{}, nil, fmt.Errorf("finding the interface to %v: %w", path.Remote, err)
	}
	return local, i, nil
}

// header prepares everything of a packet but its payload: from us to us (RFC 5881 4), with the highest TTL.
func (s *echoSocket) header(local netip.Addr) {
	f := s.frame[:]
	f[0], f[1] = 0x45, trafficClass
	binary.BigEndian.PutUint16(f[2:], echoFrame)
	f[6] = 0x40 // not to be fragmented
	f[8], f[9] = ttl, unix.IPPROTO_UDP
	copy(f[12:], local.AsSlice())
	copy(f[16:], local.AsSlice())
	binary.BigEndian.PutUint16(f[10:], checksum(f[:ipv4Header]))
	udp := f[ipv4Header:]
	binary.BigEndian.PutUint16(udp, echoPort)
	binary.BigEndian.PutUint16(udp[2:], echoPort)
	// Without a checksum, which IPv4 allows (RFC 768).
	binary.BigEndian.PutUint16(udp[4:], udpHeader+echoLength)
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// echoFilter lets up UDP packets from an address to itself, to the port for echo packets, that came in from outside.
func echoFilter(local netip.Addr) []bpf.Instruction {
	four := local.As4()
	own := binary.BigEndian.Uint32(four[:])
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_HOST, SkipTrue: 10},
		bpf.LoadAbsolute{Off: 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: 8},
		bpf.LoadAbsolute{Off: 12, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: own, SkipTrue: 6},
		bpf.LoadAbsolute{Off: 16, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: own, SkipTrue: 4},
		bpf.LoadMemShift{Off: 0},
		bpf.LoadIndirect{Off: 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: echoPort, SkipTrue: 1},
		bpf.RetConstant{Val: snap},
		bpf.RetConstant{Val: 0},
	}
}

// Send implements EchoSocket.
func (s *echoSocket) Send(payload []byte) error {
	if now := time.Now(); s.toSince.IsZero() || now.Sub(s.toSince) > neighbourAge {
		mac, err := s.neighbour()
		if err != nil {
			return err
		}
		s.to.HardwareAddr, s.toSince = mac, now
	}
	copy(s.frame[ipv4Header+udpHeader:], payload)
	_, err := s.conn.WriteTo(s.frame[:], &s.to)
	if err != nil && !errors.Is(err, unix.ENOBUFS) {
		return fmt.Errorf("sending an echo packet to %v: %w", s.remote, err)
	}
	return nil
}

// neighbour is the hardware address of the peer, which the kernel knows since control packets go there.
func (s *echoSocket) neighbour() (mac net.HardwareAddr, err error) {
	err = s.host.inside(func() error {
		known, err := netlink.NeighList(s.index, netlink.FAMILY_V4)
		if err != nil {
			return fmt.Errorf("reading the neighbours: %w", err)
		}
		for _, n := range known {
			if found, _ := netip.AddrFromSlice(n.IP.To4()); found == s.remote && len(n.HardwareAddr) > 0 && n.State&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) == 0 {
				mac = n.HardwareAddr
				return nil
			}
		}
		return reason.New(reason.BFDEchoNotUsed, "the hardware address of %v is not known", s.remote)
	})
	return mac, err
}

// Serve implements EchoSocket.
func (s *echoSocket) Serve(deliver func(payload []byte)) error {
	buffer := make([]byte, snap)
	for {
		n, _, err := s.conn.ReadFrom(buffer)
		if errors.Is(err, unix.ENETDOWN) {
			continue // told once
		}
		if err != nil {
			return err
		}
		if header := int(buffer[0]&0x0f)*4 + udpHeader; n > header {
			deliver(buffer[header:n])
		}
	}
}

// Close implements EchoSocket.
func (s *echoSocket) Close() error { return s.conn.Close() }
