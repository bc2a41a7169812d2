// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr"
)

// Options are what an Engine is made of.
type Options struct {
	// Log may be its zero value, which logs nothing.
	Log logr.Logger
	// Host is where sockets come from; nil for this machine.
	Host Host
}

// Engine runs sessions. All its methods but Run return at once; they may be called from any goroutine, before Run, during and after it.
type Engine struct {
	log     logr.Logger
	host    Host
	changed chan struct{}
	// wake asks Run to make what there is like what is wanted.
	wake chan struct{}

	mu      sync.Mutex
	running bool
	// wanted are the sessions, one for each path; names tells the path of each name.
	wanted map[Path]Session
	names  map[string]Path
	// watchers are those that are not leaving.
	watchers map[Path]*watcher
}

// New returns an Engine without sessions.
func New(options Options) *Engine {
	e := &Engine{
		log: options.Log, host: options.Host, changed: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		wanted: map[Path]Session{}, names: map[string]Path{}, watchers: map[Path]*watcher{},
	}
	if e.log.GetSink() == nil {
		e.log = logr.Discard()
	}
	if e.host == nil {
		e.host = NewHost()
	}
	return e
}

// Set gives the complete set of sessions; it may be repeated. A session that is no longer in it ends as planned: its peer is told AdminDown
// for a detection time. Sessions that stay are not touched, nor are those of which only the Config changes ended.
func (e *Engine) Set(sessions []Session) {
	sorted := slices.SortedFunc(slices.Values(sessions), func(a, b Session) int { return strings.Compare(a.Name, b.Name) })
	wanted, names := map[Path]Session{}, map[string]Path{}
	for _, s := range sorted {
		s.Remote, s.Local = s.Remote.Unmap(), s.Local.Unmap().WithZone("")
		names[s.Name] = s.Path
		if _, ok := wanted[s.Path]; !ok {
			wanted[s.Path] = s
		}
	}
	e.mu.Lock()
	e.wanted, e.names = wanted, names
	e.mu.Unlock()
	e.poke()
}

// poke asks Run to look at everything.
func (e *Engine) poke() { signal(e.wake) }

// State returns how a session is; false when Set did not ask for it.
func (e *Engine) State(name string) (State, bool) {
	e.mu.Lock()
	path, ok := e.names[name]
	w := e.watchers[path]
	e.mu.Unlock()
	switch {
	case !ok:
		return State{}, false
	case w == nil:
		return State{Phase: Down, RemotePhase: Down}, true
	}
	return w.snapshot(), true
}

// Changed gets a value when the phase, the peer's phase or a problem of any session has changed since it was last read.
func (e *Engine) Changed() <-chan struct{} { return e.changed }

var errRunning = errors.New("running the BFD engine: it is already running")

// Run owns every goroutine and socket. When the context ends it says goodbye to the peers of the sessions that are up (AdminDown, RFC 5880
// 6.8.16), for at most a second, and returns nil when everything is closed. It must not run twice at once.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	if e.running {
		e.mu.Unlock()
		return errRunning
	}
	e.running = true
	e.mu.Unlock()
	newRunner(e).run(ctx)
	e.mu.Lock()
	e.running, e.watchers = false, map[Path]*watcher{}
	e.mu.Unlock()
	return nil
}

// seed is for jitter.
func (*Engine) seed() uint64 { return rand.Uint64() }

// snapshot returns what is wanted; nobody changes the map.
func (e *Engine) snapshot() map[Path]Session {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.wanted
}

// publish tells State which watchers there are.
func (e *Engine) publish(watchers map[Path]*watcher) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watchers = maps.Clone(watchers)
}
