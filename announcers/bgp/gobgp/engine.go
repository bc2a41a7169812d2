// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"metalsuite.io/announcers/bgp"
)

// Options say how the engine keeps its child processes.
type Options struct {
	Log logr.Logger
	// Executable is what a child runs, with Args; the default is this very program. It must call Serve.
	Executable string
	Args       []string
	// Folder is where a folder for sockets is made; it must be writable. The default is that for temporary files.
	Folder string
	// MaxChildren is how many sessions have a process of their own; those beyond share them. The default is 8.
	MaxChildren int

	// openWait is how long a peer may take for its OPEN message. GoBGP would wait for 4 minutes, as RFC 4271 8 suggests, and all that time
	// a router that came back after it had taken the connection would get no other.
	openWait time.Duration
}

// Defaults of Options.
const (
	maxChildren = 8
	openWait    = 20 * time.Second
)

// Engine keeps GoBGP servers in child processes. It implements bgp.Engine. Run may be called again after it has returned.
type Engine struct {
	options Options

	mu sync.Mutex
	// current is what runs now; nil before and after Run.
	current *run
	// began is closed when current is set, and made anew when it ends.
	began chan struct{}
}

var _ bgp.Engine = (*Engine)(nil)

// errNotRunning is that a session was asked for while nothing runs, or that Run ended meanwhile.
var errNotRunning = errors.New("the BGP engine has stopped")

// New returns an engine that does nothing before Run.
func New(o Options) *Engine {
	if o.Executable == "" {
		o.Executable = "/proc/self/exe"
	}
	if o.Folder == "" {
		o.Folder = os.TempDir()
	}
	if o.MaxChildren <= 0 {
		o.MaxChildren = maxChildren
	}
	if o.openWait <= 0 {
		o.openWait = openWait
	}
	return &Engine{options: o, began: make(chan struct{})}
}

// Run implements bgp.Engine.
func (e *Engine) Run(ctx context.Context) error {
	f, err := newFolder(e.options.Folder)
	if err != nil {
		return err
	}
	r := newRun(ctx, e.options, f)
	e.set(r)
	<-ctx.Done()
	e.set(nil)
	r.end()
	if err := f.remove(); err != nil {
		return fmt.Errorf("removing the folder for sockets: %w", err)
	}
	return nil
}

func (e *Engine) set(r *run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current = r
	if r != nil {
		close(e.began)
	} else {
		e.began = make(chan struct{})
	}
}

func (e *Engine) state() (*run, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current, e.began
}

// Open implements bgp.Engine.
func (e *Engine) Open(ctx context.Context, s bgp.Settings) (bgp.Session, error) {
	for {
		r, began := e.state()
		if r != nil {
			return r.open(ctx, s)
		}
		select {
		case <-began:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
