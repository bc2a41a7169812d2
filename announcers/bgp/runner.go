// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp/bfd"
	"metalsuite.io/api/reason"
)

// Bounds on what a runner waits for.
const (
	// openTimeout, callTimeout and partTimeout bound what the engine is asked: a session, a change, an end.
	openTimeout = 10 * time.Second
	callTimeout = 10 * time.Second
	partTimeout = 300 * time.Millisecond
	// statsInterval is how often counters are asked for.
	statsInterval = 10 * time.Second
	// pathInterval is how often a way to the peer is looked for when there is none.
	pathInterval = 5 * time.Second
	// watchPatience is how long BFD waits for the first session.
	watchPatience = 10 * time.Second
	// lookInterval is how often the interfaces are looked at while they keep changing.
	lookInterval = time.Second
	// batch is how many routes are changed before a runner looks up: BFD may have something urgent to say.
	batch = 1000
	// restartTime is how long a peer keeps the routes of a speaker that is started anew (RFC 4724 4.2).
	restartTime = 120 * time.Second
	// drainWait is how long routes stay marked before they are withdrawn, when a node is drained; leaveWait, when the speaker leaves.
	drainWait = 5 * time.Second
	leaveWait = time.Second
)

// Why a runner ends; the cause of its context.
var (
	errRestart = errors.New("the speaker is shutting down")
	errRemoved = errors.New("the BGPPeer was deleted or no longer selects this node")
	errChanged = errors.New("the settings of the BGPPeer changed")
)

// surroundings are what all runners share.
type surroundings struct {
	log      logr.Logger
	engine   Engine
	detector Detector
	network  Network
	// routerID is used for peers that name none.
	routerID netip.Addr
	// moves counts how often the network has changed.
	moves atomic.Uint64
	// born is when the process started.
	born time.Time
	// changed is called after the state of a peer has changed, watched after its BFD session is to be another one.
	changed, watched func()
}

// runner has the session with one peer. Its goroutine alone calls the engine; everything else goes through the mutex.
type runner struct {
	*surroundings
	name     string
	settings announcers.PeerSettings
	wake     chan struct{}
	// done is closed when the goroutine has ended, left when the runner has taken leave.
	done, left chan struct{}
	end        context.CancelCauseFunc
	// retired is whether it was told to end; it belongs to the announcer.
	retired bool

	// What follows belongs to the goroutine. opened is what was agreed on, while the session is established; base are the messages of
	// earlier routers; restarted is whether the session was established at all.
	life      life
	opened    *Opened
	base      announcers.MessageCounts
	statsDue  time.Time
	restarted bool
	// seen are the moves that the path was looked at after, looked is when that was. fresh is since when the peer may have routes of an
	// earlier process.
	seen          uint64
	looked, fresh time.Time
	// tried is when the peer was tried first.
	tried time.Time

	mu sync.Mutex
	// routes, drain and leaving are what is asked for. drainSince is when drain was asked for first; zero when this runner has known nothing
	// else, so that nothing is announced for a moment. leavingSince is when all routes were known to be about to go.
	routes                   []announcers.Route
	drain, leaving           bool
	drainSince, leavingSince time.Time
	// state is what users are told. told is what the engine was; the goroutine alone changes it, and reads it without the mutex.
	state announcers.PeerState
	told  *table
	// flooded says that the peer sends many routes; nil when it does not.
	flooded *reason.Problem
	// watch is the BFD session that is wanted; nil for none.
	watch *bfd.Session
}

func newRunner(s *surroundings, p announcers.Peer, drain bool) *runner {
	return &runner{
		surroundings: s, name: p.Name, settings: p.PeerSettings, wake: make(chan struct{}, 1), done: make(chan struct{}), left: make(chan struct{}),
		routes: p.Routes, drain: drain, told: newTable(), fresh: s.born,
		state: announcers.PeerState{
			Name: p.Name, Since: time.Now(), Desired: len(p.Routes), Problem: reason.New(reason.SessionConnecting, ""),
			Remote: netip.AddrPortFrom(p.Address, p.Port),
		},
	}
}

// start runs the session until stop.
func (r *runner) start() {
	ctx, end := context.WithCancelCause(context.Background())
	r.end = end
	go func() {
		defer close(r.done)
		r.run(ctx)
	}()
}

func (r *runner) stop(why error) { r.end(why) }

// want makes routes the complete set.
func (r *runner) want(routes []announcers.Route, drain bool) {
	r.mu.Lock()
	same := r.drain == drain && len(routes) == len(r.routes) && (len(routes) == 0 || &routes[0] == &r.routes[0])
	if drain != r.drain {
		r.drainSince = time.Now()
	}
	r.routes, r.drain = routes, drain
	r.mu.Unlock()
	if !same {
		r.stir()
	}
}

// leave begins to take leave; left is closed when that is done.
func (r *runner) leave() {
	r.mu.Lock()
	if !r.leaving {
		r.leaving, r.leavingSince = true, time.Now()
	}
	r.mu.Unlock()
	r.stir()
}

// stir makes the goroutine look at everything again.
func (r *runner) stir() { fire(r.wake) }

func fire(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (r *runner) run(ctx context.Context) {
	for ctx.Err() == nil {
		if r.departed() {
			r.farewell()
			r.rest(ctx, 0)
			continue
		}
		e, problem := r.endpoint()
		wait := pathInterval
		if problem != nil {
			r.setWatch(nil)
		} else {
			problem, wait = r.life.trouble(), time.Until(r.life.retry)
		}
		if wait <= 0 {
			r.live(ctx, e)
			continue
		}
		r.publish(problem)
		r.rest(ctx, wait)
	}
}

// rest waits for news, or for at most as long as given if that is positive.
func (r *runner) rest(ctx context.Context, wait time.Duration) {
	select {
	case <-ctx.Done():
	case <-r.wake:
	case <-r.after(wait):
	}
}

func (r *runner) after(wait time.Duration) <-chan time.Time {
	if wait <= 0 {
		return nil
	}
	return time.After(wait)
}

// endpoint returns where the peer is now.
func (r *runner) endpoint() (endpoint, *reason.Problem) {
	path, problem := r.network.Path(r.settings)
	if problem != nil {
		return endpoint{}, problem
	}
	e := endpointOf(r.name, r.settings, path)
	if !e.RouterID.IsValid() {
		e.RouterID = r.routerID
	}
	young := time.Since(r.fresh) < restartTime && !r.restarted
	e.Restarting = r.settings.GracefulRestart && young
	return e, nil
}

// watchOver has BFD watch the way to an endpoint, if that is wanted. It returns after how long there is something to do.
//
// BFD begins when the session is established for the first time: FRR makes its BFD session anew when it learns from where it speaks BGP, and
// if the old one was up by then, it ends the session at once. But a router may wait for BFD before it accepts a session; so after a while
// BFD begins in any case.
func (r *runner) watchOver(e endpoint, now time.Time) time.Duration {
	if !r.settings.BFD.Enabled {
		return 0
	}
	if r.life.established == 0 {
		if r.tried.IsZero() {
			r.tried = now
		}
		if wait := r.tried.Add(watchPatience).Sub(now); wait > 0 {
			return wait
		}
	}
	r.setWatch(&e.watch)
	return 0
}

// watching returns the BFD session that is wanted; nil for none.
func (r *runner) watching() *bfd.Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watch
}

func (r *runner) setWatch(w *bfd.Session) {
	r.mu.Lock()
	same := r.watch == w || r.watch != nil && w != nil && *r.watch == *w
	r.watch = w
	r.mu.Unlock()
	if !same {
		r.watched()
	}
}

// live has one router of the engine until it is lost, the peer moves or the runner ends.
func (r *runner) live(ctx context.Context, e endpoint) {
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	session, err := r.engine.Open(opening, e.Settings)
	cancel()
	if err != nil {
		r.lost(ctx, err)
		return
	}
	defer r.forget()
	switch err := r.serve(ctx, session, e); {
	case ctx.Err() != nil:
		r.part(ctx, session)
	case errors.Is(err, errMoved):
		session.Close()
		r.life.elsewhere(time.Now())
	default:
		session.Close()
		r.lost(ctx, err)
	}
}

// serve does what is to be done, again and again, until the context ends or something makes the router useless.
func (r *runner) serve(ctx context.Context, session Session, e endpoint) error {
	for {
		again, err := r.step(ctx, session, &e)
		if err != nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-session.Events():
			if !ok {
				return session.Err()
			}
			r.hear(event)
		case <-r.wake:
		case <-r.after(again):
		}
	}
}

// forget notes that there is no router any more.
func (r *runner) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told, r.opened, r.base, r.statsDue, r.flooded = newTable(), nil, r.state.Messages, time.Time{}, nil
}

// lost notes that the engine has no session for this peer.
func (r *runner) lost(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	why := reason.EngineCrashed
	if errors.Is(err, ErrOutOfMemory) {
		why = reason.EngineOutOfMemory
	}
	problem := reason.New(why, "peer %s: %s", r.name, errText(err))
	r.log.Info("BGP engine stopped, will retry", "peer", r.name, "reason", problem.Reason, "error", errText(err))
	r.life.crashed(time.Now(), problem)
	r.restarted, r.fresh = false, time.Now() // nothing was said to the peer, so it may keep the routes
}

func errText(err error) string {
	if err == nil {
		return "the engine removed the session"
	}
	return err.Error()
}

// part ends a session because the runner ends. When the speaker is started anew under graceful restart, nothing is said: the routes stay.
func (r *runner) part(ctx context.Context, session Session) {
	cause := context.Cause(ctx)
	if errors.Is(cause, errRestart) && r.settings.GracefulRestart && !r.departed() {
		return
	}
	cease := PeerDeconfigured
	switch {
	case errors.Is(cause, errRestart):
		cease = AdministrativeShutdown
	case errors.Is(cause, errChanged):
		cease = AdministrativeReset
	}
	parting, cancel := context.WithTimeout(context.Background(), partTimeout)
	defer cancel()
	if err := session.Disconnect(parting, cease); err != nil {
		r.log.V(1).Info("Closing the BGP session failed", "peer", r.name, "error", err.Error())
	}
	session.Close()
}
