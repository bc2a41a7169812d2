// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/l2/link"
)

// A trial asks three times, each a while after the one before, whether a stranger uses an address. RFC 5227 2.1.1 and RFC 4862 5.4 would have a station wait for seconds
// before it uses an address; here the address is answered for meanwhile, because a new Service is to work at once, but not yet claimed
// unasked.
var probesAfter = []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond}

const (
	// answerWithin is how long a station may take to answer the last probe.
	answerWithin = 100 * time.Millisecond
	// retryTrial is after how long a stranger's address is tried again.
	retryTrial = 10 * time.Second
	// defendAfter is how often an address is claimed at most because a stranger claims it (RFC 5227 2.4, DEFEND_INTERVAL).
	defendAfter = 10 * time.Second
	// tellAfter is how often it is told at most that a stranger was heard again.
	tellAfter = time.Minute
	// lateBy is how much later than meant a trial may end. A process that stood still has to listen once more: what it was told meanwhile
	// may not have reached it yet.
	lateBy = 50 * time.Millisecond
)

// stance is how this node stands to an address that it is to announce.
type stance int

const (
	// settled: the address is answered for and claimed.
	settled stance = iota
	// proving: the address is answered for, and strangers are asked whether they use it.
	proving
	// withdrawn: a stranger uses the address.
	withdrawn
)

// place is an address on an interface. The interface is known by its name, so that one that goes and comes back is remembered.
type place struct {
	addr netip.Addr
	nic  string
}

// disputes are the trials that go on and what strangers were heard to claim, each on its interface: a station that answers on one segment
// says nothing about another one. It reads no clock and is not safe for concurrent use.
type disputes struct {
	trials    map[netip.Addr]trial
	conflicts map[place]*conflict
}

// trial is the rounds of probes for an address, by interface. It is over when no stranger uses the address on any of them.
type trial map[string]*round

// round is one round of probes on one interface.
type round struct {
	stance stance
	// next is when the round goes on; zero as long as the address is not on the interface.
	next time.Time
	// sent is how many probes have left this node.
	sent int
}

// conflict is what is known of a stranger.
type conflict struct {
	announcers.Conflict
	// told and defended are when the world last heard of the conflict, and the network of our claim.
	told, defended time.Time
}

func newDisputes() disputes {
	return disputes{trials: map[netip.Addr]trial{}, conflicts: map[place]*conflict{}}
}

// begin starts a trial for an address on every interface that it is on, as soon as it is. Where a stranger is known to have it, it stays
// withdrawn meanwhile.
func (d *disputes) begin(a netip.Addr) {
	if d.trials[a] == nil {
		d.trials[a] = trial{}
	}
}

// keep forgets every address for which keep is false. Only that a stranger had an address is remembered for a while: should the address be
// desired again, it is the stranger's until a trial says otherwise.
func (d *disputes) keep(now time.Time, keep func(netip.Addr) bool) {
	for a, t := range d.trials {
		if keep(a) {
			continue
		}
		for nic, r := range t {
			if c := d.conflicts[place{a, nic}]; r.stance != withdrawn || c == nil || now.Sub(c.Last) >= announcers.ConflictTTL {
				delete(t, nic)
			}
		}
		if len(t) == 0 {
			delete(d.trials, a)
		}
	}
	for p := range d.conflicts {
		if !keep(p.addr) && d.trials[p.addr][p.nic] == nil {
			delete(d.conflicts, p)
		}
	}
}

func (d *disputes) stance(a netip.Addr, nic string) stance {
	t := d.trials[a]
	switch r := t[nic]; {
	case t == nil:
		return settled
	case r == nil:
		return proving
	default:
		return r.stance
	}
}

// absolve forgets strangers that turn out to be allies: the hardware address of another speaker may be heard before it is known. An address
// that was left to one is tried again now.
func (d *disputes) absolve(now time.Time, isAlly func(mac string) bool) {
	for p, c := range d.conflicts {
		if !isAlly(c.HardwareAddress) {
			continue
		}
		delete(d.conflicts, p)
		if r := d.trials[p.addr][p.nic]; r != nil && !r.next.IsZero() {
			r.next, r.sent = now, 0
		}
	}
}

// reaction is what follows from hearing a stranger.
type reaction struct {
	// withdraw is whether the stance has changed, defend whether to repeat our claim, tell whether this is news for the world.
	withdraw, defend, tell bool
}

// hear takes note of a stranger's claim on an interface. As long as the address is on trial there it is the stranger's, if the address
// belongs there; after that it is ours. Where it does not belong, the claim is only told of.
func (d *disputes) hear(p place, mac link.MAC, belongs bool, now time.Time) reaction {
	var out reaction
	c := d.conflicts[p]
	if c == nil || c.expired(now) {
		c = &conflict{Conflict: announcers.Conflict{Addr: p.addr, Interface: p.nic, Since: now}}
		d.conflicts[p] = c
	}
	other := c.HardwareAddress != mac.String()
	c.Last, c.HardwareAddress, c.Elsewhere = now, mac.String(), !belongs
	switch stood := d.stance(p.addr, p.nic); {
	case stood != settled && belongs:
		out.withdraw = stood != withdrawn
		d.trials[p.addr][p.nic] = &round{stance: withdrawn, next: now.Add(retryTrial)}
		c.Withdrawn = true
	case stood == settled && now.Sub(c.defended) >= defendAfter:
		c.defended, out.defend = now, true
	}
	if out.withdraw || now.Sub(c.told) >= tellAfter || other && now.Sub(c.told) >= defendAfter {
		c.told, out.tell = now, true
	}
	return out
}

// advance returns where to probe now, in order, and whether a round has ended: then the stance there is settled. Placed returns the
// interfaces that an address is on; where it is not, the round starts over once it is.
func (d *disputes) advance(now time.Time, placed func(netip.Addr) []string) (probe []place, ended bool) {
	for a, t := range d.trials {
		on := placed(a)
		t.interrupt(on)
		for _, nic := range on {
			switch r := t.round(nic, now); {
			case r.stance == settled || r.next.After(now):
			case r.sent < len(probesAfter):
				probe = append(probe, place{a, nic})
			case now.Sub(r.next) > lateBy:
				r.next = now.Add(answerWithin)
			default:
				d.settle(place{a, nic})
				ended = true
			}
		}
		if len(on) > 0 && t.over() {
			delete(d.trials, a)
		}
	}
	slices.SortFunc(probe, func(x, y place) int { return cmp.Or(x.addr.Compare(y.addr), cmp.Compare(x.nic, y.nic)) })
	return probe, ended
}

// interrupt ends the rounds on interfaces that the address is not on. Only that a stranger has it there is remembered, until forget.
func (t trial) interrupt(on []string) {
	for nic, r := range t {
		switch {
		case slices.Contains(on, nic):
		case r.stance == withdrawn:
			r.next, r.sent = time.Time{}, 0
		default:
			delete(t, nic)
		}
	}
}

// forget ends what is known of strangers on interfaces that the address is not on: it lasts no longer than a conflict does, since the
// interface may have gone for good. It reports whether there was such a stranger.
func (d *disputes) forget(now time.Time) (news bool) {
	for a, t := range d.trials {
		for nic, r := range t {
			if p := (place{a, nic}); r.interrupted() && !now.Before(d.forgottenAt(p)) {
				news = true
				delete(t, nic)
				delete(d.conflicts, p)
			}
		}
	}
	return news
}

// interrupted says whether a stranger has an address on an interface that the address is not on.
func (r *round) interrupted() bool { return r.stance == withdrawn && r.next.IsZero() }

// forgottenAt is when a stranger on an interface is forgotten that the address is not on; the zero time when none is known.
func (d *disputes) forgottenAt(p place) time.Time {
	if c := d.conflicts[p]; c != nil {
		return c.Last.Add(announcers.ConflictTTL)
	}
	return time.Time{}
}

// round returns the round on an interface that the address is on; it goes on from now if it did not.
func (t trial) round(nic string, now time.Time) *round {
	if t[nic] == nil {
		t[nic] = &round{stance: proving}
	}
	if t[nic].next.IsZero() {
		t[nic].next = now
	}
	return t[nic]
}

func (t trial) over() bool {
	for _, r := range t {
		if r.stance != settled {
			return false
		}
	}
	return true
}

func (d *disputes) settle(p place) {
	d.trials[p.addr][p.nic].stance = settled
	if c := d.conflicts[p]; c != nil {
		c.Withdrawn = false
	}
}

// probed notes whether a probe that was due has left this node; if not, it is due again a little later.
func (d *disputes) probed(p place, left bool, now time.Time) {
	r := d.trials[p.addr][p.nic]
	switch {
	case r == nil || r.sent == len(probesAfter):
	case !left:
		r.next = now.Add(stuckFor)
	default:
		r.sent++
		r.next = now.Add(answerWithin)
		if r.sent < len(probesAfter) {
			r.next = now.Add(probesAfter[r.sent])
		}
	}
}

// next returns when something is due; false when nothing is.
func (d *disputes) next() (time.Time, bool) {
	var first time.Time
	for a, t := range d.trials {
		for nic, r := range t {
			due := r.next
			if r.interrupted() {
				due = d.forgottenAt(place{a, nic})
			}
			if r.stance != settled && !due.IsZero() && (first.IsZero() || due.Before(first)) {
				first = due
			}
		}
	}
	return first, !first.IsZero()
}

// known returns the conflicts of desired addresses that are not forgotten yet, sorted by address and interface.
func (d *disputes) known(now time.Time, desired func(netip.Addr) bool) []announcers.Conflict {
	var out []announcers.Conflict
	for p, c := range d.conflicts {
		switch {
		case c.expired(now):
			delete(d.conflicts, p)
		case desired(p.addr):
			out = append(out, c.Conflict)
		}
	}
	slices.SortFunc(out, func(x, y announcers.Conflict) int {
		return cmp.Or(x.Addr.Compare(y.Addr), cmp.Compare(x.Interface, y.Interface))
	})
	return out
}

func (c *conflict) expired(now time.Time) bool {
	return !c.Withdrawn && now.Sub(c.Last) >= announcers.ConflictTTL
}
