// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/api/reason"
)

// observation is what the engine sees of the host.
type observation struct {
	ports    []port
	nextHops []netip.Addr
	open     map[socketKey]*responder
	// stopped says why nothing can be announced; nil while the engine runs.
	stopped *reason.Problem
}

func (o observation) equal(p observation) bool {
	return slices.EqualFunc(o.ports, p.ports, port.equal) && slices.Equal(o.nextHops, p.nextHops) &&
		maps.Equal(o.open, p.open) && o.stopped == p.stopped
}

// observe takes note of the host, decides anew if a decision depends on the news, and tells the world if they make a difference to it.
func (a *Announcer) observe(o observation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before, local, hops := a.outlook(), a.local, a.nextHops
	same := slices.EqualFunc(a.ports, o.ports, port.alike) && maps.Equal(a.open, o.open) && a.stopped == o.stopped
	a.ports, a.open, a.stopped = o.ports, o.open, o.stopped
	a.local, a.nextHops, a.edges = localAddresses(o.ports), set(o.nextHops), subnetEdges(o.ports)
	a.unsuitable, a.inside = unsuitable(a.edges, a.local, a.nextHops), a.look()
	moved := func(w announcers.Address) bool { return !local[w.Addr].equal(a.local[w.Addr]) }
	if !same || !maps.Equal(hops, a.nextHops) || slices.ContainsFunc(a.desired.Addresses, moved) {
		a.decide()
	}
	if !a.outlook().equal(before) {
		signal(a.changed)
	}
}

// HardwareAddresses implements announcers.LinkReporter.
func (a *Announcer) HardwareAddresses() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return usable(a.ports)
}

func set[K comparable](keys []K) map[K]struct{} {
	out := make(map[K]struct{}, len(keys))
	for _, k := range keys {
		out[k] = struct{}{}
	}
	return out
}

// decide makes the current wishes and surroundings effective. The caller holds the mutex.
func (a *Announcer) decide() {
	next := a.placed()
	a.metrics.keep(func(addr netip.Addr) bool {
		s, ok := next.states[addr]
		return ok && (s.Phase != announcers.Refused || s.Problem.Reason == reason.AddressConflict)
	})
	a.publish(next)
	a.reschedule(next)
	a.decided = next
	a.generation++
	signal(a.wake)
}

// placed is the decision at hand; without interfaces to work with everything waits.
func (a *Announcer) placed() decision {
	if a.stopped == nil {
		return decide(surroundings{
			ports: a.ports, local: a.local, nextHops: a.nextHops, edges: a.edges, stance: a.disputes.stance, conflict: a.conflictProblem,
		}, a.desired.Addresses)
	}
	d := decision{states: make(map[netip.Addr]announcers.State, len(a.desired.Addresses))}
	for _, w := range a.desired.Addresses {
		d.states[w.Addr] = announcers.State{Phase: announcers.Waiting, Problem: a.stopped}
	}
	return d
}

// conflictProblem tells who uses an address that was withdrawn.
func (a *Announcer) conflictProblem(addr netip.Addr) *reason.Problem {
	for _, p := range a.ports {
		if c := a.disputes.conflicts[place{addr, p.Name}]; c != nil && c.Withdrawn {
			return reason.New(reason.AddressConflict, "%s is used by another host with hardware address %s on interface %s",
				addr, c.HardwareAddress, c.Interface)
		}
	}
	return reason.New(reason.AddressConflict, "")
}

// publish gives every responder the addresses that concern it.
func (a *Announcer) publish(d decision) {
	friends := stations{own: make(map[link.MAC]struct{}, len(a.ports)), allies: a.allies}
	local := make(map[int]station, len(a.ports))
	for _, p := range a.ports {
		friends.own[p.MAC] = struct{}{}
		local[p.Index] = station{p.MAC, p.LinkLocal}
	}
	views := make(map[socketKey]*view, len(a.open))
	for key := range a.open {
		views[key] = &view{station: local[key.index], addresses: make(map[netip.Addr]entry, len(a.desired.Addresses)), stations: friends}
	}
	for c, stands := range d.claims {
		if v := views[socketKey{c.index, protocolOf(c.addr).kind()}]; v != nil {
			v.addresses[c.addr] = entry{a.metrics.of(c.addr), stands != withdrawn}
		}
	}
	for key, v := range views {
		a.open[key].view.Store(v)
	}
}

// reschedule starts a burst for each new claim and ends those of claims that are gone. A claim with another hardware address is new.
func (a *Announcer) reschedule(d decision) {
	now := a.clock.Now()
	for c, stood := range a.decided.claims {
		if stands, ok := d.claims[c]; stood == settled && (!ok || stands != settled) {
			a.schedule.cancel(c)
		}
	}
	for c, stands := range d.claims {
		if stood, ok := a.decided.claims[c]; stands == settled && (!ok || stood != settled) {
			a.schedule.arm(c, now)
		}
	}
}

// hear takes note of what other stations claim.
func (a *Announcer) hear(all []sighting) {
	if len(all) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	var did reaction
	for _, s := range all {
		if _, desired := a.decided.states[s.addr]; !desired {
			continue
		}
		if s.ally {
			a.confirm(s.addr, now.Add(allyPatience))
			continue
		}
		at := slices.IndexFunc(a.ports, func(p port) bool { return p.Index == s.index })
		if at < 0 {
			continue
		}
		p := a.ports[at]
		one := a.disputes.hear(place{s.addr, p.Name}, s.mac, belongs(a.ports, p, s.addr), now)
		if one.withdraw || one.defend || one.tell {
			a.log.Info("Another host uses an announced address", "announcer", Name, "interface", p.Name,
				"address", s.addr, "mac", s.mac.String(), "reason", reason.AddressConflict, "withdrawn", one.withdraw)
		}
		if c := p.claim(s.addr); one.defend && a.decided.claims[c] == settled {
			a.schedule.confirm(c, now)
		}
		did.withdraw, did.tell = did.withdraw || one.withdraw, did.tell || one.tell
	}
	if did.withdraw {
		a.decide()
	}
	if did.tell {
		signal(a.changed)
	}
}

// allyPatience is how long another speaker that claims our address has to learn better before our claim is repeated: at a handover it is
// we who will learn, within milliseconds, and Linux ignores a second change of a neighbour within one second.
const allyPatience = 1100 * time.Millisecond

// confirm repeats the claims of an address that is announced.
func (a *Announcer) confirm(addr netip.Addr, at time.Time) {
	for _, c := range a.claimsOf(addr) {
		if a.decided.claims[c] == settled {
			a.schedule.confirm(c, at)
		}
	}
}

// claimsOf returns the claims of an address, by interface.
func (a *Announcer) claimsOf(addr netip.Addr) []claim {
	var out []claim
	for _, p := range a.ports {
		c := p.claim(addr)
		if _, ok := a.decided.claims[c]; ok {
			out = append(out, c)
		}
	}
	return out
}

func (p port) claim(addr netip.Addr) claim { return claim{addr: addr, index: p.Index, mac: p.MAC} }

// placedOn returns the names of the interfaces that an address is on.
func (a *Announcer) placedOn(addr netip.Addr) []string {
	var out []string
	for _, p := range a.ports {
		if _, ok := a.decided.claims[p.claim(addr)]; ok {
			out = append(out, p.Name)
		}
	}
	return out
}

// probe is a question that is due on an interface.
type probe struct {
	claim
	nic string
}

// due returns what to send now: the claims that are due, and the probes.
func (a *Announcer) due() (claims []claim, probes []probe) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	if a.disputes.forget(now) {
		signal(a.changed)
	}
	places, ended := a.disputes.advance(now, a.placedOn)
	for _, at := range places {
		for _, p := range a.ports {
			if p.Name == at.nic {
				probes = append(probes, probe{p.claim(at.addr), at.nic})
			}
		}
	}
	if ended {
		before := a.decided.states
		a.decide()
		if !reflect.DeepEqual(before, a.decided.states) {
			signal(a.changed)
		}
	}
	return a.schedule.due(now), probes
}

// probed notes whether a probe has left this node, which was tried at now: the next one does not wait for when this is noted.
func (a *Announcer) probed(p probe, left bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.disputes.probed(place{p.addr, p.nic}, left, now)
}

// next returns when something is due; false when nothing is.
func (a *Announcer) next() (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first, ok := a.schedule.next()
	if trial, on := a.disputes.next(); on && (!ok || trial.Before(first)) {
		return trial, true
	}
	return first, ok
}

// current says whether a claim is still there to be sent.
func (a *Announcer) current(c claim) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	stands, ok := a.decided.claims[c]
	return ok && stands == settled
}

// postpone lets a claim that did not go out be tried again.
func (a *Announcer) postpone(c claim) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if stands, ok := a.decided.claims[c]; ok && stands == settled {
		a.schedule.postpone(c, a.clock.Now().Add(stuckFor))
	}
}
