// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"
	"slices"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/l2/link"
)

// A trial asks three times whether a stranger uses an address. RFC 5227 2.1.1 and RFC 4862 5.4 would have a station wait for seconds
// before it uses an address; here the address is answered for meanwhile, because a new Service is to work at once, but not yet claimed
// unasked.
var probesAt = []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond}

const (
	// answerWithin is how long a station may take to answer the last probe.
	answerWithin = 100 * time.Millisecond
	// retryTrial is after how long a stranger's address is tried again.
	retryTrial = 10 * time.Second
	// defendAfter is how often an address is claimed at most because a stranger claims it (RFC 5227 2.4, DEFEND_INTERVAL).
	defendAfter = 10 * time.Second
	// tellAfter is how often it is told at most that a stranger was heard again.
	tellAfter = time.Minute
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
	// start is when the round begins; zero as long as there is no interface to probe on.
	start time.Time
	// sent are the probes that were sent, last is when.
	sent int
	last time.Time
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

// begin starts a trial for an address as soon as there is an interface to probe on.
func (d *disputes) begin(a netip.Addr) { d.trials[a] = &trial{stance: proving} }

// keep forgets every address for which keep is false.
func (d *disputes) keep(keep func(netip.Addr) bool) {
	for a := range d.trials {
		if !keep(a) {
			delete(d.trials, a)
		}
	}
	for a := range d.conflicts {
		if !keep(a) {
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
		*t = trial{stance: withdrawn, start: now.Add(retryTrial)}
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
// says whether an address has an interface to probe on.
func (d *disputes) advance(now time.Time, placed func(netip.Addr) bool) (probe []netip.Addr, ended bool) {
	for a, t := range d.trials {
		if t.start.IsZero() && placed(a) {
			t.start = now
		}
		switch due, ok := t.due(); {
		case !ok || due.After(now):
		case t.sent < len(probesAt):
			probe = append(probe, a)
			for t.sent < len(probesAt) && !t.start.Add(probesAt[t.sent]).After(now) {
				t.sent++
			}
			t.last = now
		default:
			delete(d.trials, a)
			if c := d.conflicts[a]; c != nil {
				c.Withdrawn = false
			}
			ended = true
		}
	}
	slices.SortFunc(probe, netip.Addr.Compare)
	return probe, ended
}

// due returns when the trial goes on; false when it waits for an interface.
func (t *trial) due() (time.Time, bool) {
	switch {
	case t.start.IsZero():
		return time.Time{}, false
	case t.sent < len(probesAt):
		return t.start.Add(probesAt[t.sent]), true
	}
	return t.last.Add(answerWithin), true
}

// next returns when something is due; false when nothing is.
func (d *disputes) next() (time.Time, bool) {
	var first time.Time
	for _, t := range d.trials {
		if due, ok := t.due(); ok && (first.IsZero() || due.Before(first)) {
			first = due
		}
	}
	return first, !first.IsZero()
}

// known returns the conflicts that are not forgotten yet, sorted by address.
func (d *disputes) known(now time.Time) []announcers.Conflict {
	var out []announcers.Conflict
	for a, c := range d.conflicts {
		if c.expired(now) {
			delete(d.conflicts, a)
			continue
		}
		out = append(out, c.Conflict)
	}
	slices.SortFunc(out, func(x, y announcers.Conflict) int { return x.Addr.Compare(y.Addr) })
	return out
}

func (c *conflict) expired(now time.Time) bool {
	return !c.Withdrawn && now.Sub(c.Last) >= announcers.ConflictTTL
}
