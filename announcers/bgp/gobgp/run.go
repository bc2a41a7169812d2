// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"metalsuite.io/announcers/bgp"
)

// run is one life of the engine: its folder and its children.
type run struct {
	options Options
	folder  *folder
	// ctx ends when nothing new may begin and everything has to end.
	ctx    context.Context
	cancel context.CancelFunc
	// tasks are all goroutines of this run.
	tasks sync.WaitGroup

	mu sync.Mutex
	// ended is set before tasks are waited for; none may be added then.
	ended bool
	// children are in the order of their birth; born counts them.
	children []*child
	born     int
}

func newRun(ctx context.Context, o Options, f *folder) *run {
	ctx, cancel := context.WithCancel(ctx)
	return &run{options: o, folder: f, ctx: ctx, cancel: cancel}
}

// end kills the children without a word to the peers and waits for everything.
func (r *run) end() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.cancel()
	r.tasks.Wait()
}

// begin starts a task; false when the run has ended.
func (r *run) begin(task func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	r.tasks.Go(task)
	return true
}

// open returns a session in a child that has room.
func (r *run) open(ctx context.Context, s bgp.Settings) (bgp.Session, error) {
	c, err := r.reserve()
	if err != nil {
		return nil, err
	}
	server, err := c.server(ctx)
	if err != nil {
		c.suspect(ctx)
		r.release(c)
		return nil, err
	}
	session := newSession(r, c, server, s)
	if err := session.start(ctx); err != nil {
		c.suspect(ctx)
		session.Close()
		return nil, err
	}
	return session, nil
}

// suspect ends a child that did not answer in all the time that it had: it hangs, and would attract the next session too.
func (c *child) suspect(ctx context.Context) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.kill()
	}
}

// reserve returns a child with a place taken: a new one, or, when there are enough, that with the fewest sessions.
func (r *run) reserve() (*child, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, errNotRunning
	}
	var best *child
	living := 0
	for _, c := range r.children {
		if c.over() {
			continue
		}
		living++
		if best == nil || c.sessions < best.sessions {
			best = c
		}
	}
	if living >= r.options.MaxChildren {
		best.sessions++
		return best, nil
	}
	c, err := startChild(r, r.born)
	if err != nil {
		return nil, err
	}
	r.born++
	c.sessions = 1
	r.children = append(r.children, c)
	return c, nil
}

// release gives the place in c back; a child that nobody uses ends.
func (r *run) release(c *child) {
	r.mu.Lock()
	c.sessions--
	last := c.sessions == 0
	if last {
		r.children = slices.DeleteFunc(r.children, func(one *child) bool { return one == c })
	}
	r.mu.Unlock()
	if last {
		c.kill()
		<-c.done
	}
}

// alone is whether c serves one session only.
func (r *run) alone(c *child) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.sessions == 1
}

// socket returns the path of the n-th server of child number c.
func (r *run) socket(c, n int) string {
	return filepath.Join(r.folder.path, strconv.Itoa(c)+"-"+strconv.Itoa(n))
}

// lost puts err in the words of Open and the session's methods.
func lost(what string, err error) error { return fmt.Errorf("%s: %w", what, err) }
