// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"net/netip"
	"time"
)

const (
	// fastEvery is how often an address is tried at first.
	fastEvery = 250 * time.Millisecond
	// fastFor is for how long.
	fastFor = 60 * time.Second
	// slowEvery is how often it is tried afterwards.
	slowEvery = 2 * time.Second
	// idle is how long to wait when nothing is to be tried; any change wakes the loop before.
	idle = time.Hour
)

// healer decides when to exchange states with which address: with those where a speaker is expected and nobody is alive, and with
// members that have a newer state than the one at hand. It is a plain value; the time is given to it.
type healer map[netip.Addr]*attempts

type attempts struct {
	since, next time.Time
	slow        bool
}

// plan is what to do now.
type plan struct {
	// due are the addresses to try now.
	due []netip.Addr
	// tired are the addresses of due that are tried less often from now on.
	tired []netip.Addr
	// wait is how long until the next one is due.
	wait time.Duration
}

// plan takes the addresses where nobody answers, tried at once, and those of members with an outdated state, tried after one interval
// because the state is most likely on its way.
func (h healer) plan(now time.Time, missing, outdated []netip.Addr) plan {
	h.track(now, missing, outdated)
	p := plan{wait: idle}
	for address, a := range h {
		if !now.Before(a.next) {
			p.due = append(p.due, address)
			if a.advance(now) {
				p.tired = append(p.tired, address)
			}
		}
		p.wait = min(p.wait, a.next.Sub(now))
	}
	return p
}

func (h healer) track(now time.Time, missing, outdated []netip.Addr) {
	wanted := make(map[netip.Addr]bool, len(missing)+len(outdated))
	want := func(address netip.Addr, first time.Time) {
		wanted[address] = true
		if h[address] == nil {
			h[address] = &attempts{since: now, next: first}
		}
	}
	for _, address := range missing {
		want(address, now)
	}
	for _, address := range outdated {
		want(address, now.Add(fastEvery))
	}
	for address := range h {
		if !wanted[address] {
			delete(h, address)
		}
	}
}

// advance sets the time of the next attempt and returns whether the slow phase begins.
func (a *attempts) advance(now time.Time) bool {
	slow := now.Sub(a.since) >= fastFor
	tired := slow && !a.slow
	a.slow = slow
	a.next = now.Add(fastEvery)
	if slow {
		a.next = now.Add(slowEvery)
	}
	return tired
}
