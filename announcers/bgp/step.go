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
var errMoved = errors.New("the way to the peer has changed")

// step does everything that there is to do now. What BFD says comes first: it cannot wait. It returns after how long there is something to
// do again, zero when only news make a difference.
func (r *runner) step(ctx context.Context, s Session, e *endpoint) (time.Duration, error) {
	now := time.Now()
	path := r.lookAtPath(now)
	if err := r.act(ctx, s, disconnect, path); err != nil {
		return 0, err
	}
	if r.follow(e, now) {
		return 0, errMoved
	}
	wish, due := r.wish(now)
	more, err := r.sync(ctx, s, wish, *e)
	if err != nil {
		return 0, err
	}
	if r.departed() {
		if !due.IsZero() && r.life.phase == announcers.Established {
			r.publish(e.problem)
			return due.Sub(now), nil
		}
		return 0, r.depart(ctx, s)
	}
	if err := r.act(ctx, s, connect, path); err != nil {
		return 0, err
	}
	if err := r.count(ctx, s, now); err != nil {
		return 0, err
	}
	r.publish(e.problem)
	if more {
		r.stir()
	}
	_, again := r.life.next(now, path)
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
	r.life.bfd(now, state.Downs, state.Diagnostic == bfd.NeighborSignaledDown)
	return state.Phase == bfd.Up
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
	r.life.did(a)
	return nil
}

// follow takes in what has changed on this node's interfaces; it says whether another session is needed. Changes are told, those of routes
// alone are not: so it looks now and then.
func (r *runner) follow(e *endpoint, now time.Time) bool {
	moves := r.moves.Load()
	if moves == r.seen && now.Before(r.lookDue) {
		return false
	}
	r.seen, r.lookDue = moves, now.Add(statsInterval)
	next, problem := r.endpoint()
	if problem != nil {
		return r.settings.Interface != "" && (problem.Reason == reason.InterfaceMissing || problem.Reason == reason.NoCarrier)
	}
	if !e.sameSession(next) {
		return true
	}
	e.carriage, e.problem, e.watch = next.carriage, next.problem, next.watch
	return false
}

// wish returns what the peer is to have, and until when it stays so; the zero time when only news make a difference.
func (r *runner) wish(now time.Time) (wish, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := wish{routes: r.routes}
	switch {
	case r.leaving:
		w.marked = true
		if due := r.since.Add(leaveWait); now.Before(due) {
			return w, due
		}
	case r.drain:
		w.marked = true
		if due := r.since.Add(drainWait); now.Before(due) {
			return w, due
		}
		w.withdrawn = true
	}
	return w, time.Time{}
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
	r.life.heard(time.Now(), event, r.accept)
	switch {
	case event.Opened != nil:
		r.opened = event.Opened
	case event.Phase != announcers.Established && event.Phase != announcers.OpenConfirm:
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
		return reason.New(reason.PeerASNMismatch, "the peer is in AS %d and not in our AS %d, as dynamicASN internal wants", o.RemoteASN, r.settings.LocalASN)
	case r.settings.Accept == announcers.ExternalASN && internal:
		return reason.New(reason.PeerASNMismatch, "the peer is in our AS %d, and dynamicASN external wants another one", o.RemoteASN)
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
		return fmt.Errorf("asking for the counters: %w", err)
	}
	r.mu.Lock()
	r.state.Messages = sum(r.base, stats.Messages)
	r.mu.Unlock()
	return nil
}

// departed says whether the runner was asked to leave.
func (r *runner) departed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leaving
}

// depart takes leave of the peer and begins nothing any more.
func (r *runner) depart(ctx context.Context, s Session) error {
	if r.life.connected {
		calling, cancel := context.WithTimeout(ctx, partTimeout)
		defer cancel()
		if err := s.Disconnect(calling, AdministrativeShutdown); err != nil {
			return fmt.Errorf("taking leave: %w", err)
		}
		r.life.did(disconnect)
		r.opened = nil
	}
	r.farewell()
	r.publish(reason.New(reason.NodeDraining, ""))
	return nil
}

// farewell notes that the runner has taken leave.
func (r *runner) farewell() {
	select {
	case <-r.left:
	default:
		close(r.left)
	}
}
