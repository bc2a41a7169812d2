// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// Engine speaks BGP. It decides nothing: when to connect, what to announce and when to give up is decided above it.
type Engine interface {
	// Run owns every process, goroutine and socket of the engine, and has ended them all when it returns. Sessions that are still open
	// end without a word to the peer, as if the machine had lost power: under graceful restart the routes stay there.
	Run(ctx context.Context) error
	// Open returns a router of its own for one peer, with an empty table and without connection. It waits until that is ready, until the
	// context ends, or for Run to begin. The error says in words what is wrong.
	Open(ctx context.Context, s Settings) (Session, error)
}

// ErrOutOfMemory is that a session ended because its process could get no more memory.
var ErrOutOfMemory = errors.New("out of memory")

// Settings are everything that an engine has to know of a session. They do not change while it is open.
type Settings struct {
	announcers.PeerSettings
	// Name is the peer's, for logs.
	Name string
	// RouterID is always valid, and the timers are always given.
	//
	// Remote is where the peer is: the address of the settings, or on an unnumbered session the link-local one with zone.
	Remote netip.Addr
	// Local is our address on the way to the peer, without zone; not valid when it is not known before the connection is there.
	Local netip.Addr
	// LinkLocal is our address on the interface of an unnumbered session, without zone; not valid on others.
	LinkLocal netip.Addr
	// IPv4 and IPv6 are the families of the session, at least one.
	IPv4, IPv6 bool
	// Restarting is whether an earlier process of this node may have left routes at the peer under graceful restart (RFC 4724 4.1).
	Restarting bool
}

// Session is one router with one peer. Its methods but Events are called by one goroutine at a time; each waits until the engine has done
// it or the context ends. An error other than the context's means that the router is gone; then only Close is of use.
type Session interface {
	// Update withdraws and announces; a route that is announced again has its new attributes. It may be called at any time after Open. What
	// was announced before Connect is sent as soon as the session is established.
	Update(ctx context.Context, withdraw []netip.Prefix, announce []Announcement) error
	// Connect begins to connect, and keeps trying until Disconnect. When an established session ends, or an attempt fails after the TCP
	// connection was made, it does not go on by itself: that is told, and Disconnect and Connect begin afresh.
	Connect(ctx context.Context) error
	// Disconnect ends the session with a Cease, and without harm if there is none (RFC 4486). The table stays.
	Disconnect(ctx context.Context, cease Cease) error
	// Stats asks for what is counted.
	Stats(ctx context.Context) (Stats, error)
	// Events tells what happens, in order; the channel is closed when the router is gone, and Err then says why in words.
	Events() <-chan Event
	Err() error
	// Close gives everything back. A session that is still up is ended with a Cease first. It waits for a bounded time only.
	Close()
}

// Announcement is a route with the next hop that the peer is to use.
type Announcement struct {
	announcers.Route
	// NextHop is not valid when it is our address on the session.
	NextHop netip.Addr
	// NextHop4 is the next hop of an IPv4 prefix for a peer that takes no IPv6 next hop for it (RFC 8950 4). Without one the prefix is not
	// announced to such a peer.
	NextHop4 netip.Addr
}

// Cease says why a session ends (RFC 4486 4, subcodes).
type Cease int

const (
	// AdministrativeShutdown is told when the node takes leave of the peer.
	AdministrativeShutdown Cease = iota
	// AdministrativeReset is told when the session begins afresh at once.
	AdministrativeReset
	// PeerDeconfigured is told when nothing is to be announced to the peer any more.
	PeerDeconfigured
)

// Event is one step of a session.
type Event struct {
	// Phase is where the session is now.
	Phase announcers.SessionPhase
	// Problem says why the session has ended or the attempt has failed, with a detail in words: ConnectionRefused, PeerUnreachable,
	// PeerClosedSession (a NOTIFICATION came), HoldTimerExpired, InvalidPeerMessage (we sent one) and the like. It is nil when nothing is
	// known, or nothing is wrong.
	Problem *reason.Problem
	// Opened is what was agreed; nil unless the phase is OpenConfirm or Established.
	Opened *Opened
}

// Opened is what both sides agreed on.
type Opened struct {
	Local, Remote           netip.AddrPort
	RemoteASN               uint32
	RemoteID                netip.Addr
	HoldTime, KeepaliveTime time.Duration
	IPv4, IPv6              bool
	GracefulRestart         bool
	// ExtendedNextHop is whether the peer takes IPv6 next hops for IPv4 prefixes (RFC 8950 4).
	ExtendedNextHop bool
}

// Stats are what an engine counts on one session since Open.
type Stats struct {
	Messages announcers.MessageCounts
	// Announced is the number of routes that the peer was sent and that were not withdrawn.
	Announced int
	// DroppedMessages and DroppedBytes count the UPDATE messages with routes that the peer has sent since the session began; they are dropped.
	DroppedMessages, DroppedBytes uint64
}
