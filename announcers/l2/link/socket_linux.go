// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"net"
	"runtime"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netns"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// writeTimeout bounds one write, so that an interface that stopped draining its queue cannot hold up the others.
const writeTimeout = 50 * time.Millisecond

// Socket receives the ARP requests of one interface and sends whole Ethernet frames on it.
type Socket struct {
	conn *packet.Conn
}

// OpenARP opens a socket on the interface. It needs the capability NET_RAW; without it the error is an os.ErrPermission.
func (h *Host) OpenARP(l Link) (*Socket, error) {
	filter, err := bpf.Assemble(arpRequests)
	if err != nil {
		return nil, fmt.Errorf("assembling the packet filter: %w", err)
	}
	var conn *packet.Conn
	err = h.inside(func() error {
		ifi := &net.Interface{Index: l.Index, Name: l.Name, HardwareAddr: l.MAC[:]}
		conn, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ARP, &packet.Config{Filter: filter})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket on %s: %w", l.Name, err)
	}
	return &Socket{conn: conn}, nil
}

// arpRequests lets the kernel drop what is not an ARP request to this station or to all: other packets' kinds (own outgoing frames,
// frames of other stations on a promiscuous interface), VLANs that this host has no interface for, replies.
var arpRequests = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: unix.PACKET_BROADCAST, SkipTrue: 5},
	bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 3},
	bpf.LoadAbsolute{Off: 20, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 1, SkipTrue: 1},
	bpf.RetConstant{Val: 128},
	bpf.RetConstant{Val: 0},
}

// Read blocks until a frame arrives, and returns its length.
func (s *Socket) Read(frame []byte) (int, error) {
	n, _, err := s.conn.ReadFrom(frame)
	return n, err
}

// Write sends one Ethernet frame. It fails rather than wait for a full queue.
func (s *Socket) Write(frame []byte) error {
	if len(frame) < 14 {
		return fmt.Errorf("sending a frame: %d bytes are no Ethernet header", len(frame))
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("sending a frame: %w", err)
	}
	_, err := s.conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
	return err
}

// Close ends every Read and Write.
func (s *Socket) Close() error { return s.conn.Close() }

// inside runs a function in the namespace of the host.
func (h *Host) inside(do func() error) error {
	if !h.namespace.IsOpen() {
		return do()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := netns.Get()
	if err != nil {
		return fmt.Errorf("reading the current namespace: %w", err)
	}
	defer func() { _ = before.Close() }()
	if err := netns.Set(h.namespace); err != nil {
		return fmt.Errorf("entering a namespace: %w", err)
	}
	done := do()
	if err := netns.Set(before); err != nil {
		// A thread in a foreign namespace must not serve other goroutines: locked once more, it dies with this one.
		runtime.LockOSThread()
		return fmt.Errorf("leaving a namespace: %w", err)
	}
	return done
}
