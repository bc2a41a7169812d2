// SPDX-License-Identifier: Apache-2.0

package announcer_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/test/announcer"
)

func TestContract(t *testing.T) {
	specs := append(announcertest.Contract(), announcertest.Wire()...)
	announcertest.Run(t, specs, func(tb testing.TB) announcertest.Subject {
		path := filepath.Join(tb.TempDir(), "announced")
		s := announcer.NewStatic(path)
		paused := false
		return announcertest.Subject{
			Announcer: s,
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
			Announced: func() []netip.Addr { return readFile(tb, path) },
			Frames:    s.Writes,
			Settle:    func() {},
			Disturb: func() {
				paused = !paused
				if err := s.Pause(paused); err != nil {
					tb.Error(err)
				}
			},
		}
	})
}

func readFile(tb testing.TB, path string) []netip.Addr {
	content, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		tb.Error(err)
	}
	var out []netip.Addr
	for line := range strings.FieldsSeq(string(content)) {
		out = append(out, netip.MustParseAddr(line))
	}
	return out
}

func TestReportsAFileThatCannotBeWritten(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "later")
	s := announcer.NewStatic(filepath.Join(folder, "announced"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Changed()

	address := netip.MustParseAddr("192.0.2.1")
	desired := announcers.Desired{Addresses: []announcers.Address{{Addr: address}}}
	state := s.Apply(ctx, desired).States[address]
	if state.Problem == nil || state.Problem.Reason != announcer.FileNotWritten {
		t.Errorf("state without folder = %+v, want a problem with %s", state, announcer.FileNotWritten)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if state = s.Apply(ctx, desired).States[address]; state.Phase != announcers.Effective {
		t.Errorf("state with folder = %+v, want effective", state)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run() = %v", err)
	}
}
