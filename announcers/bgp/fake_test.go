// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp/bfd"
	"metalsuite.io/api/reason"
)

// fakeEngine is an engine whose peers a test plays. Unless told otherwise a peer accepts at once.
type fakeEngine struct {
	mu sync.Mutex
	// open are the sessions by the name of their peer, opened how many there were.
	open   map[string]*fakeSession
	opened map[string]int
	// refuses says why Open fails.
	refuses error
	// silent peers never answer.
	silent map[string]bool
	asn    uint32
	// calls counts what was sent of the module's own accord.
	calls   int
	history []string
	// routes counts announcements; stuck is whether disconnecting takes the session with it.
	routes int
	stuck  bool
	// bytes is how much of routes every peer has sent.
	bytes uint64
}

func newFakeEngine() *fakeEngine {
	return &fakeEngine{open: map[string]*fakeSession{}, opened: map[string]int{}, silent: map[string]bool{}, asn: 64999}
}

func (f *fakeEngine) Run(ctx context.Context) error {
	<-ctx.Done()
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, s := range f.open {
		f.history = append(f.history, name+" vanished")
		s.up = false
	}
	clear(f.open)
	return nil
}

func (f *fakeEngine) Open(_ context.Context, s Settings) (Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuses != nil {
		return nil, f.refuses
	}
	session := &fakeSession{engine: f, settings: s, events: make(chan Event, 100), routes: map[netip.Prefix]Announcement{}}
	f.open[s.Name] = session
	f.opened[s.Name]++
	return session, nil
}

// dropped sets how much of routes every peer has sent.
func (f *fakeEngine) dropped(bytes uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes = bytes
}

// refuse makes Open fail.
func (f *fakeEngine) refuse(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuses = why
}

// session returns the open session with a peer; nil when there is none.
func (f *fakeEngine) session(name string) *fakeSession {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open[name]
}

// openings counts the sessions that were opened with a peer.
func (f *fakeEngine) openings(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened[name]
}

func (f *fakeEngine) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// prefixes are what established peers have.
func (f *fakeEngine) prefixes(name string) []netip.Prefix {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.open[name]
	if s == nil || !s.up {
		return nil
	}
	return slices.SortedFunc(maps.Keys(s.routes), netip.Prefix.Compare)
}

// announced counts what peers were ever told.
func (f *fakeEngine) announced() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.routes
}

func (f *fakeEngine) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.history)
}

type fakeSession struct {
	engine   *fakeEngine
	settings Settings
	events   chan Event
	routes   map[netip.Prefix]Announcement
	up       bool
	closed   bool
	err      error
}

func (s *fakeSession) Update(_ context.Context, withdraw []netip.Prefix, announce []Announcement) error {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	s.engine.calls += len(withdraw) + len(announce)
	for _, p := range withdraw {
		delete(s.routes, p)
	}
	for _, a := range announce {
		s.routes[a.Prefix] = a
	}
	s.engine.routes += len(announce)
	return nil
}

func (s *fakeSession) Connect(context.Context) error {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	s.engine.calls++
	s.engine.history = append(s.engine.history, s.settings.Name+" connect")
	s.events <- Event{Phase: announcers.Active}
	if !s.engine.silent[s.settings.Name] {
		s.establish()
	}
	return nil
}

// table returns what the router was told to announce.
func (s *fakeSession) table() map[netip.Prefix]Announcement {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	return maps.Clone(s.routes)
}

// establish is what a peer does that accepts; the mutex is held.
func (s *fakeSession) establish() {
	o := &Opened{
		Local: netip.MustParseAddrPort("198.18.0.11:33333"), Remote: netip.AddrPortFrom(s.settings.Remote, s.settings.Port), RemoteASN: s.engine.asn,
		HoldTime: s.settings.HoldTime, KeepaliveTime: s.settings.KeepaliveTime, IPv4: s.settings.IPv4, IPv6: s.settings.IPv6, ExtendedNextHop: s.settings.Remote.Is6(),
	}
	s.up = true
	s.events <- Event{Phase: announcers.OpenSent}
	s.events <- Event{Phase: announcers.OpenConfirm, Opened: o}
	s.events <- Event{Phase: announcers.Established, Opened: o}
}

// drop is what a peer does that ends the session.
func (s *fakeSession) drop(why *reason.Problem) {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	s.up = false
	s.events <- Event{Phase: announcers.Idle, Problem: why}
}

// crash is the end of the router itself.
func (s *fakeSession) crash() { s.crashFor(errors.New("panic: index out of range")) }

func (s *fakeSession) crashFor(why error) {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	s.up, s.err = false, why
	close(s.events)
	delete(s.engine.open, s.settings.Name)
}

func (s *fakeSession) Disconnect(_ context.Context, cease Cease) error {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	words := map[Cease]string{AdministrativeShutdown: "shutdown", AdministrativeReset: "reset", PeerDeconfigured: "deconfigured"}
	s.engine.calls++
	s.engine.history = append(s.engine.history, s.settings.Name+" "+words[cease])
	if s.engine.stuck {
		s.up = false
		return errors.New("the peer stopped reading from the connection")
	}
	if s.up {
		s.up = false
		s.events <- Event{Phase: announcers.Idle}
	}
	return nil
}

func (s *fakeSession) Stats(context.Context) (Stats, error) {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	return Stats{Messages: announcers.MessageCounts{OpensSent: 1}, DroppedBytes: s.engine.bytes}, nil
}

func (s *fakeSession) Events() <-chan Event { return s.events }

func (s *fakeSession) Err() error { return s.err }

func (s *fakeSession) Close() {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	s.up, s.closed = false, true
	if s.engine.open[s.settings.Name] == s {
		delete(s.engine.open, s.settings.Name)
	}
}

// fakeDetector is BFD as a test says.
type fakeDetector struct {
	mu      sync.Mutex
	wanted  []bfd.Session
	states  map[string]bfd.State
	changed chan struct{}
}

func newFakeDetector() *fakeDetector {
	return &fakeDetector{states: map[string]bfd.State{}, changed: make(chan struct{}, 1)}
}

func (f *fakeDetector) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (f *fakeDetector) Set(sessions []bfd.Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted = slices.Clone(sessions)
}

func (f *fakeDetector) State(name string) (bfd.State, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.states[name]
	return s, ok
}

func (f *fakeDetector) Changed() <-chan struct{} { return f.changed }

func (f *fakeDetector) sessions() []bfd.Session {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wanted
}

// put makes a session what it is to be.
func (f *fakeDetector) put(name string, change func(*bfd.State)) {
	f.mu.Lock()
	s := f.states[name]
	change(&s)
	f.states[name] = s
	f.mu.Unlock()
	fire(f.changed)
}

// fakeNetwork reaches every peer over eth0.
type fakeNetwork struct {
	mu      sync.Mutex
	wanted  []string
	path    Path
	problem *reason.Problem
	changed chan struct{}
}

func newFakeNetwork() *fakeNetwork {
	return &fakeNetwork{changed: make(chan struct{}, 1), path: Path{
		Interface: "eth0", Local: netip.MustParseAddr("198.18.0.11"), OnLink: true,
		Global4: netip.MustParseAddr("198.18.0.11"), Global6: netip.MustParseAddr("2001:db8::11"),
	}}
}

func (f *fakeNetwork) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (f *fakeNetwork) Want(interfaces []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted = interfaces
}

func (f *fakeNetwork) Path(s announcers.PeerSettings) (Path, *reason.Problem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.path
	if s.Interface == "" {
		p.Remote = s.Address
	}
	return p, f.problem
}

func (f *fakeNetwork) Changed() <-chan struct{} { return f.changed }

// put makes the network what it is to be.
func (f *fakeNetwork) put(change func(*Path), problem *reason.Problem) {
	f.mu.Lock()
	change(&f.path)
	f.problem = problem
	f.mu.Unlock()
	fire(f.changed)
}
