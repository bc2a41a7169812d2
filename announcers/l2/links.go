// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"context"
	"time"

	"metalsuite.io/announcers/l2/link"
)

// Links is the network of this node, real or simulated.
type Links interface {
	// Watch sends the complete list of interfaces at once and after every change. It blocks until the context ends and returns nil then.
	Watch(ctx context.Context, updates chan<- []link.Link) error

	// OpenARP opens a socket that receives the ARP requests of an interface. A missing permission is an os.ErrPermission.
	OpenARP(l link.Link) (Socket, error)
}

// Socket sends and receives whole Ethernet frames on one interface.
type Socket interface {
	// Read blocks until a frame arrives and returns its length. It fails when the socket is closed.
	Read(frame []byte) (int, error)

	// Write sends a frame. It may be called while another goroutine reads, and it does not wait for a full queue.
	Write(frame []byte) error

	// Close ends a Read that blocks. It is idempotent.
	Close() error
}

// Clock tells the time; the tests bring their own.
type Clock interface {
	Now() time.Time
	// After returns a channel that receives once the duration has passed; at once when it is not positive.
	After(d time.Duration) <-chan time.Time
}

// HostLinks returns the real network behind a Host.
func HostLinks(h *link.Host) Links { return hostLinks{h} }

type hostLinks struct{ *link.Host }

func (h hostLinks) OpenARP(l link.Link) (Socket, error) {
	s, err := h.Host.OpenARP(l)
	if err != nil {
		return nil, err
	}
	return s, nil
}

type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
