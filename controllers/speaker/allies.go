// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"maps"
	"slices"
	"strings"
	"time"

	"metalsuite.io/internal/membership"
)

// remembered is for how long a lost speaker is still an ally: a node that was cut off may still be heard, and so is one whose speaker
// alone was away when the network heals.
const remembered = time.Hour

// allies are the hardware addresses of the other speakers. They are used by one goroutine.
type allies struct {
	// gone is since when no live speaker has told an address; zero while one does.
	gone map[string]time.Time
}

// see takes in the live members and returns the allies, sorted, with how long it takes until the next one is forgotten; zero when none
// will be.
func (a *allies) see(now time.Time, self string, members []membership.Member) ([]string, time.Duration) {
	next := make(map[string]time.Time, len(a.gone))
	var again time.Duration
	for _, m := range members {
		if m.Name == self {
			continue
		}
		for _, address := range slices.Concat(m.State.MACs, slices.Collect(maps.Values(m.State.Links))) {
			next[strings.ToLower(address)] = time.Time{}
		}
	}
	for address, since := range a.gone {
		if since.IsZero() {
			since = now
		}
		rest := remembered - now.Sub(since)
		if _, live := next[address]; !live && rest > 0 {
			next[address] = since
			again = soonest(again, rest)
		}
	}
	a.gone = next
	return slices.Sorted(maps.Keys(next)), again
}

// soonest returns the shortest of the waits that are not zero; zero when all are.
func soonest(waits ...time.Duration) time.Duration {
	var out time.Duration
	for _, w := range waits {
		if w > 0 && (out == 0 || w < out) {
			out = w
		}
	}
	return out
}
