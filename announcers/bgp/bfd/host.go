// SPDX-License-Identifier: Apache-2.0

package bfd

import "net/netip"

// The ports of control packets (RFC 5881 4, RFC 5883 5) and of echo packets (RFC 5881 4).
const (
	singleHopPort = 3784
	echoPort      = 3785
	multiHopPort  = 4784
)

// ttl is what control packets over one hop are sent with, and must arrive with (RFC 5881 5).
const ttl = 255

// Host is the network of a machine as the engine needs it. Its methods return at once and may be called from any goroutine.
type Host interface {
	// Listen opens the socket on which control packets arrive. An error that wraps a *reason.Problem says what is wrong.
	Listen(Port) (Listener, error)
	// Dial opens the socket from which the control packets of a session go out, with a source port of its own (RFC 5881 4). An error that
	// wraps a *reason.Problem says what is wrong.
	Dial(Path) (Sender, error)
	// Domain is the VRF device that a device is or belongs to; empty for none, and when there is no such device.
	Domain(device string) string
}

// hastener is an optional ability of a Host: to let this process wake soon. It is asked once there are sessions.
type hastener interface {
	Hasten() error
}

// Port says which packets a Listener gets.
type Port struct {
	IPv6, MultiHop bool
	// Domain is the VRF device, empty for none.
	Domain string
}

func (p Port) number() uint16 {
	if p.MultiHop {
		return multiHopPort
	}
	return singleHopPort
}

// Listener is a socket for the packets of many sessions.
type Listener interface {
	// Serve calls a function for each packet, one after the other, until Close; it returns net.ErrClosed then, or what went wrong.
	Serve(deliver func(Datagram)) error
	// Drain delivers what has arrived, in the goroutine of the caller, and does not wait for more. When it returns, all packets that had
	// arrived before have been delivered, also those that Serve was about to. It does nothing unless Serve is running.
	Drain()
	// Close ends Serve.
	Close() error
}

// Datagram is a packet as it arrived.
type Datagram struct {
	// Payload is valid during the call only.
	Payload []byte
	// From and To are the addresses without zone, Interface is the index of the interface that it came in by.
	From, To  netip.Addr
	Interface int
	TTL       uint8
}

// Sender is the socket of one session. It is used by one goroutine.
type Sender interface {
	// Send does not wait; what there is no room for is lost. An error that wraps a *reason.Problem says what is wrong.
	Send(payload []byte) error
	// Scope is the index of the interface of a path that is bound to one; 0 for others.
	Scope() int
	// Close gives the socket back.
	Close() error
}
