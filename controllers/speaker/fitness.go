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
	// since is from when on the hold counts: the node became able, or met the others again. Zero while it is not able.
	since time.Time
	// alone is whether the node saw no other speaker when it was asked last.
	alone bool
	// fit is what was said last.
	fit bool
}

// condition is what a node knows of itself when it is asked whether it counts.
type condition struct {
	// able is whether the node could announce.
	able bool
	// others is whether another live speaker counts.
	others bool
	// alone is whether no other speaker is seen although there were some: they have died, or this node is cut off.
	alone bool
	// minority is whether more than one other node is missing then: so many do not die at once, it is rather this node.
	minority bool
}

// answer is what the node concludes.
type answer struct {
	// fit is whether the node counts.
	fit bool
	// isolated is whether the node, alone, should leave the addresses to whoever may be on the other side: its own link was down until
	// just now. A node whose link is fine takes the others for dead.
	isolated bool
	// again is after how long to ask again, zero when only a change makes a difference.
	again time.Duration
}

func (f *fitness) ask(now time.Time, c condition) answer {
	met := f.alone && !c.alone && !f.fit
	f.alone = c.alone
	if !c.able {
		f.since, f.fit = time.Time{}, false
		return answer{isolated: c.alone}
	}
	if f.since.IsZero() || met {
		f.since, f.fit = now, false
	}
	rest := max(0, f.since.Add(f.hold).Sub(now))
	switch {
	case c.alone && rest > 0:
		f.fit = false
		return answer{isolated: true, again: rest}
	case c.alone:
		// Whoever is met again must not take a node that was cut off for one that counts before it has been back for a while.
		f.fit = !c.minority
		return answer{fit: f.fit}
	}
	f.fit = f.fit || !c.others || rest == 0
	if f.fit {
		return answer{fit: true}
	}
	return answer{again: rest}
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
