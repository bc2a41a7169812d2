// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/api/v1beta1"
)

// Bounds on what others may make this node write.
const (
	// confirmConflict is how long a conflict is reported before users see it, if nothing is withdrawn because of it: the stranger may turn
	// out to be another speaker, of whose hardware address gossip comes a little later than the claim.
	confirmConflict = time.Second
	// settleConflict is how long users see a conflict as it is before they see it change: a forger must not make every speaker write.
	settleConflict = 10 * time.Second
	// refreshConflict is how old the time of the last sighting in an object may be.
	refreshConflict = time.Minute
	// mostConflicts is how many objects one node has at most.
	mostConflicts = 100
)

// ledger is what users are to be told about addresses that something else uses. It reads no clock; its methods may be called from any
// goroutine.
type ledger struct {
	mu      sync.Mutex
	entries map[netip.Addr]*entry
}

// take makes the ledger follow what the node sees now. Borne says whether a Service bears an address. It returns the addresses whose
// objects are to be looked at, and of those the ones of which users are told something else now; both sorted.
func (l *ledger) take(now time.Time, seen map[netip.Addr]report, borne func(netip.Addr) bool) (touched, changed []netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for a, r := range seen {
		e := l.entries[a]
		if e == nil && r.muted {
			continue
		}
		if e == nil || e.over(now) || e.why != r.why {
			e = l.put(a, e, entry{report: r, at: now})
			touched = append(touched, a)
		} else if e.follow(r) {
			touched = append(touched, a)
		}
		if e.settle(now) {
			changed = append(changed, a)
		}
	}
	for a, e := range l.entries {
		if _, still := seen[a]; still || e.ended {
			continue
		}
		touched = append(touched, a)
		if !e.hidden() {
			changed = append(changed, a)
		}
		if e.ended = !e.stranger() && (e.followed || borne(a)); !e.ended {
			delete(l.entries, a) // nobody is asked any more whether it goes on: the object expires
		}
	}
	slices.SortFunc(touched, netip.Addr.Compare)
	slices.SortFunc(changed, netip.Addr.Compare)
	return touched, changed
}

// put replaces an entry; when its object was written counts on.
func (l *ledger) put(a netip.Addr, old *entry, e entry) *entry {
	if l.entries == nil {
		l.entries = map[netip.Addr]*entry{}
	}
	if old != nil {
		e.written, e.unseen = old.written, old.unseen
	}
	l.entries[a] = &e
	return &e
}

// strangers returns what users are told of other machines on these addresses, in their order.
func (l *ledger) strangers(now time.Time, addresses []netip.Addr) []conflictTold {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []conflictTold
	for _, a := range addresses {
		if e := l.entries[a]; e != nil && !e.over(now) && e.shown.stranger() {
			out = append(out, conflictTold{a, e.shown})
		}
	}
	return out
}

// conflictTold is what users are told of one address.
type conflictTold struct {
	address netip.Addr
	sighting
}

// action is what to do about the object of an address.
type action struct {
	// want is what the object is to say; nil leaves it alone.
	want *v1beta1.AddressConflictStatus
	// remove is whether the object goes.
	remove bool
	// again is after how long to ask again, zero when only a change makes a difference; changed is whether users are told something else
	// since now.
	again   time.Duration
	changed bool
}

// act decides about the object of an address; have is nil when there is none. An object that this process knows nothing of, from before
// it started or of a Service that has gone, expires by its own time.
func (l *ledger) act(now time.Time, a netip.Addr, node string, have *v1beta1.AddressConflictStatus) action {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[a]
	switch {
	case e == nil:
		return expiry(now, have)
	case e.ended && (have != nil || !e.written.IsZero()):
		return action{remove: true} // also when the watch does not show it yet: nothing would look again
	case e.ended:
		delete(l.entries, a)
		return action{}
	case e.over(now):
		delete(l.entries, a)
		out := expiry(now, have)
		out.changed = true
		return out
	}
	if e.muted {
		return l.mute(now, a, have)
	}
	if !e.stranger() {
		e.last = now
	}
	out := action{changed: e.settle(now)}
	if e.shown != e.sighting {
		out.again = e.settles().Sub(now)
	}
	if e.stranger() {
		out.again = soonest(out.again, e.last.Add(announcers.ConflictTTL).Sub(now))
	} else {
		out.again = soonest(out.again, refreshConflict)
	}
	e.unseen = e.unseen && have == nil
	if e.hidden() {
		out.remove = have != nil && have.Reason != string(e.why) // what it says is over
		return out
	}
	want := e.status(a, node, have)
	if have != nil && !outdated(*have, want) {
		return out
	}
	if rest := e.rest(now, have); rest > 0 {
		out.again = soonest(out.again, rest)
		return out
	}
	out.want = &want
	return out
}

// mute lets the object of an address expire of which another node tells; until then the entry stays, so that the object goes with the use.
func (l *ledger) mute(now time.Time, a netip.Addr, have *v1beta1.AddressConflictStatus) action {
	out := expiry(now, have)
	if out.remove {
		delete(l.entries, a)
	}
	return out
}

// wrote takes note of when the object of an address was created or updated last; the zero time when that has failed or it was removed.
func (l *ledger) wrote(at time.Time, a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[a]; e != nil {
		e.written, e.unseen = at, false
	}
}

// met takes note that an object was written which the watch has not shown.
func (l *ledger) met(at time.Time, a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[a]; e != nil {
		e.written, e.unseen = at, true
	}
}

// admit says whether one more object may be made beside the existing ones, and counts it from now on: those who look for objects see a
// new one a little later.
func (l *ledger) admit(now time.Time, a netip.Addr, existing []netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[netip.Addr]bool, len(existing))
	for _, b := range existing {
		all[b] = true
	}
	for b, e := range l.entries {
		if !e.written.IsZero() && now.Sub(e.written) < settleConflict {
			all[b] = true
		}
	}
	e := l.entries[a]
	if e == nil || len(all) >= mostConflicts {
		return false
	}
	e.written = now
	return true
}

func expiry(now time.Time, have *v1beta1.AddressConflictStatus) action {
	if have == nil {
		return action{}
	}
	rest := have.LastSeen.Add(announcers.ConflictTTL).Sub(now)
	return action{remove: rest <= 0, again: max(rest, 0)}
}
