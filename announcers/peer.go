// SPDX-License-Identifier: Apache-2.0

package announcers

import (
	"context"
	"net/netip"
	"time"

	"metalsuite.io/api/reason"
)

// Peer is a router to announce to, and what to announce to it.
type Peer struct {
	// Name is distinct among the peers of a node and stays the same while the session is to live.
	Name string
	PeerSettings
	// Routes are distinct by Prefix, sorted by netip.Prefix.Compare. Several peers may have the same slice; nobody changes it.
	Routes []Route
}

// PeerSettings say how to speak with a router. The session goes on as long as they are equal (==), and begins anew when they are not.
type PeerSettings struct {
	// LocalASN is the ASN of this side as the peer sees it; never 0.
	LocalASN uint32
	// RemoteASN is the ASN of the peer; 0 takes it from the peer, as far as Accept allows.
	RemoteASN uint32
	// Accept says which ASN is taken from the peer when RemoteASN is 0.
	Accept ASNKind
	// Address of the peer, without zone; not valid for an unnumbered session.
	Address netip.Addr
	// Interface over which an unnumbered session runs, between link-local addresses; empty for others.
	Interface string
	// Source is the address that the session starts from; when it is not valid, the system chooses.
	Source netip.Addr
	// Port is the TCP port of the peer; never 0.
	Port uint16
	// RouterID is the BGP identifier of this side, an IPv4 address (RFC 4271 1.1); when it is not valid, the module chooses.
	RouterID netip.Addr
	// HoldTime and KeepaliveTime are whole seconds (RFC 4271 4.2, 10) and count when Timers is set; else the module's defaults do, 90 s and
	// 30 s. A hold time of 0 turns keepalives off.
	Timers                  bool
	HoldTime, KeepaliveTime time.Duration
	// ConnectTime is the wait between attempts to connect, in whole seconds; 0 for the module's default, 5 s.
	ConnectTime time.Duration
	// Password signs the session (RFC 2385); empty for none.
	Password Secret
	// GracefulRestart keeps the routes at the peer while the speaker restarts (RFC 4724).
	GracefulRestart bool
	// MultiHop allows routers between this side and an external peer.
	MultiHop bool
	// VRF is the device of the VRF in which the session runs; empty for none.
	VRF string
	// BothFamilies also announces addresses of the other family than that of Address. Unnumbered sessions always do.
	BothFamilies bool
	// BFD watches the path to the peer; its zero value does not.
	BFD BFD
}

// ASNKind is a choice of autonomous systems.
type ASNKind int

const (
	// AnyASN is every autonomous system.
	AnyASN ASNKind = iota
	// InternalASN is our own autonomous system alone (iBGP).
	InternalASN
	// ExternalASN is every other one (eBGP).
	ExternalASN
)

// BFD are the settings of a BFD session (RFC 5880). All intervals are whole milliseconds.
type BFD struct {
	// Enabled is whether there is a session at all.
	Enabled bool
	// Transmit is the shortest interval at which this side sends, Receive the shortest at which it is able to receive (RFC 5880 4.1).
	Transmit, Receive time.Duration
	// Multiplier is how many missed packets in a row end the session.
	Multiplier uint8
	// Passive waits for the peer to begin (RFC 5880 6.1).
	Passive bool
	// Echo is the interval of echo packets in both directions (RFC 5880 6.4); 0 for none.
	Echo time.Duration
	// MinimumTTL is the lowest TTL that is accepted where the path turns out to have several hops (RFC 5883), which the announcer finds
	// out; on a single hop it must be 255 (RFC 5881 5). 0 where several hops cannot be.
	MinimumTTL uint8
}

// Secret is a string that no log shows.
type Secret string

// String implements fmt.Stringer without telling the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(redacted)"
}

// GoString implements fmt.GoStringer without telling the secret.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret from encoders, those of loggers among them.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Route is one prefix with the attributes that a peer sees.
type Route struct {
	// Prefix is masked; IPv4 is never in its IPv6-mapped form.
	Prefix netip.Prefix
	Attributes
}

// Attributes of a route.
type Attributes struct {
	// LocalPref is the local preference on sessions within one autonomous system; 0 leaves it out (RFC 4271 5.1.5).
	LocalPref uint32
	// MED is the multi-exit discriminator (RFC 4271 5.1.4) when HasMED is set.
	MED    uint32
	HasMED bool
	// Prepend is how many times our ASN is put in front of the path beyond the one that belongs there.
	Prepend uint8
	// Communities are those of RFC 1997, LargeCommunities those of RFC 8092; both distinct and sorted. Nobody changes the slices.
	Communities      []uint32
	LargeCommunities [][3]uint32
}

// PeerReporter is an optional ability of an Announcer: it has sessions with routers.
type PeerReporter interface {
	// Peers returns how the session with each desired peer is, sorted by name; the result is the caller's own. It never blocks. That a
	// session changes its phase, its problem or its BFD state is told through Changed; what is merely counted is not.
	Peers() []PeerState
}

// Leaver is an optional ability of an Announcer: it leaves in a way that lets the traffic go elsewhere first.
type Leaver interface {
	// Leave marks everything that is announced as about to go (RFC 8326), waits for a moment and takes leave of every peer. It returns when
	// that is done or the context has ended. Nothing is announced from then on until Run has ended and begins anew. Without it, the end
	// of Run is that of a restart: where graceful restart was negotiated, the routes stay.
	Leave(ctx context.Context)
}

// SessionPhase is where a BGP session is (RFC 4271 8.2.2).
type SessionPhase int

// The phases of a session.
const (
	Idle SessionPhase = iota
	Connect
	Active
	OpenSent
	OpenConfirm
	Established
)

// String returns the phase as RFC 4271 writes it.
func (p SessionPhase) String() string {
	names := [...]string{"Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"}
	if p < 0 || int(p) >= len(names) {
		return "Unknown"
	}
	return names[p]
}

// BFDPhase is where a BFD session is (RFC 5880 6.2).
type BFDPhase int

// The phases of a BFD session. BFDNone is that there is none.
const (
	BFDNone BFDPhase = iota
	BFDAdminDown
	BFDDown
	BFDInit
	BFDUp
)

// String returns the phase as RFC 5880 writes it; empty when there is no session.
func (p BFDPhase) String() string {
	names := [...]string{"", "AdminDown", "Down", "Init", "Up"}
	if p < 0 || int(p) >= len(names) {
		return "Unknown"
	}
	return names[p]
}

// PeerState is how the session with one peer is.
type PeerState struct {
	Name string
	// Phase is where the session is; Since is when it got there.
	Phase SessionPhase
	Since time.Time
	// Problem says why the session is not established, or why something is not announced although it is; nil when all is well.
	Problem *reason.Problem
	// LastError says in words why the session ended last, or why the last attempt failed, and when; empty when there was nothing yet.
	LastError   string
	LastErrorAt time.Time
	// Local and Remote are the two ends of the session; not valid before it is established for the first time. The port of Remote is given.
	Local, Remote netip.AddrPort
	// RemoteASN and RemoteID are what the peer told; zero before.
	RemoteASN uint32
	RemoteID  netip.Addr
	// HoldTime and KeepaliveTime are what was negotiated; 0 before.
	HoldTime, KeepaliveTime time.Duration
	// IPv4 and IPv6 are whether the session carries routes of the family.
	IPv4, IPv6 bool
	// GracefulRestart is whether both sides agreed on it.
	GracefulRestart bool
	// Established counts how often the session was established, Dropped how often it ended after that.
	Established, Dropped uint64
	// Desired is the number of routes that the peer is to have, Announced that of those it was sent.
	Desired, Announced int
	// Messages are counted since the module was made.
	Messages MessageCounts
	// BFD is how the BFD session is.
	BFD BFDState
}

// MessageCounts are numbers of BGP messages.
type MessageCounts struct {
	OpensSent, OpensReceived                 uint64
	UpdatesSent, UpdatesReceived             uint64
	KeepalivesSent, KeepalivesReceived       uint64
	NotificationsSent, NotificationsReceived uint64
	RefreshesSent, RefreshesReceived         uint64
	TotalSent, TotalReceived                 uint64
}

// Plus returns the sums.
func (a MessageCounts) Plus(b MessageCounts) MessageCounts {
	return MessageCounts{
		OpensSent: a.OpensSent + b.OpensSent, OpensReceived: a.OpensReceived + b.OpensReceived,
		UpdatesSent: a.UpdatesSent + b.UpdatesSent, UpdatesReceived: a.UpdatesReceived + b.UpdatesReceived,
		KeepalivesSent: a.KeepalivesSent + b.KeepalivesSent, KeepalivesReceived: a.KeepalivesReceived + b.KeepalivesReceived,
		NotificationsSent: a.NotificationsSent + b.NotificationsSent, NotificationsReceived: a.NotificationsReceived + b.NotificationsReceived,
		RefreshesSent: a.RefreshesSent + b.RefreshesSent, RefreshesReceived: a.RefreshesReceived + b.RefreshesReceived,
		TotalSent: a.TotalSent + b.TotalSent, TotalReceived: a.TotalReceived + b.TotalReceived,
	}
}

// BFDState is how a BFD session is.
type BFDState struct {
	// Phase is where the session is; Since is when it got there.
	Phase BFDPhase
	Since time.Time
	// Remote is the phase that the other side told last; Diagnostic says why the session went down last, in words of RFC 5880 4.1.
	Remote     BFDPhase
	Diagnostic string
	// Transmit and Detection are the interval at which this side sends now, and the time without a packet after which the session ends.
	Transmit, Detection time.Duration
	// Problem says why there is no working session although one is asked for (no permission, an address that is not there); nil else.
	Problem *reason.Problem
	// ControlSent and ControlReceived count control packets, EchoSent and EchoReceived echo packets, Ups and Downs changes.
	ControlSent, ControlReceived, EchoSent, EchoReceived, Ups, Downs uint64
}
