// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"slices"
	"time"
)

// steady shows what comes and goes without its flapping: what comes, after it was there for a while; what goes, for a while after it went.
// It is used by one goroutine.
type steady[K comparable] map[K]stay

// stay is one thing that came at a time and, unless it is there, went at another one.
type stay struct {
	came, went time.Time
	shown      bool
}

// see takes in what is there, and for how long it is held back when it comes and kept when it goes. It returns whether something has gone
// since the last time, and after how long to ask again; zero when only a change makes a difference.
func (s steady[K]) see(now time.Time, there []K, hold, keep time.Duration) (lost bool, again time.Duration) {
	present := make(map[K]bool, len(there))
	for _, k := range there {
		present[k] = true
		again = soonest(again, s.arrive(now, k, hold))
	}
	for k, e := range s {
		if !present[k] {
			lost = lost || e.went.IsZero()
			again = soonest(again, s.leave(now, k, keep))
		}
	}
	return lost, again
}

// arrive notes that something is there, and returns how long it is still held back.
func (s steady[K]) arrive(now time.Time, k K, hold time.Duration) time.Duration {
	e, known := s[k]
	if !known {
		e.came = now
	}
	rest := max(0, e.came.Add(hold).Sub(now))
	if e.shown {
		rest = 0
	}
	s[k] = stay{came: e.came, shown: rest == 0}
	return rest
}

// leave notes that something is not there, and returns how long it is still kept.
func (s steady[K]) leave(now time.Time, k K, keep time.Duration) time.Duration {
	e := s[k]
	if e.went.IsZero() {
		e.went = now
	}
	rest := e.went.Add(keep).Sub(now)
	if !e.shown || rest <= 0 {
		delete(s, k)
		return 0
	}
	s[k] = e
	return rest
}

// sorted returns what is shown.
func (s steady[K]) sorted(compare func(K, K) int) []K {
	var out []K
	for k, e := range s {
		if e.shown {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, compare)
	return out
}
