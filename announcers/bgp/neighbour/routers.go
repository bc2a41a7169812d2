// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// silence is how long a router may be silent beside another one that is heard, and that asks it to speak: then it is gone. One that
	// is alone may be silent for as long as it likes; some advertise themselves every 30 minutes (RFC 4861 6.2.1).
	silence = 15 * time.Second
	// memory is how many routers are remembered on one link. Who is heard beyond that is not looked at.
	memory = 16
)

// routers are those on the other side of one link. The zero value knows none.
type routers struct {
	heard map[netip.Addr]router
	// known are those that the kernel knows. They count while none was heard.
	known []netip.Addr
	// current is the one that the session runs with; not valid while there is none.
	current netip.Addr
}

// router is one that was heard.
type router struct {
	hardware    string
	first, last time.Time
	// replaced is whether a router with the same hardware address spoke from another address for the first time after this one.
	replaced bool
}

// hear notes an advertisement and returns whether it is of a router that was not heard before.
func (r *routers) hear(now time.Time, m Message) bool {
	heard, ok := r.heard[m.Source]
	if !ok {
		if len(r.heard) >= memory {
			return false
		}
		heard.first = now
		r.replace(m)
	}
	heard.hardware, heard.last, heard.replaced = m.Hardware, now, false
	if r.heard == nil {
		r.heard = map[netip.Addr]router{}
	}
	r.heard[m.Source] = heard
	return !ok
}

// replace marks the routers that a new one is the successor of: a router that has changed its address. One that speaks from several
// addresses is heard from the old one again, and then counts as two.
func (r *routers) replace(m Message) {
	for a, old := range r.heard {
		if m.Hardware == "" || old.hardware != m.Hardware {
			continue
		}
		old.replaced = true
		r.heard[a] = old
		if r.current == a {
			r.current = m.Source
		}
	}
}

// decide returns the router that counts, if there is any, and the others that stand beside it, sorted. Several that the kernel alone knows
// do not count at all: it remembers them for long.
func (r *routers) decide(now time.Time) (current netip.Addr, others []netip.Addr) {
	r.forget(now)
	var present []netip.Addr
	for a, heard := range r.heard {
		if !heard.replaced {
			present = append(present, a)
		}
	}
	if len(present) == 0 {
		present = slices.Clone(r.known)
		if len(present) > 1 {
			r.current = netip.Addr{}
			return r.current, slices.SortedFunc(slices.Values(present), netip.Addr.Compare)
		}
	}
	slices.SortFunc(present, func(a, b netip.Addr) int {
		if byAge := r.heard[a].first.Compare(r.heard[b].first); byAge != 0 {
			return byAge
		}
		return a.Compare(b)
	})
	if !slices.Contains(present, r.current) {
		r.current = netip.Addr{}
		if len(present) > 0 {
			r.current = present[0]
		}
	}
	others = slices.DeleteFunc(present, func(a netip.Addr) bool { return a == r.current })
	return r.current, slices.SortedFunc(slices.Values(others), netip.Addr.Compare)
}

// forget drops those that are silent while another one is heard.
func (r *routers) forget(now time.Time) {
	for a, heard := range r.heard {
		for b, other := range r.heard {
			since := heard.last
			if other.first.After(since) {
				since = other.first
			}
			if a != b && !other.replaced && now.Sub(since) >= silence && now.Sub(other.last) < silence {
				delete(r.heard, a)
				break
			}
		}
	}
}
