// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"context"
	"net/netip"
	"time"

	"metalsuite.io/announcers/l2/link"
)

// Links is where the announcer sees interfaces and opens sockets: the host, or a simulated network.
type Links interface {
	// Watch sends the complete list of interfaces, sorted by name, at once and after every change, until the context ends; then it
	// returns nil.
	Watch(ctx context.Context, updates chan<- []link.Link) error

	// WatchRoutes sends what the routes say, at once and after every change that makes a difference, until the context ends; then it
	// returns nil.
	WatchRoutes(ctx context.Context, updates chan<- link.Routes) error

	// Open opens a socket for the frames of a protocol on an interface. A missing permission is an os.ErrPermission.
	Open(l link.Link, p link.Protocol) (Socket, error)
}

// Socket sends and receives whole Ethernet frames of one protocol on one interface.
type Socket interface {
	// Serve calls handle for every frame that comes in and passes the filter, until the socket fails or is closed, and returns why. The
	// frame and reply are valid during the call only; reply sends a frame at once or fails.
	Serve(handle func(frame []byte, reply func([]byte) error)) error

	// Write sends a frame; any goroutine may call it. It does not wait: a full queue is a link.ErrBusy.
	Write(frame []byte) error

	// Filter lets up only frames that concern these prefixes from now on; none means all. Prefixes of other families are passed over.
	Filter(prefixes []netip.Prefix) error

	// Groups makes these the multicast groups that the interface listens to. It joins as many as it can and fails if that is not all.
	Groups(groups []netip.Addr) error

	// Close ends Serve. It is idempotent.
	Close() error
}

// Clock tells the time; the tests bring their own.
type Clock interface {
	Now() time.Time
	// At returns a channel that receives at the given time; at once when that has passed.
	At(t time.Time) <-chan time.Time
}

// HostLinks returns the real network behind a Host.
func HostLinks(h *link.Host) Links { return hostLinks{h} }

type hostLinks struct{ *link.Host }

func (h hostLinks) Open(l link.Link, p link.Protocol) (Socket, error) {
	s, err := h.Host.Open(l, p)
	if err != nil {
		return nil, err
	}
	return s, nil
}

type systemClock struct{}

func (systemClock) Now() time.Time                  { return time.Now() }
func (systemClock) At(t time.Time) <-chan time.Time { return time.After(time.Until(t)) }
