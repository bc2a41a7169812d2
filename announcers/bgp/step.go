// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp/bfd"
	"metalsuite.io/api/reason"
)

// errMoved is that the peer is to be spoken to in another way than the router was made for.
var errMoved = errors.New("the route to the peer changed")

// step does everything that there is to do now. What BFD says comes first: it cannot wait. It returns after how long there is something to
// do again, zero when only news make a difference.
func (r *runner) step(ctx context.Context, s Session, e *endpoint) (time.Duration, error) {
	now := time.Now()
	path := r.lookAtPath(now)
	if err := r.act(ctx, s, disconnect, path); err != nil {
		return 0, err
	}
	moved, again := r.follow(e, now)
	if moved {
		return 0, errMoved
	}
	again = soonest(again, r.watchOver(*e, now))
	wish, due := r.wish(now)
	agreed := e.agreed(r.opened)
	more, err := r.sync(ctx, s, wish, agreed)
	if err != nil {
		return 0, err
	}
	if more {
		r.stir()
	}
	if r.departed() {
		return r.depart(ctx, s, now, due, more)
	}
	if err := r.act(ctx, s, connect, path); err != nil {
		return 0, err
	}
	if err := r.count(ctx, s, now); err != nil {
		return 0, err
	}
	r.publish(agreed.shortfall(r.life.phase))
	_, next := r.life.next(now, path)
	again = soonest(again, next)
	if r.life.connected {
		again = soonest(again, r.statsDue.Sub(now))
	}
	if !due.IsZero() {
		again = soonest(again, due.Sub(now))
	}
	return again, nil
}

// soonest returns the shorter of two waits, where what is not positive stands for never.
func soonest(a, b time.Duration) time.Duration {
	switch {
	case a <= 0:
		return max(b, 0)
	case b <= 0:
		return a
	}
	return min(a, b)
}

// lookAtPath takes in what BFD says, and whether the path is up in its eyes.
func (r *runner) lookAtPath(now time.Time) bool {
	if !r.settings.BFD.Enabled {
		return true
	}
	state, ok := r.detector.State(r.name)
	if !ok {
		return true
	}
	pathUp := state.Phase == bfd.Up
	r.life.bfd(now, state.Downs, state.Diagnostic == bfd.NeighborSignaledDown, pathUp)
	return pathUp
}

// act does what is to be done about the connection, if that is the action given.
func (r *runner) act(ctx context.Context, s Session, a action, pathUp bool) error {
	next, _ := r.life.next(time.Now(), pathUp)
	if next != a {
		return nil
	}
	calling, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var err error
	if a == connect {
		err = s.Connect(calling)
	} else {
		r.opened = nil
		r.publish(nil)
		err = s.Disconnect(calling, AdministrativeReset)
	}
	if err != nil {
		return err
	}
	r.life.did(time.Now(), a, pathUp)
	return nil
}

// follow takes in what has changed on this node's interfaces; it says whether another session is needed, else after how long to look again.
// Changes are told, those of routes alone are not: so it looks now and then. On a node where interfaces come and go all the time it does not
// look all the time, unless the session depends on one of them.
//
// The BFD session stays what it was when the session began: if the way is lost, it is what ends the session.
func (r *runner) follow(e *endpoint, now time.Time) (moved bool, again time.Duration) {
	moves, due := r.moves.Load(), r.looked.Add(statsInterval)
	if moves != r.seen && r.settings.Interface != "" {
		due = now
	} else if moves != r.seen {
		due = r.looked.Add(lookInterval)
	}
	if wait := due.Sub(now); wait > 0 {
		return false, wait
	}
	r.seen, r.looked = moves, now
	next, problem := r.endpoint()
	if problem != nil {
		return r.settings.Interface != "" && (problem.Reason == reason.InterfaceMissing || problem.Reason == reason.NoCarrier), statsInterval
	}
	if !e.sameSession(next) {
		return true, 0
	}
	e.carriage, e.problem = next.carriage, next.problem
	return false, statsInterval
}

// wish returns what the peer is to have, and until when it stays so; the zero time when only news make a difference.
func (r *runner) wish(now time.Time) (wish, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := wish{routes: r.routes, marked: r.drain || r.leaving, withdrawn: r.gone(now)}
	switch {
	case w.withdrawn:
	case r.leaving:
		return w, r.leavingSince.Add(leaveWait)
	case r.drain:
		return w, r.drainSince.Add(drainWait)
	}
	return w, time.Time{}
}

// gone says whether a node that is drained has been marked for long enough; the mutex is held.
func (r *runner) gone(now time.Time) bool {
	return r.drain && !now.Before(r.drainSince.Add(drainWait))
}

// sync tells the engine at most a batch of what has changed. It says whether there is more.
func (r *runner) sync(ctx context.Context, s Session, w wish, e endpoint) (bool, error) {
	withdraw, announce := r.told.difference(w, e.carriage)
	if len(withdraw)+len(announce) == 0 {
		return false, nil
	}
	more := len(withdraw)+len(announce) > batch && r.life.connected
	if more {
		withdraw = withdraw[:min(len(withdraw), batch)]
		announce = announce[:min(len(announce), batch-len(withdraw))]
	}
	calling, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := s.Update(calling, withdraw, announce); err != nil {
		return false, fmt.Errorf("announcing %d and withdrawing %d routes: %w", len(announce), len(withdraw), err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told.apply(withdraw, announce)
	return more, nil
}

// hear takes in an event of the engine.
func (r *runner) hear(event Event) {
	established, dropped := r.life.established, r.life.dropped
	if going := r.life.heard(time.Now(), event, r.accept); !going || event.Opened != nil {
		r.opened = event.Opened
	}
	if r.life.phase != announcers.Established && r.life.phase != announcers.OpenConfirm {
		r.opened = nil
	}
	switch {
	case r.life.established > established:
		r.restarted = true
		r.log.Info("BGP session established", "peer", r.name)
	case r.life.dropped > dropped:
		r.log.Info("BGP session ended", "peer", r.name, "reason", text(r.life.problem))
	}
}

func text(p *reason.Problem) string {
	if p == nil {
		return ""
	}
	return p.Error()
}

// accept says what is wrong with a peer that has told who it is.
func (r *runner) accept(o Opened) *reason.Problem {
	internal := o.RemoteASN == r.settings.LocalASN
	switch {
	case r.settings.RemoteASN != 0 && o.RemoteASN != r.settings.RemoteASN:
		return reason.New(reason.PeerASNMismatch, "the peer is in AS %d and not in AS %d", o.RemoteASN, r.settings.RemoteASN)
	case r.settings.RemoteASN != 0:
	case r.settings.Accept == announcers.InternalASN && !internal:
		return reason.New(reason.PeerASNMismatch, "the peer is in AS %d, and dynamicASN internal requires AS %d", o.RemoteASN, r.settings.LocalASN)
	case r.settings.Accept == announcers.ExternalASN && internal:
		return reason.New(reason.PeerASNMismatch, "the peer is in the local AS %d, and dynamicASN external requires another one", o.RemoteASN)
	}
	return nil
}

// count asks for the counters when it is time.
func (r *runner) count(ctx context.Context, s Session, now time.Time) error {
	if !r.life.connected || now.Before(r.statsDue) {
		return nil
	}
	r.statsDue = now.Add(statsInterval)
	calling, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	stats, err := s.Stats(calling)
	if err != nil {
		return fmt.Errorf("reading the counters: %w", err)
	}
	r.mu.Lock()
	r.state.Messages = r.base.Plus(stats.Messages)
	r.flooded = flood(stats)
	r.mu.Unlock()
	return nil
}

// manyRoutes is how many bytes of routes a peer may send on one session before users are warned: some 20,000 routes.
const manyRoutes = 1 << 20

// flood says that a peer sends many routes, which nobody uses; nil when it does not.
func flood(s Stats) *reason.Problem {
	if s.DroppedBytes < manyRoutes {
		return nil
	}
	return reason.New(reason.TooManyRoutes, "more than %d MiB of routes were received on this session", manyRoutes>>20)
}

// departed says whether the runner was asked to leave.
func (r *runner) departed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leaving
}

// depart takes leave of the peer once it has known for long enough that all routes are about to go, and begins nothing any more. It returns
// after how long there is something to do.
func (r *runner) depart(ctx context.Context, s Session, now, due time.Time, more bool) (time.Duration, error) {
	if more {
		r.mu.Lock()
		r.leavingSince = now
		r.mu.Unlock()
	}
	if wait := due.Sub(now); r.life.phase == announcers.Established && (more || wait > 0) {
		r.publish(nil)
		return wait, nil
	}
	if r.life.connected {
		calling, cancel := context.WithTimeout(ctx, partTimeout)
		defer cancel()
		if err := s.Disconnect(calling, AdministrativeShutdown); err != nil {
			return 0, fmt.Errorf("closing the session: %w", err)
		}
		r.life.did(now, disconnect, false)
		r.opened = nil
	}
	r.farewell()
	r.publish(reason.New(reason.NodeDraining, ""))
	return 0, nil
}

// farewell notes that the runner has taken leave.
func (r *runner) farewell() {
	select {
	case <-r.left:
	default:
		close(r.left)
	}
}
