// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"cmp"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp/bfd"
	"metalsuite.io/api/reason"
)

// The timers of a peer that names none.
const (
	defaultHoldTime      = 90 * time.Second
	defaultKeepaliveTime = 30 * time.Second
	defaultConnectTime   = 5 * time.Second
)

// endpoint is a peer as this node can reach it now.
type endpoint struct {
	Settings
	carriage
	watch bfd.Session
	// problem is what cannot be announced although the session works; nil when everything can.
	problem *reason.Problem
	// on is the interface towards a peer with an IPv6 address.
	on string
}

// agreed returns the endpoint for a session that was agreed on; o is nil before that. A peer that takes no IPv6 next hop for IPv4 prefixes
// (RFC 8950 4) is told an IPv4 address of this node, and nothing when there is none.
func (e endpoint) agreed(o *Opened) endpoint {
	if o == nil || !e.ipv4 || !o.IPv4 || !e.Remote.Is6() || o.ExtendedNextHop || e.plain4.IsValid() {
		return e
	}
	e.ipv4 = false
	if e.problem == nil {
		e.problem = reason.New(reason.NoNextHop,
			"the peer takes no IPv6 next hop for IPv4 prefixes (RFC 8950), and interface %s has no IPv4 address that it could use instead", e.on)
	}
	return e
}

// shortfall is what cannot be announced although there is a session; nil while there is none, since other things are told then.
func (e endpoint) shortfall(phase announcers.SessionPhase) *reason.Problem {
	if phase != announcers.Established {
		return nil
	}
	return e.problem
}

// sameSession says whether a session with one endpoint serves the other too.
func (e endpoint) sameSession(other endpoint) bool {
	return e.Remote == other.Remote && e.LinkLocal == other.LinkLocal && e.RouterID == other.RouterID
}

// endpointOf is where the settings of a peer and the network of this node meet.
func endpointOf(name string, s announcers.PeerSettings, p Path) endpoint {
	e := endpoint{Settings: Settings{PeerSettings: s, Name: name, Remote: p.Remote, Local: p.Local}}
	if s.Interface != "" {
		e.LinkLocal = p.Local
	}
	if !s.Timers {
		e.HoldTime, e.KeepaliveTime, e.Timers = defaultHoldTime, defaultKeepaliveTime, true
	}
	e.ConnectTime = cmp.Or(s.ConnectTime, defaultConnectTime)
	both := s.BothFamilies || s.Interface != ""
	e.IPv4, e.IPv6 = p.Remote.Is4() || both, p.Remote.Is6() || both
	e.carriage = carriage{ipv4: e.IPv4, ipv6: e.IPv6}
	if p.Remote.Is6() {
		e.plain4, e.on = p.Global4, p.Interface
	}
	if p.Remote.Is4() && both {
		e.nextHop6 = p.Global6
		if !p.Global6.IsValid() {
			e.ipv6 = false
			e.problem = reason.New(reason.NoNextHop, "interface %s has no global IPv6 address that the peer could use as next hop", p.Interface)
		}
	}
	e.watch = watchOf(name, s, p)
	return e
}

// watchOf is the BFD session on the path of a BGP session.
func watchOf(name string, s announcers.PeerSettings, p Path) bfd.Session {
	multihop := s.MultiHop || !p.OnLink
	w := bfd.Session{
		Name: name,
		Path: bfd.Path{Remote: p.Remote, Local: p.Local, Interface: s.VRF, MultiHop: multihop},
		Config: bfd.Config{
			Transmit: s.BFD.Transmit, Receive: s.BFD.Receive, Multiplier: s.BFD.Multiplier, Passive: s.BFD.Passive, Echo: s.BFD.Echo,
			MinimumTTL: s.BFD.MinimumTTL,
		},
	}
	if s.Interface != "" {
		w.Interface = s.Interface
	}
	return w
}
