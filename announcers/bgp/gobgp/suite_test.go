// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	. "github.com/onsi/gomega"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
)

// The test binary is also what the engines under test start: with one of these as its first argument it runs no tests.
const (
	childArgument  = "bgp-session"
	parentArgument = "bgp-parent"
)

func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == childArgument:
		// The remote of a test listens, and Go listens with Multipath TCP, which knows no signatures (RFC 2385).
		_ = os.Setenv("GODEBUG", "multipathtcp=0")
		err = Serve(os.Stdin, os.Stderr)
	case len(os.Args) > 1 && os.Args[1] == parentArgument:
		err = beParent(os.Args[2:])
	default:
		// Nearly all the time is spent waiting: GoBGP tries to connect after one to two seconds.
		flag.Parse()
		if err = flag.Set("test.parallel", "16"); err == nil {
			os.Exit(m.Run())
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// patience bounds what a test waits for: a first attempt to connect begins after one to two seconds, and the machine may be busy.
const patience = 30 * time.Second

// childExecutable is the environment variable with the program that children run, for measuring; the default is the test binary.
const childExecutable = "BGP_CHILD"

func logTo(t testing.TB) logr.Logger {
	if test, ok := t.(*testing.T); ok {
		return testr.NewWithOptions(test, testr.Options{Verbosity: 1})
	}
	return logr.Discard()
}

// testEngine is a running engine. quit ends it and waits.
type testEngine struct {
	*Engine
	quit func()
}

func startEngine(t testing.TB, children int) *testEngine {
	t.Helper()
	return startEngineWith(t, Options{MaxChildren: children})
}

func startEngineWith(t testing.TB, o Options) *testEngine {
	t.Helper()
	folder, err := os.MkdirTemp("", "bgp") // that of the test would be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	if o.Executable == "" {
		o.Executable, o.Args = os.Getenv(childExecutable), []string{childArgument}
	}
	if o.Log.GetSink() == nil {
		o.Log = logTo(t)
	}
	o.Folder = folder
	e := &testEngine{Engine: New(o)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stopped := false
	e.quit = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running the engine: %v", err)
		}
	}
	t.Cleanup(func() {
		e.quit()
		if err := os.Remove(folder); err != nil {
			t.Errorf("something is left: %v", err)
		}
	})
	return e
}

// open returns a session.
func (e *testEngine) open(t testing.TB, s bgp.Settings) *testSession {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	opened, err := e.Open(ctx, s)
	if err != nil {
		t.Fatalf("opening a session: %v", err)
	}
	t.Cleanup(opened.Close)
	return &testSession{Session: opened, t: t, WithT: NewWithT(t)}
}

// testSession fails the test when a method does.
type testSession struct {
	bgp.Session
	*WithT
	t testing.TB
}

func (s *testSession) connect() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.Expect(s.Connect(ctx)).To(Succeed())
}

// establish connects, and again when that fails: the remote waits for some seconds before it takes a peer back.
func (s *testSession) establish() bgp.Event {
	s.t.Helper()
	for {
		s.connect()
		e, _ := s.until("Established", func(e bgp.Event) bool {
			return e.Phase == announcers.Established || e.Phase == announcers.Idle && e.Problem != nil
		})
		if e.Phase == announcers.Established {
			return e
		}
		s.disconnect(bgp.AdministrativeReset)
	}
}

func (s *testSession) disconnect(why bgp.Cease) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.Expect(s.Disconnect(ctx, why)).To(Succeed())
}

func (s *testSession) announce(routes ...bgp.Announcement) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.Expect(s.Update(ctx, nil, routes)).To(Succeed())
}

func (s *testSession) stats() bgp.Stats {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := s.Stats(ctx)
	s.Expect(err).NotTo(HaveOccurred())
	return out
}

// until returns the first event for which wanted holds, and all before it.
func (s *testSession) until(what string, wanted func(bgp.Event) bool) (bgp.Event, []bgp.Event) {
	s.t.Helper()
	deadline := time.After(patience)
	var before []bgp.Event
	for {
		select {
		case e, ok := <-s.Events():
			if !ok {
				s.t.Fatalf("the session ended before %s: %v, after %v", what, s.Err(), before)
			}
			if wanted(e) {
				return e, before
			}
			before = append(before, e)
		case <-deadline:
			s.t.Fatalf("no event for %s, only %v", what, before)
		}
	}
}

func (s *testSession) phase(p announcers.SessionPhase) bgp.Event {
	s.t.Helper()
	e, _ := s.until(p.String(), func(e bgp.Event) bool { return e.Phase == p })
	return e
}

// establishWith connects to the puppet, which accepts.
func (s *testSession) establishWith(p *puppet) {
	s.t.Helper()
	s.connect()
	p.establish(p.accept())
	s.phase(announcers.Established)
}

// established returns a puppet and the session with it, of an engine of its own.
func established(t *testing.T) (*puppet, *testSession) {
	t.Helper()
	p := newPuppet(t, "127.0.0.1")
	s := startEngine(t, 8).open(t, p.settings())
	s.establishWith(p)
	return p, s
}

func (s *testSession) problem() bgp.Event {
	s.t.Helper()
	e, _ := s.until("a problem", func(e bgp.Event) bool { return e.Problem != nil })
	return e
}

// ended waits for the end of the session and returns why it has ended.
func (s *testSession) ended() error {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case _, ok := <-s.Events():
			if !ok {
				return s.Err()
			}
		case <-deadline:
			s.t.Fatal("the session goes on")
		}
	}
}
