// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"net/netip"
	"time"

	"metalsuite.io/api/reason"
)

// Session is one path that is to be watched.
type Session struct {
	// Name is distinct. Sessions that have the same path are one session under several names, with the Config of the name that sorts first.
	Name string
	// Path is what is watched; a session with another path is another session.
	Path
	// Config may change while the session lives; a change is agreed with the peer by a poll sequence (RFC 5880 6.8.3) and does not end it.
	Config
}

// Path is between which ends packets go.
type Path struct {
	// Remote is the address of the peer, with its zone when it is a link-local one.
	Remote netip.Addr
	// Local is the address that packets are sent from, without zone; when it is not valid, the system chooses, by its route to the peer.
	Local netip.Addr
	// Interface is the device (an interface or a VRF) that packets go through; empty leaves that to the routes.
	Interface string
	// MultiHop allows routers on the way (RFC 5883); else the peer must be on the same link (RFC 5881).
	MultiHop bool
}

// Config says how a path is watched.
type Config struct {
	// Transmit is the shortest interval at which this side sends, Receive the shortest at which it is able to receive (RFC 5880 4.1). Both
	// are rounded to whole microseconds; 300 ms where they are not positive.
	Transmit, Receive time.Duration
	// Multiplier is how many packets of this side in a row may be missing before the peer declares the path failed; 3 where it is 0.
	Multiplier uint8
	// Passive waits for the peer to begin (RFC 5880 6.1).
	Passive bool
	// Echo is the interval of echo packets in both directions (RFC 5880 6.4), on IPv4 over one hop; 0 for none. Those of the peer are asked
	// for when this host forwards IPv4, since its kernel then returns them. Control packets keep their intervals beside them.
	Echo time.Duration
	// MinimumTTL is the lowest TTL or hop limit that is accepted over several hops (RFC 5883 5); it does not count on a single hop, where
	// 255 is required (RFC 5881 5).
	MinimumTTL uint8
}

// Phase is the state of a session, as on the wire (RFC 5880 4.1).
type Phase uint8

// The phases of a session.
const (
	AdminDown Phase = iota
	Down
	Init
	Up
)

// String returns the phase as RFC 5880 writes it.
func (p Phase) String() string {
	names := [...]string{"AdminDown", "Down", "Init", "Up"}
	if int(p) >= len(names) {
		return "Unknown"
	}
	return names[p]
}

// Diagnostic says why a session changed its state last, as on the wire (RFC 5880 4.1).
type Diagnostic uint8

// The diagnostics of RFC 5880 4.1.
const (
	NoDiagnostic Diagnostic = iota
	DetectionTimeExpired
	EchoFailed
	NeighborSignaledDown
	ForwardingPlaneReset
	PathDown
	ConcatenatedPathDown
	AdministrativelyDown
	ReverseConcatenatedPathDown
)

// String returns the diagnostic in the words of RFC 5880 4.1.
func (d Diagnostic) String() string {
	names := [...]string{
		"No Diagnostic", "Control Detection Time Expired", "Echo Function Failed", "Neighbor Signaled Session Down", "Forwarding Plane Reset",
		"Path Down", "Concatenated Path Down", "Administratively Down", "Reverse Concatenated Path Down",
	}
	if int(d) >= len(names) {
		return "Unknown"
	}
	return names[d]
}

// State is how a session is. Counters count since the session was first asked for.
type State struct {
	// Phase is where the session is; Since is when it got there.
	Phase Phase
	Since time.Time
	// RemotePhase and RemoteDiagnostic are what the peer told last; Down and NoDiagnostic before it told anything. A peer that is AdminDown
	// has stopped watching on purpose, which says nothing about the path (RFC 5882 3.2).
	RemotePhase      Phase
	RemoteDiagnostic Diagnostic
	// Diagnostic says why the session left Up or Init last.
	Diagnostic Diagnostic
	// Transmit is the interval at which this side sends now, before jitter; 0 when the peer wants nothing. Detection is the time without a
	// packet after which the path has failed; 0 before the first packet.
	Transmit, Detection time.Duration
	// Local and Remote are the discriminators (RFC 5880 6.3); Remote is 0 while the peer is silent.
	LocalDiscriminator, RemoteDiscriminator uint32
	// EverUp is whether the session was Up at all.
	EverUp bool
	// Ups counts how often the session came up.
	Ups uint64
	// Downs counts failures: how often the session went from Up to Down because the detection time expired, echo packets were lost or the
	// peer said that it is Down.
	Downs uint64
	// PeerAdminDowns counts how often the session went from Up to Down because the peer stopped watching on purpose.
	PeerAdminDowns uint64
	// ControlSent and ControlReceived count control packets, ControlDiscarded those that were for this session and had to be discarded.
	ControlSent, ControlReceived, ControlDiscarded uint64
	// EchoSent and EchoReceived count our own echo packets and those that came back.
	EchoSent, EchoReceived uint64
	// EchoActive is whether echo packets are being sent and come back, so that their loss ends the session.
	EchoActive bool
	// EchoProblem says why there is no echo although it is asked for; the session works without it. It is nil when there is, when it is not
	// asked for, and before the session is Up.
	EchoProblem *reason.Problem
	// Problem says why the session cannot work for a reason on this side: a socket that is refused, a missing address or route; nil when
	// packets go out and may come in.
	Problem *reason.Problem
}
