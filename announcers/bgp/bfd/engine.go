// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"

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
	options Options
	changed chan struct{}
}

// Host opens sockets.
type Host interface{}

// New returns an Engine without sessions.
func New(options Options) *Engine { return &Engine{options: options, changed: make(chan struct{}, 1)} }

// Run owns every goroutine and socket. When the context ends it says goodbye to the peers of the sessions that are up (AdminDown, RFC 5880
// 6.8.16), for at most a second, and returns nil when everything is closed. It must not run twice at once.
func (e *Engine) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Set gives the complete set of sessions; it may be repeated. A session that is no longer in it ends as planned: its peer is told AdminDown
// for a detection time. Sessions that stay are not touched, nor are those of which only the Config changes ended.
func (e *Engine) Set(sessions []Session) {}

// State returns how a session is; false when Set did not ask for it.
func (e *Engine) State(name string) (State, bool) { return State{}, false }

// Changed gets a value when the phase, the peer's phase or a problem of any session has changed since it was last read.
func (e *Engine) Changed() <-chan struct{} { return e.changed }
