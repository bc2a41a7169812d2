// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"net/netip"
	"time"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// sighting is one AddressConflict. It can be compared.
type sighting struct {
	address                   netip.Addr
	why                       reason.Reason
	node, nic, hardware, name string
	withdrawn                 bool
	// outdated is set when a node that noticed the same later says otherwise about whether the address is withdrawn.
	outdated bool
	since    time.Time
}

// word is what was said last of an address that another machine uses.
type word struct {
	seen      time.Time
	withdrawn bool
}

func sightingOf(o *v1beta1.AddressConflict) (sighting, bool) {
	a, err := netip.ParseAddr(o.Status.Address)
	if err != nil || a.Zone() != "" {
		return sighting{}, false
	}
	s := &o.Status
	return sighting{
		address: a.Unmap(), why: kindOfConflict(s.Reason), node: s.Node, nic: s.Interface, hardware: s.HardwareAddress, name: o.Name,
		withdrawn: s.Withdrawn, since: s.FirstSeen.UTC().Truncate(time.Second),
	}, true
}

// kindOfConflict is the reason of an object; one that a later version may write counts as a machine on the network.
func kindOfConflict(text string) reason.Reason {
	switch r := reason.Reason(text); r {
	case reason.LocalAddress, reason.NextHopAddress, reason.SubnetRouterAnycast, reason.NetworkAddress, reason.BroadcastAddress:
		return r
	default:
		return reason.AddressConflict
	}
}

// or returns the later of two words; of two at a time the worse.
func (w word) or(o word) word {
	if o.seen.After(w.seen) || o.seen.Equal(w.seen) && o.withdrawn {
		return o
	}
	return w
}

// replaces reports whether no node can announce the address for as long as the conflict lasts, whoever has it: a router has it, or all of
// them. An address that is announced nevertheless, to BGP peers for example, is not withdrawn. LocalAddress is not among these: the service proxy of the node may have configured the address because a Service has it, and would
// configure the next one as well. Nor are the edges of IPv4 subnets, which BGP can announce.
func (s sighting) replaces() bool {
	return s.withdrawn && (s.why == reason.NextHopAddress || s.why == reason.SubnetRouterAnycast)
}

// stranger says whether the node speaks of another machine, not of itself.
func (s sighting) stranger() bool { return s.why == reason.AddressConflict }

// compare is negative when s is worse: not outdated, then withdrawn, then said by a node of itself, then older, then by name.
func (s sighting) compare(o sighting) int {
	return cmp.Or(
		cmp.Compare(bit(s.outdated), bit(o.outdated)),
		cmp.Compare(bit(!s.withdrawn), bit(!o.withdrawn)),
		cmp.Compare(bit(s.stranger()), bit(o.stranger())),
		s.since.Compare(o.since),
		cmp.Compare(s.node, o.node),
		cmp.Compare(s.name, o.name),
	)
}
