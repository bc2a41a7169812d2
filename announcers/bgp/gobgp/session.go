// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
)

// Bounds on what is waited for.
const (
	// callWait bounds a question to GoBGP that nobody else bounds.
	callWait = 5 * time.Second
	// settleWait bounds how long the routes may take to get the form that the peer takes, before the session goes on: 10,000 take half a second
	// of a processor, and the peer is sent KEEPALIVE meanwhile.
	settleWait = 30 * time.Second
	// closeWait is how long the end of a session may take that is closed: a peer has flushWait for taking the NOTIFICATION.
	closeWait = 2 * flushWait
	// wordWait is how long the words for something may come after it.
	wordWait = 200 * time.Millisecond
)

var (
	errClosed = errors.New("the session is closed")
	errStuck  = errors.New("GoBGP did not end the session in time, so its process was stopped")
)

// session is one started GoBGP server with at most one peer.
type session struct {
	run      *run
	child    *child
	server   *server
	settings bgp.Settings
	clues    *clues
	table    *table
	// life ends with the session; its cause says why. tasks are its goroutines.
	life  context.Context
	end   context.CancelCauseFunc
	tasks sync.WaitGroup
	once  sync.Once

	events chan bgp.Event
	wake   chan struct{}

	// attempt is what Connect began; only the session's methods use it.
	attempt *attempt

	mu    sync.Mutex
	queue []bgp.Event
	phase announcers.SessionPhase
	// opened is what was agreed last.
	opened bgp.Opened
	// restarting is whether the peer may still have routes of an earlier process.
	restarting bool

	// counting guards base, the messages of earlier connections, and present: whether GoBGP has a peer that counts on.
	counting sync.Mutex
	base     announcers.MessageCounts
	present  bool
}

func newSession(r *run, c *child, s *server, settings bgp.Settings) *session {
	out := &session{
		run: r, child: c, server: s, settings: settings, clues: newClues(settings), table: newTable(s, settings),
		events: make(chan bgp.Event), wake: make(chan struct{}, 1), restarting: settings.Restarting,
	}
	out.life, out.end = context.WithCancelCause(context.Background())
	return out
}

// start makes the server a router and begins to deliver events.
func (s *session) start(ctx context.Context) error {
	s.child.listen(s.server.number, s.clues)
	stop := context.AfterFunc(s.child.alive, func() { s.end(context.Cause(s.child.alive)) })
	delivering := s.task(func() {
		defer stop()
		s.deliver()
	})
	if !delivering {
		stop()
		close(s.events)
		return errNotRunning
	}
	ctx, cancel := either(ctx, s.life)
	defer cancel()
	if err := s.server.start(ctx, s.settings); err != nil {
		return s.failure(ctx, err)
	}
	return nil
}

// task starts a goroutine that belongs to the session; false when the engine has ended.
func (s *session) task(f func()) bool {
	s.tasks.Add(1)
	began := s.run.begin(func() {
		defer s.tasks.Done()
		f()
	})
	if !began {
		s.tasks.Done()
	}
	return began
}

// deliver hands events to whoever listens, and says at the end that there are no more.
func (s *session) deliver() {
	defer close(s.events)
	for {
		e, ok := s.next()
		if !ok {
			select {
			case <-s.wake:
				continue
			case <-s.life.Done():
				return
			}
		}
		select {
		case s.events <- e:
		case <-s.life.Done():
			return
		}
	}
}

func (s *session) next() (bgp.Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return bgp.Event{}, false
	}
	e := s.queue[0]
	s.queue = s.queue[1:]
	return e, true
}

// tell notes where the session is and queues e. Of failed attempts that nobody has heard of the last is enough.
func (s *session) tell(e bgp.Event) {
	s.mu.Lock()
	s.phase = e.Phase
	if e.Opened != nil {
		s.opened = *e.Opened
	}
	if e.Phase == announcers.Established {
		s.restarting = false
	}
	if n := len(s.queue); n > 0 && s.queue[n-1].Phase == announcers.Active && e.Phase == announcers.Active {
		s.queue = s.queue[:n-1]
	}
	s.queue = append(s.queue, e)
	s.mu.Unlock()
	signalTo(s.wake)
}

// Events implements bgp.Session.
func (s *session) Events() <-chan bgp.Event { return s.events }

// Err implements bgp.Session.
func (s *session) Err() error {
	if err := context.Cause(s.life); !errors.Is(err, errClosed) {
		return err
	}
	return nil
}

// Update implements bgp.Session.
func (s *session) Update(ctx context.Context, withdraw []netip.Prefix, announce []bgp.Announcement) error {
	ctx, cancel := either(ctx, s.life)
	defer cancel()
	if s.life.Err() != nil {
		return context.Cause(s.life)
	}
	refused, err := s.table.update(ctx, withdraw, announce)
	for prefix, why := range refused {
		s.run.options.Log.Info("Route left out of the advertisement to the peer", "peer", s.settings.Name, "prefix", prefix, "reason", why)
	}
	return s.failure(ctx, err)
}

// Stats implements bgp.Session.
func (s *session) Stats(ctx context.Context) (out bgp.Stats, err error) {
	ctx, cancel := either(ctx, s.life)
	defer cancel()
	s.counting.Lock()
	defer s.counting.Unlock()
	all, now := s.clues.droppedSoFar()
	out = bgp.Stats{Messages: s.base, Announced: s.announced(), DroppedMessages: now.messages, DroppedBytes: now.bytes}
	defer func() { out.Messages = withDropped(out.Messages, all) }()
	if !s.present {
		return out, s.failure(ctx, context.Cause(s.life))
	}
	p, err := s.server.peer(ctx)
	if err != nil {
		return bgp.Stats{}, s.failure(ctx, err)
	}
	out.Messages = out.Messages.Plus(countsOf(p))
	return out, nil
}

// withDropped counts what the peer sent and GoBGP did not get, and not what only GoBGP said or heard.
func withDropped(m announcers.MessageCounts, d dropped) announcers.MessageCounts {
	without := func(n *uint64, less uint64) { *n -= min(less, *n) }
	m.UpdatesReceived += d.messages
	m.KeepalivesReceived += d.keepalives
	m.RefreshesReceived += d.refreshes
	m.TotalReceived += d.messages + d.keepalives + d.refreshes
	without(&m.KeepalivesReceived, d.standIns)
	without(&m.TotalReceived, d.standIns)
	without(&m.KeepalivesSent, d.withheld)
	without(&m.TotalSent, d.withheld)
	return m
}

// announced is how many routes the peer was sent.
func (s *session) announced() int {
	s.mu.Lock()
	established, opened := s.phase == announcers.Established, s.opened
	s.mu.Unlock()
	if !established {
		return 0
	}
	return s.table.count(opened.IPv4, opened.IPv6)
}

// keepCounts adds the messages of the present peer to those of earlier ones, before GoBGP forgets them, and returns them.
func (s *session) keepCounts(ctx context.Context) (announcers.MessageCounts, error) {
	s.counting.Lock()
	defer s.counting.Unlock()
	if !s.present {
		return announcers.MessageCounts{}, nil
	}
	s.present = false
	p, err := s.server.peer(ctx)
	counts := countsOf(p)
	s.base = s.base.Plus(counts)
	return counts, err
}

// failure returns err as the session's methods do: the end of the caller's context, or, since nothing else can fail for a good reason, the end
// of the session.
func (s *session) failure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if s.life.Err() == nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return s.fail(err)
}

// fail ends the session for err, and returns why it has ended.
func (s *session) fail(err error) error {
	if err != nil && status.Code(err) == codes.Unavailable { // the process is about to end, and says why
		wait, cancel := context.WithTimeout(s.life, wordWait)
		<-wait.Done()
		cancel()
	}
	if err != nil {
		s.end(lost("calling GoBGP", err))
	}
	return context.Cause(s.life)
}

// Close implements bgp.Session.
func (s *session) Close() {
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(s.life, closeWait)
		_ = s.Disconnect(ctx, bgp.PeerDeconfigured) // what does not go peacefully goes now
		cancel()
		s.end(errClosed)
		s.tasks.Wait()
		if !s.run.alone(s.child) {
			s.server.stop()
		}
		s.run.release(s.child)
	})
}
