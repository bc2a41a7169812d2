// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"maps"
	"slices"
	"time"

	"metalsuite.io/internal/membership"
)

// lingerFor is how long what a lost speaker said of its node's use of addresses still holds: its pod may just be replaced, and the kernel
// of the node answers for its addresses all the while.
const lingerFor = time.Minute

// lingering remembers what speakers said that their nodes use. It is used by one goroutine.
type lingering map[string]absence

// absence is what a speaker said, and since when it is not heard; zero while it is.
type absence struct {
	uses  map[string]string
	since time.Time
}

// see takes in the live members. It returns the lost ones whose uses still hold, with nothing else in their states, sorted by name, and how
// long it takes until the next one is forgotten; zero when none will be.
func (l lingering) see(now time.Time, members []membership.Member) ([]membership.Member, time.Duration) {
	heard := map[string]bool{}
	for _, m := range members {
		if !m.Known {
			continue
		}
		heard[m.Name] = true
		delete(l, m.Name)
		if len(m.State.Uses) > 0 {
			l[m.Name] = absence{uses: m.State.Uses}
		}
	}
	return l.absent(now, heard)
}

func (l lingering) absent(now time.Time, heard map[string]bool) ([]membership.Member, time.Duration) {
	var lost []membership.Member
	var again time.Duration
	for _, name := range slices.Sorted(maps.Keys(l)) {
		a := l[name]
		if heard[name] {
			continue
		}
		if a.since.IsZero() {
			a.since = now
		}
		l[name] = a
		rest := a.since.Add(lingerFor).Sub(now)
		if rest <= 0 {
			delete(l, name)
			continue
		}
		lost = append(lost, membership.Member{Name: name, Known: true, State: membership.State{Uses: a.uses}})
		again = soonest(again, rest)
	}
	return lost, again
}
