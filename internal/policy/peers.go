// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
)

// Peer is a valid BGPPeer. Do not log it: its Spec may hold a password.
type Peer struct {
	Name string
	// Spec is what the user wrote; the fields below are what it means.
	Spec v1beta2.BGPPeerSpec
	// Address is not valid for an unnumbered session; Source is not valid when the system chooses.
	Address, Source netip.Addr
	// RouterID is not valid when the speaker chooses one.
	RouterID netip.Addr
	// Port is the peer's TCP port.
	Port uint16
	// LocalASN is the ASN of our side as the peer sees it.
	LocalASN uint32
	// HoldTime and KeepaliveTime are in whole seconds, both given or both nil.
	HoldTime, KeepaliveTime *time.Duration
	// BFD is what the peer's profile says.
	BFD BFD
	// Nodes that have a session with the peer; the numbers have no meaning.
	Nodes map[string]int
}

const bgpPort = 179

// LongestPassword is the most that a session can be signed with, in bytes (Linux: TCP_MD5SIG_MAXKEYLEN).
const LongestPassword = 80

// compilePeers returns the valid peers, sorted by name.
func compilePeers(o Objects, profiles map[string]v1beta1.BFDProfileSpec, found, noted findings) []Peer {
	var peers []Peer
	taken := endpoints{}
	for _, in := range byAge(o.BGPPeers) {
		peer, problem := compilePeer(in, o.Nodes)
		ref := ObjectRef{KindBGPPeer, in.Name}
		nodes := scopeOf(in.Spec.NodeSelectors, peer.Nodes)
		found.addOn(nodes, ref, problem)
		profile, known := profiles[in.Spec.BFDProfile]
		missing := in.Spec.BFDProfile != "" && !known
		if missing {
			found.addOn(nodes, ref, reason.New(reason.UnknownBFDProfile, "peer %q: no valid BFDProfile %q", in.Name, in.Spec.BFDProfile))
		}
		if problem != nil || missing {
			continue
		}
		if known {
			noted.addOn(nodes, ref, peer.watch(profile))
		}
		doubled, problem := taken.leave(&peer)
		found.addOn(doubled, ref, problem)
		peers = append(peers, peer)
	}
	slices.SortFunc(peers, func(a, b Peer) int { return cmp.Compare(a.Name, b.Name) })
	return peers
}

func compilePeer(in *v1beta2.BGPPeer, nodes map[string]map[string]string) (Peer, *reason.Problem) {
	peer := Peer{
		Name: in.Name, Spec: *in.Spec.DeepCopy(), Port: cmp.Or(in.Spec.PeerPort, bgpPort), LocalASN: cmp.Or(in.Spec.LocalASN, in.Spec.MyASN),
	}
	var addresses, selection *reason.Problem
	peer.Nodes, selection = selectNodes(in.Spec.NodeSelectors, nodes)
	addresses = peer.readAddresses()
	return peer, firstOf(contradiction(&in.Spec), addresses, wrongDevices(&in.Spec), peer.readTimers(), selection)
}

// contradiction returns which fields do not go together.
func contradiction(s *v1beta2.BGPPeerSpec) *reason.Problem {
	switch {
	case s.MyASN == 0:
		return reason.New(reason.InvalidBGPPeer, "myASN must not be 0")
	case (s.PeerASN != 0) == (s.DynamicASN != ""):
		return reason.New(reason.InvalidBGPPeer, "exactly one of peerASN and dynamicASN must be set")
	case s.DynamicASN != "" && s.DynamicASN != v1beta2.DynamicASNInternal && s.DynamicASN != v1beta2.DynamicASNExternal:
		return reason.New(reason.InvalidBGPPeer, "dynamicASN %q is neither internal nor external", s.DynamicASN)
	case (s.PeerAddress != "") == (s.Interface != ""):
		return reason.New(reason.InvalidBGPPeer, "exactly one of peerAddress and interface must be set")
	case s.EBGPMultiHop && s.PeerASN == s.MyASN:
		return reason.New(reason.InvalidBGPPeer, "ebgpMultiHop is for a peer with another ASN")
	case s.Password != "" && s.PasswordSecret.Name != "":
		return reason.New(reason.InvalidBGPPeer, "at most one of password and passwordSecret may be set")
	case len(s.Password) > LongestPassword:
		return reason.New(reason.InvalidBGPPeer, "the password has %d bytes; at most %d are possible", len(s.Password), LongestPassword)
	}
	return nil
}

// readTimers fills in the timer that is absent when the other is given: the hold time is three keepalives.
func (p *Peer) readTimers() *reason.Problem {
	hold, keepalive := seconds(p.Spec.HoldTime), seconds(p.Spec.KeepaliveTime)
	if connect := p.Spec.ConnectTime; connect != nil &&
		(connect.Duration < time.Second || connect.Duration > 65535*time.Second || connect.Duration%time.Second != 0) {
		return reason.New(reason.InvalidBGPPeer, "connectTime %s is not from 1s to 65535s in whole seconds", connect.Duration)
	}
	switch {
	case hold == nil && keepalive == nil:
		return nil
	case hold == nil && *keepalive < time.Second:
		return reason.New(reason.InvalidBGPPeer, "invalid keepalive time %s: it is counted in whole seconds; a holdTime of 0s turns keepalives off",
			p.Spec.KeepaliveTime.Duration)
	case hold == nil:
		h := 3 * *keepalive
		hold = &h
	case keepalive == nil:
		k := (*hold / 3).Truncate(time.Second)
		keepalive = &k
	}
	p.HoldTime, p.KeepaliveTime = hold, keepalive
	switch {
	case *hold < 0 || *hold > 65535*time.Second || *hold > 0 && *hold < 3*time.Second:
		return reason.New(reason.InvalidBGPPeer, "invalid hold time %s: must be 0 or from 3s to 65535s", *hold)
	case *keepalive < 0 || *keepalive > *hold:
		return reason.New(reason.InvalidBGPPeer, "invalid keepalive time %s: must not be longer than the hold time %s", *keepalive, *hold)
	}
	return nil
}

// seconds cuts off fractions of a second, since BGP knows none.
func seconds(d *metav1.Duration) *time.Duration {
	if d == nil {
		return nil
	}
	whole := d.Truncate(time.Second)
	return &whole
}
