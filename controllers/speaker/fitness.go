// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"time"

	"metalsuite.io/internal/membership"
)

// fitness decides whether this node counts in elections. A node that comes back counts only after it was able for a while, and only if
// another node can serve meanwhile: so a node that flaps does not pull its addresses to and fro, and a cluster that starts does not
// wait. It is used by one goroutine.
type fitness struct {
	// hold is how long a returning node must be able before it counts.
	hold time.Duration
	// since is when the node became able; zero while it is not.
	since time.Time
	// fit is what was said last.
	fit bool
}

// update returns whether the node counts now, and how long until that should be asked again (zero: when something changes).
func (f *fitness) update(now time.Time, able, others bool) (bool, time.Duration) {
	if !able {
		f.since, f.fit = time.Time{}, false
		return false, 0
	}
	if f.since.IsZero() {
		f.since = now
	}
	rest := f.since.Add(f.hold).Sub(now)
	if f.fit || !others || rest <= 0 {
		f.fit = true
		return true, 0
	}
	return false, rest
}

// othersFit says whether a live speaker on another node counts in elections.
func othersFit(self string, members []membership.Member) bool {
	for _, m := range members {
		if m.Name != self && m.State.Fit {
			return true
		}
	}
	return false
}
