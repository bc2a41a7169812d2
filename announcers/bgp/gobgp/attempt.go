// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"errors"
	"net/netip"
	"time"

	api "github.com/osrg/gobgp/v3/api"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
	"metalsuite.io/api/reason"
)

// attempt is a peer in GoBGP from Connect to Disconnect. Its goroutine alone changes that peer once it is there. After the first connection
// has ended it takes the peer away, because GoBGP would wait 5 s and then go on by itself.
type attempt struct {
	*session
	stream api.GobgpApi_WatchEventClient
	cancel context.CancelFunc
	heard  chan *api.WatchEventResponse_PeerEvent
	leave  chan bgp.Cease
	done   chan struct{}

	// at is the phase of GoBGP's connection, came that it has had one, over that GoBGP has no peer any more. silent fires when the peer sends no
	// OPEN message, or GoBGP does not come for it.
	at     announcers.SessionPhase
	came   bool
	over   bool
	silent <-chan time.Time
}

// Connect implements bgp.Session. Events are asked for before there is a peer, so none is missed, and ended with it, so that none of an
// earlier peer is heard.
func (s *session) Connect(ctx context.Context) error {
	if s.attempt != nil || s.life.Err() != nil {
		return context.Cause(s.life)
	}
	ctx, cancel := either(ctx, s.life)
	defer cancel()
	a, err := s.watch(ctx)
	if err != nil {
		return s.failure(ctx, err)
	}
	port, err := s.dial(ctx)
	if err != nil {
		a.cancel()
		return s.failure(ctx, err)
	}
	s.mu.Lock()
	restarting := s.restarting
	s.mu.Unlock()
	if _, err := s.server.api.AddPeer(ctx, &api.AddPeerRequest{Peer: peerOf(s.settings, restarting, port)}); err != nil {
		a.cancel()
		return s.failure(ctx, err)
	}
	s.counting.Lock()
	s.present = true
	s.counting.Unlock()
	if !s.task(a.receive) || !s.task(a.follow) {
		a.cancel()
		return s.failure(ctx, errNotRunning)
	}
	s.attempt = a
	return nil
}

// dial has the relay connect to the peer, and returns the port where GoBGP meets it.
func (s *session) dial(ctx context.Context) (uint16, error) {
	s.server.attempts++
	s.clues.begin(s.server.attempts)
	if err := s.child.dial(s.server.number, s.server.attempts, wayOf(s.settings)); err != nil {
		return 0, err
	}
	relay, ok := s.clues.await(ctx, func(r relayState) bool { return r.port != 0 || r.fault != nil })
	switch {
	case !ok:
		return 0, context.Cause(ctx)
	case relay.port == 0:
		return 0, errors.New(relay.fault.Message())
	}
	return relay.port, nil
}

// watch begins to hear events, and waits until GoBGP tells them.
func (s *session) watch(ctx context.Context) (*attempt, error) {
	life, cancel := context.WithCancel(s.life)
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	stream, err := s.server.api.WatchEvent(life, &api.WatchEventRequest{Peer: &api.WatchEventRequest_Peer{}})
	for err == nil {
		var r *api.WatchEventResponse
		if r, err = stream.Recv(); r.GetPeer().GetType() == api.WatchEventResponse_PeerEvent_END_OF_INIT {
			break
		}
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &attempt{
		session: s, stream: stream, cancel: cancel, heard: make(chan *api.WatchEventResponse_PeerEvent),
		leave: make(chan bgp.Cease, 1), done: make(chan struct{}),
	}, nil
}

// Disconnect implements bgp.Session.
func (s *session) Disconnect(ctx context.Context, cease bgp.Cease) error {
	a := s.attempt
	if a == nil {
		return nil
	}
	select {
	case a.leave <- cease:
	default: // it was told before, and somebody did not wait for it
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.attempt = nil
	return context.Cause(s.life)
}

// receive passes events on.
func (a *attempt) receive() {
	defer close(a.heard)
	for {
		r, err := a.stream.Recv()
		if err != nil {
			return
		}
		select {
		case a.heard <- r.GetPeer():
		case <-a.stream.Context().Done():
			return
		}
	}
}

// follow tells what happens until it is to leave or the session ends.
func (a *attempt) follow() {
	defer close(a.done)
	defer a.cancel()
	for {
		select {
		case event, ok := <-a.heard:
			if !ok {
				a.broken()
				return
			}
			a.note(event)
		case <-a.clues.dialed:
			a.notConnected()
		case <-a.clues.reached:
			a.connected()
		case <-a.clues.failed:
			a.failed()
		case <-a.silent:
			a.noOpen()
		case cease := <-a.leave:
			a.part(cease)
			return
		}
	}
}

// broken is called when there are no more events: the process is about to end, or has.
func (a *attempt) broken() {
	ctx, cancel := context.WithTimeout(a.life, callWait)
	defer cancel()
	<-ctx.Done()
	a.end(errLostEvents)
}

func (a *attempt) notConnected() {
	if p := a.clues.failure(); p != nil && a.at == announcers.Active {
		a.tell(bgp.Event{Phase: announcers.Active, Problem: p})
	}
}

// connected reports OpenSent before GoBGP does: the router has accepted the connection, and the OPEN message follows as soon as GoBGP has
// connected to the relay, up to two seconds later. An attempt that is still in Active would be begun afresh when BFD comes up, which a router
// with dynamic neighbours starts at this moment, and that would end both.
func (a *attempt) connected() {
	if !a.over && a.at < announcers.OpenSent && a.clues.connected() {
		a.silent = time.After(engineComes + a.run.options.openWait)
		a.tell(bgp.Event{Phase: announcers.OpenSent})
	}
}

// note takes a step of the session.
func (a *attempt) note(event *api.WatchEventResponse_PeerEvent) {
	if a.over || event.GetType() != api.WatchEventResponse_PeerEvent_STATE {
		return
	}
	phase := phaseOf(event.GetPeer().GetState().GetSessionState())
	if phase == a.at {
		return
	}
	a.at, a.came = phase, a.came || phase >= announcers.OpenSent
	switch phase {
	case announcers.Idle:
		a.silent = nil
		a.dropped()
	case announcers.OpenConfirm, announcers.Established:
		a.silent = nil
		a.open(phase, event.GetPeer())
	case announcers.OpenSent:
		a.silent = time.After(a.run.options.openWait)
		a.tell(bgp.Event{Phase: phase})
	default:
		if !a.clues.connected() {
			a.tell(bgp.Event{Phase: phase})
		}
	}
}

// engineComes is after how long GoBGP comes for a connection: it tries every one to two seconds.
const engineComes = 3 * time.Second

// noOpen gives up on a peer that took the connection and says nothing.
func (a *attempt) noOpen() {
	problem := reason.New(reason.HoldTimerExpired, "the peer accepted the connection and sent no OPEN message in %s", a.run.options.openWait)
	if a.at < announcers.OpenSent {
		problem = reason.New(reason.SessionEnded, "the peer accepted the connection, and GoBGP does not come for it")
	}
	a.giveUp(problem)
}

// failed gives up on a connection that the relay has given up.
func (a *attempt) failed() {
	if p := a.clues.fault(); p != nil && !a.over {
		a.giveUp(p)
	}
}

// giveUp ends the attempt for a reason that GoBGP does not know.
func (a *attempt) giveUp(problem *reason.Problem) {
	ctx, cancel := context.WithTimeout(a.life, callWait)
	defer cancel()
	a.at, a.silent = announcers.Idle, nil
	a.tell(bgp.Event{Phase: announcers.Idle, Problem: problem})
	a.remove(ctx)
	a.leftRelay(ctx)
}

func phaseOf(s api.PeerState_SessionState) announcers.SessionPhase {
	switch s {
	case api.PeerState_CONNECT:
		return announcers.Connect
	case api.PeerState_ACTIVE:
		return announcers.Active
	case api.PeerState_OPENSENT:
		return announcers.OpenSent
	case api.PeerState_OPENCONFIRM:
		return announcers.OpenConfirm
	case api.PeerState_ESTABLISHED:
		return announcers.Established
	default:
		return announcers.Idle
	}
}

// open tells what was agreed.
func (a *attempt) open(phase announcers.SessionPhase, event *api.Peer) {
	ctx, cancel := context.WithTimeout(a.life, settleWait)
	defer cancel()
	p, err := a.server.peer(ctx)
	opened := openedOf(a.settings, p, event)
	relay, _ := a.clues.await(ctx, func(r relayState) bool { return r.local.IsValid() && r.opened })
	opened.Local = netip.AddrPortFrom(nextHopOf(relay.local.Addr()), relay.local.Port())
	if relay.endless {
		opened.HoldTime, opened.KeepaliveTime = 0, 0
	}
	if err == nil && opened.RemoteASN != 0 {
		err = a.table.settle(ctx, opened)
	}
	if err == nil && phase == announcers.OpenConfirm {
		err = a.child.pass(a.server.number)
	}
	if err != nil {
		_ = a.fail(err) // the session says why
		return
	}
	a.tell(bgp.Event{Phase: phase, Opened: opened})
}

// dropped tells why the connection has ended, and takes the peer away. The relay may still have words of GoBGP for the peer, or be stuck with a
// peer that takes nothing.
func (a *attempt) dropped() {
	ctx, cancel := context.WithTimeout(a.life, callWait)
	defer cancel()
	if _, err := a.keepCounts(ctx); err != nil {
		_ = a.fail(err) // the session says why
		return
	}
	words, done := context.WithTimeout(ctx, wordWait)
	problem := a.clues.why(words)
	done()
	a.tell(bgp.Event{Phase: announcers.Idle, Problem: problem})
	a.remove(ctx)
	a.leftRelay(ctx)
}

// remove takes the peer away, and keeps what was counted with it.
func (a *attempt) remove(ctx context.Context) {
	_, err := a.keepCounts(ctx)
	if err == nil {
		_, err = a.server.api.DeletePeer(ctx, &api.DeletePeerRequest{Address: neighbour})
	}
	a.over = true
	_ = a.fail(err) // the session says why
}
