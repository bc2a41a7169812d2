// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"errors"

	api "github.com/osrg/gobgp/v3/api"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
)

var errLostEvents = errors.New("GoBGP sends no more events")

// Texts that a peer is sent with a NOTIFICATION (RFC 9003).
const (
	textShutdown = "metalsuite: speaker shuts down"
	textReset    = "metalsuite: session reset"
)

// part ends the connection, with a NOTIFICATION if there is a session, and takes the peer away. The relay bounds how long the peer may take
// for what it was sent; callWait is for GoBGP and the relay themselves.
func (a *attempt) part(cease bgp.Cease) {
	if a.over {
		return
	}
	ctx, cancel := context.WithTimeout(a.life, callWait)
	defer cancel()
	gone := true
	if a.at == announcers.Established {
		gone = a.cease(ctx, cease)
	}
	if !a.over {
		a.remove(ctx)
	}
	a.mu.Lock()
	told := a.phase // OpenSent is told when the router is reached, which may be before GoBGP has left Idle
	a.mu.Unlock()
	if told != announcers.Idle {
		a.tell(bgp.Event{Phase: announcers.Idle})
	}
	gone = gone && a.leftRelay(ctx)
	if !gone && a.run.alone(a.child) {
		a.end(errStuck)
		a.child.kill()
	}
}

// leftRelay ends the connection to the peer once it has taken what GoBGP had to say, or the time for that is over; false when that cannot be
// told. GoBGP has no peer any more.
func (a *attempt) leftRelay(ctx context.Context) bool {
	taken := true
	if a.came {
		_ = a.child.part(a.server.number) // fails only when the process has ended
		_, taken = a.clues.await(ctx, func(r relayState) bool { return r.gone })
	}
	_ = a.child.hangUp(a.server.number) // fails only when the process has ended
	return taken
}

// cease sends a NOTIFICATION and waits until the connection is closed; false when GoBGP does not do it.
func (a *attempt) cease(ctx context.Context, why bgp.Cease) bool {
	_, err := a.keepCounts(ctx) // GoBGP forgets what it has counted when a peer is disabled
	a.counting.Lock()
	a.base = a.base.Plus(announcers.MessageCounts{NotificationsSent: 1, TotalSent: 1})
	a.counting.Unlock()
	if err == nil {
		err = a.child.part(a.server.number)
	}
	if err == nil {
		err = a.order(ctx, why)
	}
	return err == nil && a.closed(ctx)
}

// order makes GoBGP send the NOTIFICATION. With a peer that is taken away it sends no text.
func (a *attempt) order(ctx context.Context, why bgp.Cease) error {
	var err error
	switch why {
	case bgp.AdministrativeReset:
		_, err = a.server.api.ResetPeer(ctx, &api.ResetPeerRequest{Address: neighbour, Communication: textReset})
	case bgp.PeerDeconfigured:
		_, err = a.server.api.DeletePeer(ctx, &api.DeletePeerRequest{Address: neighbour})
		a.over = err == nil
	default:
		_, err = a.server.api.DisablePeer(ctx, &api.DisablePeerRequest{Address: neighbour, Communication: textShutdown})
	}
	return err
}

// closed waits until GoBGP tells that the connection has ended.
func (a *attempt) closed(ctx context.Context) bool {
	for {
		select {
		case event, ok := <-a.heard:
			if !ok {
				return false
			}
			// A peer that is taken away is told with another type.
			if phaseOf(event.GetPeer().GetState().GetSessionState()) == announcers.Idle {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}
