// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"context"
	"net/netip"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp/bfd"
	"metalsuite.io/api/reason"
)

// Detector notices when the path to a peer fails. It knows nothing of BGP. Its methods but Run never block.
type Detector interface {
	// Run owns every goroutine and socket of the detector. When its context ends it tells all neighbours that this is on purpose.
	Run(ctx context.Context) error
	// Set makes sessions the complete set.
	Set(sessions []bfd.Session)
	// State returns how a session is; false when there is none of the name.
	State(name string) (bfd.State, bool)
	// Changed receives a value after a session changed its phase.
	Changed() <-chan struct{}
}

// Network is what has to be known of this node's interfaces. Its methods but Run never wait for the network.
type Network interface {
	// Run owns every goroutine and socket of the view.
	Run(ctx context.Context) error
	// Want makes interfaces the complete set of those whose neighbour is looked for.
	Want(interfaces []string)
	// Path returns how this node reaches a peer with these settings, or why it cannot.
	Path(s announcers.PeerSettings) (Path, *reason.Problem)
	// Changed receives a value after Path would answer otherwise.
	Changed() <-chan struct{}
}

// Path is how this node reaches a peer.
type Path struct {
	// Remote is the peer; with zone when it is link-local.
	Remote netip.Addr
	// Interface is where the path begins, Local is our address on it, without zone.
	Interface string
	Local     netip.Addr
	// OnLink is whether no router is in between.
	OnLink bool
	// Global4 and Global6 are addresses of the interface that a peer may use as next hop; not valid when there is none.
	Global4, Global6 netip.Addr
}
