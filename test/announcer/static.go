// SPDX-License-Identifier: Apache-2.0

// Package announcer holds static, a third announcer beside l2 and bgp: it shows what a module of one's own needs, and that adding it edits
// no other module. Instead of speaking to a network it keeps a file with the addresses that it announces, one a line.
//
// It must not know Kubernetes or other announcers. Every method may be called from any goroutine; a mutex guards the state and the file.
package announcer

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// Name is the name of this announcer.
const Name = "static"

// Reasons of this announcer: a module may bring its own beside the vocabulary.
const (
	FileNotWritten reason.Reason = "FileNotWritten"
	Paused         reason.Reason = "Paused"
)

// Static announces by writing a file.
type Static struct {
	path    string
	changed chan struct{}

	mu       sync.Mutex
	running  bool
	paused   bool
	desired  []announcers.Address
	written  string
	writes   int
	writeErr error
}

// NewStatic returns the announcer that keeps the file at path. Nothing is written before Run.
func NewStatic(path string) *Static { return &Static{path: path, changed: make(chan struct{}, 1)} }

// Name implements announcers.Announcer.
func (*Static) Name() string { return Name }

// Ownership implements announcers.Announcer: one node at a time has an address in its file.
func (*Static) Ownership() announcers.Ownership { return announcers.Exclusive }

// Changed implements announcers.Announcer.
func (s *Static) Changed() <-chan struct{} { return s.changed }

// Run implements announcers.Announcer. It leaves an empty file behind.
func (s *Static) Run(ctx context.Context) error {
	if err := s.update(func() { s.running = true }); err != nil {
		return err
	}
	s.notify()
	<-ctx.Done()
	return s.update(func() { s.running = false })
}

// Apply implements announcers.Announcer.
func (s *Static) Apply(_ context.Context, desired announcers.Desired) announcers.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.desired = slices.Clone(desired.Addresses)
	// The report carries the failure, and the next Apply tries again.
	_ = s.write()
	report := announcers.Report{States: make(map[netip.Addr]announcers.State, len(s.desired))}
	if !s.running {
		report.Problem = reason.New(reason.AnnouncerNotRunning, "")
	}
	for _, a := range s.desired {
		report.States[a.Addr] = s.state()
	}
	return report
}

// Pause makes every address wait, or lets it go on: it stands for a network that comes and goes.
func (s *Static) Pause(paused bool) error {
	defer s.notify()
	return s.update(func() { s.paused = paused })
}

// Writes counts how often the file was written.
func (s *Static) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// state is that of every address: they are all in the file or none is.
func (s *Static) state() announcers.State {
	waiting := announcers.State{Phase: announcers.Waiting}
	switch {
	case !s.running:
		waiting.Problem = reason.New(reason.AnnouncerNotRunning, "")
	case s.paused:
		waiting.Problem = reason.New(Paused, "the announcer %s is paused", Name)
	case s.writeErr != nil:
		waiting.Problem = reason.New(FileNotWritten, "%v", s.writeErr)
	default:
		return announcers.State{Phase: announcers.Effective}
	}
	return waiting
}

func (s *Static) update(change func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	return s.write()
}

// write brings the file up to date and leaves it alone when it is. The caller holds the mutex.
func (s *Static) write() error {
	content := s.content()
	if content == s.written && s.writeErr == nil {
		return nil
	}
	if s.writeErr = replace(s.path, content); s.writeErr != nil {
		return fmt.Errorf("running the announcer %s: %w", Name, s.writeErr)
	}
	s.written = content
	s.writes++
	return nil
}

func (s *Static) content() string {
	if !s.running || s.paused {
		return ""
	}
	var lines []string
	for _, a := range s.desired {
		lines = append(lines, a.Addr.String()+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// replace writes a file so that its readers see the old content or the new one.
func replace(path, content string) error {
	next := path + ".next"
	if err := os.WriteFile(next, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

func (s *Static) notify() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
