// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"slices"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/internal/membership"
)

// How long after a speaker has joined claims are repeated once more: what a neighbour that is just coming back misses the first time, it
// hears then.
const (
	firstRepeat  = time.Second
	secondRepeat = 2 * time.Second
)

// repeats are when claims are to be repeated, in order.
type repeats []time.Time

// ask says whether claims are to be repeated now, and after how long to ask again; zero when only another speaker makes a difference.
func (r *repeats) ask(now time.Time, joined bool) (due bool, again time.Duration) {
	if joined {
		*r = repeats{now, now.Add(firstRepeat), now.Add(secondRepeat)}
	}
	for len(*r) > 0 && !(*r)[0].After(now) {
		due, *r = true, (*r)[1:]
	}
	if len(*r) > 0 {
		again = (*r)[0].Sub(now)
	}
	return due, again
}

// repeatClaims has the announcers repeat their claims when a speaker has joined: while it was away, another node may have claimed what
// is announced here, and the neighbours may still believe it. It returns after how long claims are due again, zero for never.
func (s *Speaker) repeatClaims(members []membership.Member) time.Duration {
	var names []string
	for _, m := range members {
		if m.Known {
			names = append(names, m.Name)
		}
	}
	joined := s.members != nil && slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(s.members, name) })
	s.members = names
	due, again := s.repeats.ask(s.Clock.Now(), joined)
	for _, m := range s.modules {
		if r, ok := m.Announcer.(announcers.Reannouncer); ok && due {
			r.Reannounce()
		}
	}
	return again
}
