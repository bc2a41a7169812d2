// SPDX-License-Identifier: Apache-2.0

package l2

import (
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

// disputes are the trials that go on and what strangers were heard to claim. It reads no clock and is not safe for concurrent use.
type disputes struct {
	trials    map[netip.Addr]*trial
	conflicts map[netip.Addr]*conflict
}

// trial is one round of probes.
type trial struct {
	stance stance
	// next is when the round goes on; zero as long as there is no interface to probe on.
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
	return disputes{trials: map[netip.Addr]*trial{}, conflicts: map[netip.Addr]*conflict{}}
}

// begin starts a trial for an address as soon as there is an interface to probe on. One that a stranger is known to have stays withdrawn
// meanwhile.
func (d *disputes) begin(a netip.Addr) {
	if d.trials[a] == nil {
		d.trials[a] = &trial{stance: proving}
	}
}

// keep forgets every address for which keep is false. Only that a stranger had an address is remembered for a while: should the address be
// desired again, it is the stranger's until a trial says otherwise.
func (d *disputes) keep(now time.Time, keep func(netip.Addr) bool) {
	for a, t := range d.trials {
		if c := d.conflicts[a]; !keep(a) && (t.stance != withdrawn || c == nil || now.Sub(c.Last) >= announcers.ConflictTTL) {
			delete(d.trials, a)
		}
	}
	for a := range d.conflicts {
		if !keep(a) && d.trials[a] == nil {
			delete(d.conflicts, a)
		}
	}
}

func (d *disputes) stance(a netip.Addr) stance {
	if t := d.trials[a]; t != nil {
		return t.stance
	}
	return settled
}

// absolve forgets strangers that turn out to be allies: the hardware address of another speaker may be heard before it is known. An address
// that was left to one is tried again now.
func (d *disputes) absolve(now time.Time, isAlly func(mac string) bool) {
	for a, c := range d.conflicts {
		if !isAlly(c.HardwareAddress) {
			continue
		}
		delete(d.conflicts, a)
		if t := d.trials[a]; t != nil && !t.next.IsZero() {
			t.next, t.sent = now, 0
		}
	}
}

// reaction is what follows from hearing a stranger.
type reaction struct {
	// withdraw is whether the stance has changed, defend whether to repeat our claim, tell whether this is news for the world.
	withdraw, defend, tell bool
}

// hear takes note of a stranger's claim. As long as the address is on trial it is the stranger's; after that it is ours.
func (d *disputes) hear(a netip.Addr, mac link.MAC, on string, now time.Time) reaction {
	var out reaction
	c := d.conflicts[a]
	if c == nil || c.expired(now) {
		c = &conflict{Conflict: announcers.Conflict{Addr: a, Since: now}}
		d.conflicts[a] = c
	}
	before := c.Conflict
	c.Last, c.Interface, c.HardwareAddress = now, on, mac.String()
	if t := d.trials[a]; t != nil {
		out.withdraw = t.stance != withdrawn
		*t = trial{stance: withdrawn, next: now.Add(retryTrial)}
		c.Withdrawn = true
	} else if now.Sub(c.defended) >= defendAfter {
		c.defended, out.defend = now, true
	}
	other := before.HardwareAddress != c.HardwareAddress || before.Interface != c.Interface
	if out.withdraw || now.Sub(c.told) >= tellAfter || other && now.Sub(c.told) >= defendAfter {
		c.told, out.tell = now, true
	}
	return out
}

// advance returns the addresses to probe now, in order, and whether a trial has ended: then the stance of its address is settled. Placed
// says whether an address has an interface to probe on; without one the round starts over once there is.
func (d *disputes) advance(now time.Time, placed func(netip.Addr) bool) (probe []netip.Addr, ended bool) {
	for a, t := range d.trials {
		switch {
		case !placed(a):
			t.next, t.sent = time.Time{}, 0
			continue
		case t.next.IsZero():
			t.next = now
		}
		switch {
		case t.next.After(now):
		case t.sent < len(probesAfter):
			probe = append(probe, a)
		case now.Sub(t.next) > lateBy:
			t.next = now.Add(answerWithin)
		default:
			d.settle(a)
			ended = true
		}
	}
	slices.SortFunc(probe, netip.Addr.Compare)
	return probe, ended
}

func (d *disputes) settle(a netip.Addr) {
	delete(d.trials, a)
	if c := d.conflicts[a]; c != nil {
		c.Withdrawn = false
	}
}

// probed notes whether a probe that was due has left this node; if not, it is due again a little later.
func (d *disputes) probed(a netip.Addr, left bool, now time.Time) {
	t := d.trials[a]
	switch {
	case t == nil || t.sent == len(probesAfter):
	case !left:
		t.next = now.Add(stuckFor)
	default:
		t.sent++
		t.next = now.Add(answerWithin)
		if t.sent < len(probesAfter) {
			t.next = now.Add(probesAfter[t.sent])
		}
	}
}

// next returns when something is due; false when nothing is.
func (d *disputes) next() (time.Time, bool) {
	var first time.Time
	for _, t := range d.trials {
		if !t.next.IsZero() && (first.IsZero() || t.next.Before(first)) {
			first = t.next
		}
	}
	return first, !first.IsZero()
}

// known returns the conflicts of desired addresses that are not forgotten yet, sorted by address.
func (d *disputes) known(now time.Time, desired func(netip.Addr) bool) []announcers.Conflict {
	var out []announcers.Conflict
	for a, c := range d.conflicts {
		switch {
		case c.expired(now):
			delete(d.conflicts, a)
		case desired(a):
			out = append(out, c.Conflict)
		}
	}
	slices.SortFunc(out, func(x, y announcers.Conflict) int { return x.Addr.Compare(y.Addr) })
	return out
}

func (c *conflict) expired(now time.Time) bool {
	return !c.Withdrawn && now.Sub(c.Last) >= announcers.ConflictTTL
}
