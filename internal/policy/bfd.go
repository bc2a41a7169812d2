// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"maps"
	"slices"
	"time"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
)

// BFD is how the path to a peer is watched (RFC 5880); its zero value says that it is not. The fields are those of announcers.BFD, so that
// one converts to the other.
type BFD struct {
	Enabled bool
	// Transmit is the shortest interval at which we send, Receive the shortest at which we are able to receive: 300 ms unless given.
	Transmit, Receive time.Duration
	// Multiplier is how many missed packets in a row end the session: 3 unless given.
	Multiplier uint8
	// Passive waits for the peer to begin.
	Passive bool
	// Echo is the interval of echo packets, 50 ms unless given; 0 for none. Only IPv4 sessions over one hop have any; how many hops there
	// are to an internal peer is known on the node only.
	Echo time.Duration
	// MinimumTTL is the lowest TTL accepted if the path has several hops (RFC 5883), 254 unless given; 0 where it never has (RFC 5881).
	MinimumTTL uint8
}

// The values that count when a profile gives none, in the units of its fields.
const (
	bfdInterval   = 300
	bfdMultiplier = 3
	bfdEcho       = 50
	bfdMinimumTTL = 254
)

// watch reads the profile for a peer. The note says what of it the peer's session certainly cannot have.
//
// That routers may be between a node and an external peer is what ebgpMultiHop says. Whether there are any before an internal one is known
// on the node only, so the profile's TTL goes along.
func (p *Peer) watch(profile v1beta1.BFDProfileSpec) *reason.Problem {
	p.BFD = BFD{
		Enabled:  true,
		Transmit: milliseconds(profile.TransmitInterval, bfdInterval), Receive: milliseconds(profile.ReceiveInterval, bfdInterval),
		Multiplier: uint8(or(profile.DetectMultiplier, bfdMultiplier)), Passive: or(profile.PassiveMode, false),
	}
	if p.Spec.EBGPMultiHop || p.internal() && p.Spec.Interface == "" {
		p.BFD.MinimumTTL = uint8(or(profile.MinimumTTL, bfdMinimumTTL))
	}
	switch {
	case !or(profile.EchoMode, false):
	case p.Spec.EBGPMultiHop:
		return reason.New(reason.EchoExcludesIPv6, "peer %q: the echo mode of BFDProfile %q is not used over several hops", p.Name, p.Spec.BFDProfile)
	case !p.Address.Is4():
		return reason.New(reason.EchoExcludesIPv6, "peer %q: the echo mode of BFDProfile %q is not used on an IPv6 session", p.Name, p.Spec.BFDProfile)
	default:
		p.BFD.Echo = milliseconds(profile.EchoInterval, bfdEcho)
	}
	return nil
}

// internal reports whether the peer is of our own autonomous system.
func (p *Peer) internal() bool {
	return p.Spec.DynamicASN == v1beta2.DynamicASNInternal || p.Spec.PeerASN == p.LocalASN
}

func or[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
}

func milliseconds(given *uint32, otherwise uint32) time.Duration {
	return time.Duration(or(given, otherwise)) * time.Millisecond
}

// compileProfiles returns the profiles whose values are in their ranges.
func compileProfiles(o Objects, found findings) map[string]v1beta1.BFDProfileSpec {
	out := map[string]v1beta1.BFDProfileSpec{}
	for i := range o.BFDProfiles {
		in := &o.BFDProfiles[i]
		problem := outOfRange(&in.Spec)
		if problem != nil {
			found.addOn(o.profileScope(in.Name), ObjectRef{KindBFDProfile, in.Name}, problem)
			continue
		}
		out[in.Name] = *in.Spec.DeepCopy()
	}
	return out
}

func outOfRange(s *v1beta1.BFDProfileSpec) *reason.Problem {
	type bounds struct {
		value    *uint32
		low, top uint32
	}
	fields := map[string]bounds{
		"receiveInterval": {s.ReceiveInterval, 10, 60000}, "transmitInterval": {s.TransmitInterval, 10, 60000},
		"echoInterval": {s.EchoInterval, 10, 60000}, "detectMultiplier": {s.DetectMultiplier, 2, 255}, "minimumTtl": {s.MinimumTTL, 1, 254},
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if f := fields[name]; f.value != nil && (*f.value < f.low || *f.value > f.top) {
			return reason.New(reason.InvalidBFDProfile, "invalid %s %d: must be from %d to %d", name, *f.value, f.low, f.top)
		}
	}
	return nil
}
