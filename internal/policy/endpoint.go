// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta2"
)

// readAddresses reads the addresses of a peer and says which of them no session can have.
func (p *Peer) readAddresses() *reason.Problem {
	for _, field := range []struct {
		name, text string
		into       *netip.Addr
	}{
		{"address", p.Spec.PeerAddress, &p.Address},
		{"source address", p.Spec.SourceAddress, &p.Source},
		{"router ID", p.Spec.RouterID, &p.RouterID},
	} {
		if field.text == "" {
			continue
		}
		a, err := netip.ParseAddr(field.text)
		a = a.Unmap()
		if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() && field.into != &p.RouterID {
			return reason.New(reason.InvalidBGPPeer, "invalid BGPPeer %s %q", field.name, field.text)
		}
		*field.into = a
	}
	return p.wrongAddresses()
}

func (p *Peer) wrongAddresses() *reason.Problem {
	switch {
	case p.RouterID.IsValid() && !p.RouterID.Is4():
		return reason.New(reason.InvalidBGPPeer, "invalid BGPPeer router ID %q: it has the form of an IPv4 address", p.Spec.RouterID)
	case p.Address.Is6() && p.Address.IsLinkLocalUnicast():
		return reason.New(reason.InvalidBGPPeer,
			"invalid BGPPeer address %q: a link-local address needs its interface; set interface in place of peerAddress", p.Spec.PeerAddress)
	case p.Source.IsValid() && p.Address.IsValid() && p.Source.Is4() != p.Address.Is4():
		return reason.New(reason.InvalidBGPPeer, "the source address %s is not of the family of the peer's address %s", p.Source, p.Address)
	case p.Source.IsValid() && p.Spec.Interface != "" && !(p.Source.Is6() && p.Source.IsLinkLocalUnicast()):
		return reason.New(reason.InvalidBGPPeer, "the source address %s does not go with interface: an unnumbered session runs between link-local addresses", p.Source)
	}
	return nil
}

// maxDevice is the length of the longest name of a network device (Linux: IFNAMSIZ less the zero at its end).
const maxDevice = 15

// wrongDevices says which name no network device can have.
func wrongDevices(s *v1beta2.BGPPeerSpec) *reason.Problem {
	for _, field := range []struct{ name, value string }{{"interface", s.Interface}, {"vrf", s.VRF}} {
		if n := field.value; len(n) > maxDevice || n == "." || n == ".." || strings.ContainsAny(n, "/:%") || strings.ContainsFunc(n, isSpace) {
			return reason.New(reason.InvalidBGPPeer, "%s %q is no name of a network device", field.name, n)
		}
	}
	return nil
}

func isSpace(r rune) bool { return r <= ' ' || r == 0x7f }

// endpoint is what a router sees of a session before a word is said: two sessions of a node with one endpoint take each other's place.
type endpoint struct {
	address netip.Addr
	device  string
	port    uint16
	vrf     string
}

// endpoints are the peers by node and endpoint.
type endpoints map[string]map[endpoint]string

// leave takes from a peer the nodes on which an older one has its endpoint. It returns these nodes and why.
func (e endpoints) leave(p *Peer) (scope, *reason.Problem) {
	at := endpoint{p.Address, p.Spec.Interface, p.Port, p.Spec.VRF}
	taken := map[string]int{}
	var older []string
	for _, node := range slices.Sorted(maps.Keys(p.Nodes)) {
		if e[node] == nil {
			e[node] = map[endpoint]string{}
		}
		if other, used := e[node][at]; used {
			taken[node], older = 0, append(older, other)
			delete(p.Nodes, node)
			continue
		}
		e[node][at] = p.Name
	}
	if len(taken) == 0 {
		return everyNode, nil
	}
	slices.Sort(older)
	nodes := slices.Sorted(maps.Keys(taken))
	return someNodes(taken), reason.New(reason.DuplicatePeer, "peer %q already exists: on %s the older BGPPeer %s has the same address or interface, port and VRF",
		p.Name, counted(nodes, "node"), quoted(slices.Compact(older)))
}
