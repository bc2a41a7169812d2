// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"sync"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// How long a speaker that ends waits: for the answer whether it is to come back, and for its announcers to take leave. Both together are well
// within the grace period of its pod. An API server that removes a whole installation may be slow to answer, and all is announced meanwhile.
const (
	removedTime = 2 * time.Second
	leaveTime   = 5 * time.Second
)

// departure says why this node is to serve nobody any more; empty when it is.
func (w World) departure() reason.Reason {
	n, there := w.Nodes[w.Self]
	switch {
	case !there:
		return reason.NodeRemoved
	case w.draining():
		return reason.NodeDraining
	case n.ShuttingDown:
		return reason.NodeShuttingDown
	}
	return ""
}

// Departing says why this node will not serve again soon if its speaker ends now, as far as it has seen; empty when nothing says so.
func (s *Speaker) Departing() reason.Reason {
	if why := s.departing.Load(); why != nil {
		return *why
	}
	return ""
}

// Leave lets those announcers take leave of the network that will not be back soon, as why says for each by its name: with an empty reason
// an announcer comes back. It returns when they have done so, after 5 s at the latest, with how many there were. Run is to end then.
func (s *Speaker) Leave(ctx context.Context, why func(announcer string) reason.Reason) int {
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	var group sync.WaitGroup
	left := 0
	for _, m := range s.modules {
		l, able := m.Announcer.(announcers.Leaver)
		r := why(m.Name())
		if !able || r == "" {
			continue
		}
		s.Log.Info("Announcer shuts down its sessions", "announcer", m.Name(), "reason", r)
		left++
		group.Go(func() { l.Leave(ctx) })
	}
	group.Wait()
	return left
}
