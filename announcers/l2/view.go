// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"

	"metalsuite.io/announcers/l2/link"
)

// view is what a responder needs to know. It is immutable: whoever decides replaces it as a whole.
type view struct {
	station
	addresses map[netip.Addr]entry
	stations  stations
}

// entry is an address that concerns a responder.
type entry struct {
	counters *counters
	// answers is whether to answer for the address; else only who claims it is of interest.
	answers bool
}

// stations are the hardware addresses that are no strangers.
type stations struct {
	// own are those of this node's interfaces: two of them may be on one segment.
	own map[link.MAC]struct{}
	// allies are those of the other speakers.
	allies map[link.MAC]struct{}
}

// sighting is that another station claims an address which concerns us.
type sighting struct {
	addr  netip.Addr
	mac   link.MAC
	index int
	// ally is whether it is another speaker.
	ally bool
}

// concerns says whether a message was sent to this interface or to a group, by another station.
func (v *view) concerns(p message) bool {
	return p.from != v.mac && p.hardware != v.mac && (p.to == v.mac || !p.to.IsUnicast())
}

// claimed returns the entry of the address that a message claims, false when the claim is of no interest.
func (v *view) claimed(p message) (entry, bool) {
	if !p.claims.IsValid() {
		return entry{}, false
	}
	e, ours := v.addresses[p.claims]
	if !ours {
		return entry{}, false
	}
	_, own := v.stations.own[p.hardware]
	return e, !own
}
