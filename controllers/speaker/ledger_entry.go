// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/announcers"
	"metalsuite.io/api/v1beta1"
)

// entry is one address.
type entry struct {
	// report is what was heard last; shown is what users are told, and since when. While they are told nothing yet, shown is empty and at is
	// when the conflict was reported first.
	report
	shown sighting
	at    time.Time
	// ended is whether this node uses the address no more.
	ended bool
	// written is when the object was created or updated last; zero when there is none by this process.
	written time.Time
	// unseen is whether the object is there although the watch has not shown it.
	unseen bool
}

// follow takes in a later report of the same kind; it says whether the object may have to say something else.
func (e *entry) follow(r report) bool {
	if !r.stranger() {
		r.since = e.since
	}
	news := e.last.Before(r.last) && r.stranger() || e.sighting != r.sighting || e.muted != r.muted
	e.report = r
	return news
}

// hidden says whether users are told nothing yet.
func (e *entry) hidden() bool { return e.shown == sighting{} }

// over says whether the entry speaks of the past.
func (e *entry) over(now time.Time) bool {
	return e.ended || e.stranger() && now.Sub(e.last) >= announcers.ConflictTTL
}

// settle lets users see what is the case once it is confirmed, or once they have seen the old state for a while; it reports whether that made
// a difference.
func (e *entry) settle(now time.Time) bool {
	if e.shown == e.sighting || now.Before(e.settles()) {
		return false
	}
	e.shown, e.at = e.sighting, now
	return true
}

// settles is when users see what is the case, if it stays so.
func (e *entry) settles() time.Time {
	switch {
	case !e.hidden():
		return e.at.Add(settleConflict)
	case e.stranger() && e.severity() == 0:
		return e.at.Add(confirmConflict)
	}
	return e.at
}

// rest is how long the object of the entry stays as it is because it was written not long ago. One that is missing was deleted by
// somebody, or is only about to be seen. That this node uses the address itself, or does no more, is told at once: no forger brings it about.
func (e *entry) rest(now time.Time, have *v1beta1.AddressConflictStatus) time.Duration {
	pause := repairAfter
	if have != nil || e.unseen {
		pause = settleConflict
	}
	if e.written.IsZero() || have != nil && have.Reason != string(e.shown.why) {
		return 0
	}
	return max(0, e.written.Add(pause).Sub(now))
}

// status is what the object of the entry is to say. A conflict that went on while this process was started anew is as old as it was.
func (e *entry) status(a netip.Addr, node string, have *v1beta1.AddressConflictStatus) v1beta1.AddressConflictStatus {
	s := v1beta1.AddressConflictStatus{
		Address: a.String(), Node: node, Reason: string(e.shown.why), Interface: e.shown.nic, HardwareAddress: e.shown.hardware,
		Message: e.shown.sentence(a, node), Withdrawn: e.shown.withdrawn, PartlyWithdrawn: e.shown.partly(),
		FirstSeen: second(e.since), LastSeen: second(e.last),
	}
	if have != nil && have.Reason == s.Reason && have.FirstSeen.Before(&s.FirstSeen) && e.since.Before(have.LastSeen.Add(announcers.ConflictTTL)) {
		s.FirstSeen = have.FirstSeen
	}
	return s
}

func second(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }

// outdated says whether an object is to be written again: it says something else, or was written long before the last sighting.
func outdated(have, want v1beta1.AddressConflictStatus) bool {
	late := want.LastSeen.Sub(have.LastSeen.Time) >= refreshConflict
	want.LastSeen, have.LastSeen = metav1.Time{}, metav1.Time{}
	same := have.FirstSeen.Equal(&want.FirstSeen)
	want.FirstSeen, have.FirstSeen = metav1.Time{}, metav1.Time{}
	return late || !same || have != want
}
