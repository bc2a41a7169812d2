// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
)

// way is how a child connects to a router. It travels as JSON to the child, over a pipe that nobody else reads.
type way struct {
	// Remote has a zone when it is link-local. Source is not valid when the kernel is to choose; Device binds the connection to an interface
	// or VRF, empty for none.
	Remote netip.AddrPort `json:"remote"`
	Source netip.Addr     `json:"source"`
	Device string         `json:"device,omitempty"`
	// TTL is that of what is sent, 0 for the kernel's. Password signs the connection (RFC 2385), empty for none.
	TTL      int    `json:"ttl,omitempty"`
	Password string `json:"password,omitempty"`
	// Retry is the time between two attempts, Hold the hold time that GoBGP has. IPv4 and IPv6 are the families of the session.
	Retry time.Duration `json:"retry"`
	Hold  time.Duration `json:"hold"`
	IPv4  bool          `json:"ipv4"`
	IPv6  bool          `json:"ipv6"`
}

// manyHops is the TTL of a session over several hops.
const manyHops = 255

// wayOf returns how a peer is reached. An external peer is one hop away unless something else is said (RFC 4271 5.1.3).
func wayOf(s bgp.Settings) way {
	w := way{
		Remote: netip.AddrPortFrom(s.Remote, s.Port), Source: s.Source, Device: s.VRF, Password: string(s.Password),
		Retry: connectTime(s.PeerSettings), IPv4: s.IPv4, IPv6: s.IPv6,
	}
	w.Hold, _ = timesOf(s.PeerSettings)
	if s.LinkLocal.IsValid() {
		w.Source = s.LinkLocal
	}
	if zone := s.Remote.Zone(); zone != "" {
		w.Device, w.Source = zone, w.Source.WithZone(zone)
	}
	switch {
	case s.RemoteASN == 0 || s.RemoteASN == s.LocalASN:
	case s.MultiHop:
		w.TTL = manyHops
	default:
		w.TTL = 1
	}
	return w
}

func connectTime(s announcers.PeerSettings) time.Duration {
	if s.ConnectTime == 0 {
		return defaultConnect
	}
	return s.ConnectTime
}

// dial connects once.
func (w way) dial(ctx context.Context) (*net.TCPConn, error) {
	d := net.Dialer{
		Timeout: max(w.Retry-time.Second, time.Second),
		Control: func(_, _ string, raw syscall.RawConn) error { return control(raw, w.prepare) },
	}
	d.SetMultipathTCP(false) // which knows no signatures
	if w.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(w.Source, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", w.Remote.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// control calls f with the descriptor of a socket.
func control(raw syscall.RawConn, f func(fd int) error) error {
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// prepare sets what a socket needs before it connects.
func (w way) prepare(fd int) error {
	if w.TTL != 0 {
		level, option := unix.IPPROTO_IP, unix.IP_TTL
		if w.Remote.Addr().Is6() {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
		}
		if err := unix.SetsockoptInt(fd, level, option, w.TTL); err != nil {
			return fmt.Errorf("setting the TTL: %w", err)
		}
	}
	if w.Device != "" {
		if err := unix.BindToDevice(fd, w.Device); err != nil {
			return fmt.Errorf("binding to %s: %w", w.Device, err)
		}
	}
	if w.Password != "" {
		sig, err := signature(w.Remote, w.Password)
		if err != nil {
			return err
		}
		if err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG, sig); err != nil {
			return fmt.Errorf("setting the password: %w", err)
		}
	}
	return nil
}

var errPassword = errors.New("the password is longer than 80 bytes")

// signature is what the kernel signs a connection with (RFC 2385).
func signature(remote netip.AddrPort, password string) (*unix.TCPMD5Sig, error) {
	sig := &unix.TCPMD5Sig{Keylen: uint16(len(password))}
	if copy(sig.Key[:], password) < len(password) {
		return nil, errPassword
	}
	// The storage has the family in the machine's byte order, and behind it what sockaddr_in and sockaddr_in6 have: the address is after the
	// port, or after the port and the flow label.
	raw := make([]byte, 2+len(sig.Addr.Data))
	a := remote.Addr().Unmap()
	if a.Is4() {
		sig.Addr.Family = unix.AF_INET
		copy(raw[4:], a.AsSlice())
	} else {
		sig.Addr.Family = unix.AF_INET6
		copy(raw[8:], a.AsSlice())
	}
	binary.BigEndian.PutUint16(raw[2:], remote.Port())
	for i := range sig.Addr.Data {
		sig.Addr.Data[i] = raw[2+i]
	}
	return sig, nil
}

// door is where GoBGP connects to: a port of the loopback interface that refuses connections until it is opened.
type door struct{ fd int }

// loopback is the router as GoBGP knows it.
var loopback = [4]byte{127, 0, 0, 1}

func newDoor() (*door, uint16, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("making a socket: %w", err)
	}
	d := &door{fd}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback}); err != nil {
		d.close()
		return nil, 0, fmt.Errorf("binding a socket: %w", err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		d.close()
		return nil, 0, fmt.Errorf("asking for the port of a socket: %w", err)
	}
	return d, uint16(at.(*unix.SockaddrInet4).Port), nil
}

func (d *door) close() { _ = unix.Close(d.fd) } // nothing was written

// engineBuffer bounds what GoBGP may have sent that the router has not taken, so that GoBGP notices early.
const engineBuffer = 64 << 10

// open lets connections wait for accept.
func (d *door) open() error {
	_ = unix.SetsockoptInt(d.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, engineBuffer) // a larger buffer does too
	if err := unix.Listen(d.fd, 1); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	return nil
}

// accept lets GoBGP in through an open door. Other processes of the machine can connect as well; they are turned away.
func (d *door) accept(ctx context.Context) (*net.TCPConn, error) {
	f, err := fileListener(d.fd)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = f.SetDeadline(time.Unix(1, 0)) }) // fails only when it is closed
	defer stop()
	for {
		conn, err := f.AcceptTCP()
		if err != nil {
			return nil, fmt.Errorf("waiting for GoBGP: %w", err)
		}
		own, err := ownSocket(conn)
		if own {
			return conn, nil
		}
		_ = conn.Close()
		if err != nil {
			return nil, err
		}
	}
}

// fileListener is a listener on a socket that stays the caller's.
func fileListener(fd int) (*net.TCPListener, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("copying a socket: %w", err)
	}
	f := os.NewFile(uintptr(own), "relay")
	defer func() { _ = f.Close() }()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listening on a socket: %w", err)
	}
	return l.(*net.TCPListener), nil
}

// openFiles returns the descriptors that this process has.
func openFiles() ([]int, error) {
	found, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, fmt.Errorf("listing the open files: %w", err)
	}
	out := make([]int, 0, len(found))
	for _, f := range found {
		if fd, err := strconv.Atoi(f.Name()); err == nil {
			out = append(out, fd)
		}
	}
	return out, nil
}

// ownSocket says whether the other end of a connection is a socket of this process. A connection of TCP is known by its two ends.
func ownSocket(conn *net.TCPConn) (bool, error) {
	near, far := conn.LocalAddr().(*net.TCPAddr).AddrPort(), conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	files, err := openFiles()
	if err != nil {
		return false, err
	}
	for _, fd := range files {
		local, err := unix.Getsockname(fd)
		if err != nil || socketAddress(local) != far {
			continue
		}
		if remote, err := unix.Getpeername(fd); err == nil && socketAddress(remote) == near {
			return true, nil
		}
	}
	return false, nil
}

func socketAddress(a unix.Sockaddr) netip.AddrPort {
	if in, ok := a.(*unix.SockaddrInet4); ok {
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port))
	}
	return netip.AddrPort{}
}
