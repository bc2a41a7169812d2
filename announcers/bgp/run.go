// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp/bfd"
	"metalsuite.io/api/reason"
)

// Run implements announcers.Announcer.
//
// At the end the sessions come first: those that are to end with a word are told so. Then BFD says that it stops on purpose, while what is
// left of the sessions is still up, and last the engine goes.
func (a *Announcer) Run(ctx context.Context) error {
	if err := a.begin(); err != nil {
		return err
	}
	defer a.finish(reason.New(reason.AnnouncerNotRunning, ""))
	stages := newStages(ctx)
	stages.run("engine", a.engine.Run)
	stages.run("network", a.network.Run)
	stages.run("BFD", a.detector.Run)
	stages.run("sessions", func(ctx context.Context) error { a.supervise(ctx); return nil })
	return stages.wait()
}

func (a *Announcer) begin() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running {
		return errBusy
	}
	a.running, a.leaving, a.stopped = true, false, nil
	fire(a.wake)
	return nil
}

func (a *Announcer) finish(why *reason.Problem) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running, a.leaving, a.stopped = false, false, why
	fire(a.notice)
}

// stages are tasks that end in the reverse order of their beginning.
type stages struct {
	group *errgroup.Group
	outer context.Context
	tasks []stage
}

type stage struct {
	end  context.CancelFunc
	done chan struct{}
}

func newStages(ctx context.Context) *stages {
	group, outer := errgroup.WithContext(ctx)
	return &stages{group: group, outer: outer}
}

// run begins a task. When it fails, all end.
func (s *stages) run(name string, task func(context.Context) error) {
	ctx, end := context.WithCancel(context.WithoutCancel(s.outer))
	t := stage{end: end, done: make(chan struct{})}
	s.tasks = append(s.tasks, t)
	s.group.Go(func() error {
		defer close(t.done)
		if err := task(ctx); err != nil {
			return fmt.Errorf("running %s: %w", name, err)
		}
		return nil
	})
}

// wait returns when all tasks have ended, one after the other once the outer context has.
func (s *stages) wait() error {
	<-s.outer.Done()
	for _, t := range slices.Backward(s.tasks) {
		t.end()
		<-t.done
	}
	return s.group.Wait()
}

// supervise keeps one runner for each peer until the context ends, and has ended all of them when it returns.
func (a *Announcer) supervise(ctx context.Context) {
	ended := make(chan *runner)
	ending := 0
	retire := func(r *runner, why error) {
		r.stop(why)
		ending++
		go func() { <-r.done; ended <- r }()
	}
	for {
		select {
		case <-ctx.Done():
			for _, r := range a.take() {
				retire(r, errRestart)
			}
			for ; ending > 0; ending-- {
				<-ended
			}
			a.detector.Set(nil)
			a.network.Want(nil)
			return
		case r := <-ended:
			ending--
			a.discard(r)
		case <-a.wake:
		case <-a.rewatch:
			a.detector.Set(a.watches())
			continue
		case <-a.detector.Changed():
			a.stirAll()
			fire(a.notice)
			continue
		case <-a.network.Changed():
			a.moves.Add(1)
			a.stirAll()
			continue
		}
		for r, why := range a.regroup() {
			retire(r, why)
		}
		a.detector.Set(a.watches())
	}
}

// regroup starts runners for peers that are new, and returns those that are to end. A peer whose settings have changed gets its new runner
// when the old one has ended.
func (a *Announcer) regroup() map[*runner]error {
	a.mu.Lock()
	defer a.mu.Unlock()
	wanted := make(map[string]announcers.Peer, len(a.desired.Peers))
	interfaces := map[string]bool{}
	for _, p := range a.desired.Peers {
		wanted[p.Name] = p
		if p.Interface != "" {
			interfaces[p.Interface] = true
		}
	}
	a.network.Want(slices.Sorted(maps.Keys(interfaces)))
	old := map[*runner]error{}
	for name, r := range a.runners {
		p, still := wanted[name]
		switch {
		case r.retired:
		case !still:
			r.retired, old[r] = true, errRemoved
		case r.settings != p.PeerSettings:
			r.retired, old[r] = true, errChanged
		}
	}
	for name, p := range wanted {
		if a.runners[name] == nil && !a.leaving {
			r := newRunner(&a.surroundings, p, a.desired.Drain)
			a.runners[name] = r
			r.start()
		}
	}
	return old
}

// discard forgets a runner that has ended; if its peer is wanted, regroup makes another one.
func (a *Announcer) discard(r *runner) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.runners[r.name] == r {
		delete(a.runners, r.name)
	}
}

// take returns all runners that have not been told to end, and forgets all.
func (a *Announcer) take() []*runner {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []*runner
	for _, r := range a.runners {
		if !r.retired {
			out = append(out, r)
		}
	}
	clear(a.runners)
	return out
}

// watches are the BFD sessions that are wanted now.
func (a *Announcer) watches() []bfd.Session {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []bfd.Session
	for _, name := range slices.Sorted(maps.Keys(a.runners)) {
		if w := a.runners[name].watching(); w != nil {
			out = append(out, *w)
		}
	}
	return out
}

func (a *Announcer) stirAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.runners {
		r.stir()
	}
}
