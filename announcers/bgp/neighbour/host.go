// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"context"
	"net"
	"net/netip"
	"slices"
)

// Host is the network of this node as a Watcher sees it. Kernel is the real one.
type Host interface {
	// Watch sends all interfaces at once and after every change of an interface or an address, until the context ends; then it returns
	// nil. Changes that follow each other fast are taken together.
	Watch(ctx context.Context, updates chan<- []Link) error

	// Routers returns the link-local addresses that the kernel knows as those of routers on the interface, without zone, sorted. It does
	// not wait for the network.
	Routers(index int) ([]netip.Addr, error)

	// Open makes a socket for router advertisements and solicitations on an interface that has a link-local address. The error is an
	// os.ErrPermission when the capability NET_RAW is missing.
	Open(l Link) (Conn, error)
}

// Conn is a socket on one interface. Receive is called by one goroutine, while another one sends or closes.
type Conn interface {
	// Receive waits for the next message that is valid (RFC 4861 6.1) and not our own. An error is final: the socket is of no more use.
	Receive() (Message, error)
	// Send sends a message of a kind to everybody on the link whom it concerns. It does not wait.
	Send(k Kind) error
	// Close ends Receive.
	Close() error
}

// Link is one interface at one moment.
type Link struct {
	Index int
	Name  string
	// Hardware is the hardware address; empty when there is none.
	Hardware net.HardwareAddr
	// Carrier says that the interface is up and the kernel considers it operational (IFF_RUNNING).
	Carrier bool
	// LinkLocal is an IPv6 link-local address that the interface may use, without zone: duplicate address detection has passed. It is
	// not valid when there is none.
	LinkLocal netip.Addr
	// Addresses are those configured on the interface that may be used, sorted.
	Addresses []netip.Addr
}

// Equal says whether two observations of an interface are the same.
func (l Link) Equal(o Link) bool {
	return l.sameSocket(o) && l.Name == o.Name && l.Carrier == o.Carrier && slices.Equal(l.Addresses, o.Addresses)
}

// sameSocket says whether a socket made for one serves the other.
func (l Link) sameSocket(o Link) bool {
	return l.Index == o.Index && l.LinkLocal == o.LinkLocal && slices.Equal(l.Hardware, o.Hardware)
}

// Way is how the kernel would reach another machine.
type Way struct {
	// Local is the address that it would speak from, Interface the one that it would send on.
	Local     netip.Addr
	Interface string
	// OnLink is whether no router is in between, as far as the routes tell.
	OnLink bool
}
