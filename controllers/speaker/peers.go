// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"slices"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/policy"
)

// neighbours are the BGPPeers of this node: those with which it speaks, sorted by name and without routes, those with which it cannot speak
// and those with a warning, each with the reason, and those whose passwords have not been read yet.
type neighbours struct {
	peers           []announcers.Peer
	leftOut, warned map[string]*reason.Problem
	pending         []string
}

// neighbours returns the BGPPeers of this node; none when no announcer runs that speaks with routers.
func (w World) neighbours() neighbours {
	n := neighbours{leftOut: map[string]*reason.Problem{}, warned: map[string]*reason.Problem{}}
	if !w.Routed {
		return n
	}
	for i := range w.Policy.Peers {
		p := &w.Policy.Peers[i]
		if _, mine := p.Nodes[w.Self]; !mine {
			continue
		}
		password, known := w.password(p)
		if !known {
			n.pending = append(n.pending, p.Name)
			continue
		}
		if password.Problem != nil {
			n.leftOut[p.Name] = password.Problem
			continue
		}
		if password.Warning != nil {
			n.warned[p.Name] = password.Warning
		}
		n.peers = append(n.peers, announcers.Peer{Name: p.Name, PeerSettings: settings(p, password.Value)})
	}
	return n
}

// secrets are the names of the Secrets with the passwords of this node's sessions, sorted and distinct.
func (w World) secrets() []string {
	if !w.Routed {
		return nil // what nobody uses is not read
	}
	var names []string
	for i := range w.Policy.Peers {
		p := &w.Policy.Peers[i]
		if _, mine := p.Nodes[w.Self]; mine && p.Spec.PasswordSecret.Name != "" {
			names = append(names, p.Spec.PasswordSecret.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// password returns the password of a peer; known is false while it is being read.
func (w World) password(p *policy.Peer) (_ Password, known bool) {
	name := p.Spec.PasswordSecret.Name
	if name == "" {
		return Password{Value: announcers.Secret(p.Spec.Password)}, true
	}
	read, known := w.Passwords[name]
	return read, known
}

// settings is what a valid BGPPeer means for a session.
func settings(p *policy.Peer, password announcers.Secret) announcers.PeerSettings {
	s := announcers.PeerSettings{
		LocalASN: p.LocalASN, RemoteASN: p.Spec.PeerASN, Accept: accepted(p.Spec.DynamicASN),
		Address: p.Address, Interface: p.Spec.Interface, Source: p.Source, Port: p.Port, RouterID: p.RouterID,
		Password: password, GracefulRestart: p.Spec.EnableGracefulRestart, MultiHop: p.Spec.EBGPMultiHop, VRF: p.Spec.VRF,
		BothFamilies: p.Spec.DualStackAddressFamily, BFD: announcers.BFD(p.BFD),
	}
	if p.HoldTime != nil && p.KeepaliveTime != nil {
		s.Timers, s.HoldTime, s.KeepaliveTime = true, *p.HoldTime, *p.KeepaliveTime
	}
	if p.Spec.ConnectTime != nil {
		s.ConnectTime = p.Spec.ConnectTime.Duration
	}
	return s
}

func accepted(d v1beta2.DynamicASN) announcers.ASNKind {
	switch d {
	case v1beta2.DynamicASNInternal:
		return announcers.InternalASN
	case v1beta2.DynamicASNExternal:
		return announcers.ExternalASN
	}
	return announcers.AnyASN
}

// carries says whether a session has routes of a family.
func carries(s *announcers.PeerSettings, ipv4 bool) bool {
	return s.BothFamilies || !s.Address.IsValid() || s.Address.Is4() == ipv4
}
