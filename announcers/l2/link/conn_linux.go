// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"metalsuite.io/internal/hostnet"
)

const (
	// receiveBuffer is what a Conn asks for, in bytes; the kernel gives at most net.core.rmem_max.
	receiveBuffer = 4 << 20
	// batch is how many frames are handled before Serve looks whether the Conn was closed.
	batch = 64
)

// Conn exchanges the frames of one protocol on one interface. Serve runs in one goroutine at a time; every other method may be called
// from any goroutine.
type Conn struct {
	protocol Protocol
	socket   *packet.Conn
	raw      syscall.RawConn
	groups   groups

	closing  sync.Once
	closed   atomic.Bool
	closeErr error

	serving atomic.Bool
	// Only Serve's goroutine uses the rest. The functions are made once, so that a frame costs no allocation.
	drain  func(fd uintptr) bool
	reply  func(frame []byte) error
	handle func(frame []byte, reply func([]byte) error)
	fd     int
	failed error
	buffer [Snap]byte
}

// Open opens a packet socket for a protocol on the interface. From its first frame on it delivers what Filter without prefixes lets up.
// It needs the capability NET_RAW; without it the error is an os.ErrPermission.
func (h *Host) Open(l Link, p Protocol) (*Conn, error) {
	filter, err := bpf.Assemble(program(p, nil))
	if err != nil {
		return nil, fmt.Errorf("building the packet filter: %w", err)
	}
	c := &Conn{protocol: p, groups: groups{host: h, index: l.Index}, fd: -1}
	c.drain, c.reply = c.handleBatch, c.send
	err = hostnet.Inside(h.namespace, func() error {
		ifi := &net.Interface{Index: l.Index, Name: l.Name, HardwareAddr: l.MAC[:]}
		c.socket, err = packet.Listen(ifi, packet.Raw, etherType(p), &packet.Config{Filter: filter})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket for %v on %s: %w", p, l.Name, err)
	}
	if err := c.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the packet socket for %v on %s: %w", p, l.Name, err), c.socket.Close())
	}
	return c, nil
}

func etherType(p Protocol) int {
	if p == NDP {
		return unix.ETH_P_IPV6
	}
	return unix.ETH_P_ARP
}

func (c *Conn) prepare() (err error) {
	if c.raw, err = c.socket.SyscallConn(); err != nil {
		return err
	}
	return c.control(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	})
}

// Serve calls a function for every frame received, one after the other, until the Conn is closed or the socket fails; it returns
// net.ErrClosed or the socket's error. An interface that goes down fails with ENETDOWN, once; Serve may then be called again. A frame
// holds at most its first Snap bytes. The frame, and reply, which sends one on the same socket at once, are valid only during the call;
// reply returns ErrBusy rather than wait.
func (c *Conn) Serve(handle func(frame []byte, reply func([]byte) error)) error {
	if c.serving.Swap(true) {
		return errors.New("receiving frames: the socket is being served already")
	}
	defer c.serving.Store(false)
	c.handle, c.failed = handle, nil
	for {
		err := c.raw.Read(c.drain)
		switch {
		case c.closed.Load():
			return net.ErrClosed
		case err != nil:
			return fmt.Errorf("receiving frames: %w", err)
		case c.failed != nil:
			return fmt.Errorf("receiving frames: %w", c.failed)
		}
	}
}

// handleBatch handles the frames that have arrived. False asks to be called again when there are more; the end of a batch must not say
// so, because no event would tell of the frames that are there already.
func (c *Conn) handleBatch(fd uintptr) bool {
	c.fd = int(fd)
	defer func() { c.fd = -1 }()
	for range batch {
		n, err := unix.Read(c.fd, c.buffer[:])
		switch err {
		case nil:
			c.handle(c.buffer[:n], c.reply)
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			c.failed = err
			return true
		}
	}
	return true
}

func (c *Conn) send(frame []byte) error { return send(c.fd, frame) }

// send writes a frame to a socket that does not block.
func send(fd int, frame []byte) error {
	for {
		_, err := unix.Write(fd, frame)
		switch err {
		case unix.EINTR:
			continue
		case unix.EAGAIN, unix.ENOBUFS:
			return ErrBusy
		}
		return err
	}
}

// Write sends a frame that nobody asked for. It returns ErrBusy rather than wait, and net.ErrClosed after Close.
func (c *Conn) Write(frame []byte) error {
	if err := c.control(func(fd int) error { return send(fd, frame) }); err != nil {
		return fmt.Errorf("sending a frame: %w", err)
	}
	return nil
}

// Filter lets up only messages about these prefixes from now on; those of another family do not count. Without any prefix, and if the
// kernel has no room for so many, it lets up messages about all addresses. No frame is lost in between.
func (c *Conn) Filter(prefixes []netip.Prefix) error {
	err := c.attach(program(c.protocol, prefixes))
	if errors.Is(err, unix.ENOMEM) {
		// The kernel counts the old and the new filter against net.core.optmem_max together: the short one makes room.
		if err = c.attach(program(c.protocol, nil)); err == nil {
			err = ignoring(unix.ENOMEM, c.attach(program(c.protocol, prefixes)))
		}
	}
	if err != nil {
		return fmt.Errorf("setting the packet filter: %w", err)
	}
	return nil
}

func (c *Conn) attach(code []bpf.Instruction) error {
	filter, err := bpf.Assemble(code)
	if err != nil {
		return err
	}
	if err := c.socket.SetBPF(filter); !c.closed.Load() {
		return err
	}
	return net.ErrClosed
}

func ignoring(errno, err error) error {
	if errors.Is(err, errno) {
		return nil
	}
	return err
}

// Close ends Serve and leaves all groups. It waits for the function that Serve is calling, so that function must not call it. Only the
// first call does anything; all return the same.
func (c *Conn) Close() error {
	c.closing.Do(func() {
		c.closed.Store(true)
		c.closeErr = c.socket.Close()
		c.groups.close()
	})
	return c.closeErr
}

// control runs a function on the socket.
func (c *Conn) control(do func(fd int) error) error {
	var failed error
	err := c.raw.Control(func(fd uintptr) { failed = do(int(fd)) })
	if c.closed.Load() {
		return net.ErrClosed
	}
	return errors.Join(err, failed)
}
