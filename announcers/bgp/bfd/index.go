// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"net/netip"
	"slices"
)

// index finds the session of a packet. It is made anew for every change and not changed after that. Each port has its own, so that a packet
// that came over several hops is never taken for one of a single hop.
type index struct {
	byDiscriminator map[uint32]*watcher
	byRemote        map[netip.Addr][]*watcher
}

func newIndex(watchers []*watcher) *index {
	x := &index{byDiscriminator: map[uint32]*watcher{}, byRemote: map[netip.Addr][]*watcher{}}
	for _, w := range watchers {
		remote := w.path.Remote.WithZone("")
		x.byDiscriminator[w.discriminator] = w
		// A session that is leaving knows its peer already.
		if !w.leaving() {
			x.byRemote[remote] = append(x.byRemote[remote], w)
		}
	}
	return x
}

// find returns the session of a packet, nil for none. By its discriminator alone when it has one: the peer may have changed its address
// (RFC 5880 6.3).
func (x *index) find(p Packet, d Datagram) *watcher {
	if p.Receiver != 0 {
		return x.byDiscriminator[p.Receiver]
	}
	return x.from(d)
}

// from returns the session that is meant by where a packet comes from and goes to; the one that says most about it.
func (x *index) from(d Datagram) *watcher {
	for _, w := range x.byRemote[d.From] {
		if w.meets(d) {
			return w
		}
	}
	return nil
}

// meets is whether a packet came the way of the session.
func (w *watcher) meets(d Datagram) bool {
	if w.path.Local.IsValid() && w.path.Local != d.To {
		return false
	}
	scope := int(w.scope.Load())
	return scope == 0 || w.path.MultiHop || scope == d.Interface
}

// compare sorts paths: those with a local address or an interface come before those that leave that open.
func (p Path) compare(q Path) int {
	for _, c := range [...]int{
		p.Remote.Compare(q.Remote), -p.Local.Compare(q.Local), -slices.Compare([]byte(p.Interface), []byte(q.Interface)),
	} {
		if c != 0 {
			return c
		}
	}
	switch {
	case p.MultiHop == q.MultiHop:
		return 0
	case q.MultiHop:
		return -1
	}
	return 1
}
