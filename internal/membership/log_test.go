// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"

	"metalsuite.io/api/reason"
)

func everybody(netip.Addr) bool { return true }

func TestLogWriter(t *testing.T) {
	var lines []string
	log := funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{Verbosity: 2})
	w := newLogWriter(log, func() {}, everybody)
	for _, test := range []struct{ line, level, message string }{
		{"[DEBUG] memberlist: Stream connection from=10.0.0.1", "2", "Memberlist log line"},
		{"[INFO] memberlist: Suspect b has failed, no acks received", "1", "Memberlist log line"},
		{"[ERR] memberlist: Failed fallback TCP ping: EOF", "1", "Memberlist log line"},
		{"Err: Could not set the deadline: x", "1", "Memberlist log line"},
		{"[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message from=10.0.0.1:7946", "0", "another key"},
		{"[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message from=10.0.0.2:7946", "1", "another key"},
		{"[WARN] memberlist: Was able to connect to b over TCP but UDP probes failed, network may be misconfigured", "0", "GossipDelayed"},
		{"[ERR] memberlist: Conflicting address for a. Mine: 10.0.0.1:7946", "0", "same name"},
	} {
		lines = nil
		if _, err := fmt.Fprintln(w, test.line); err != nil {
			t.Fatal(err)
		}
		if len(lines) != 1 || !strings.Contains(lines[0], `"level"=`+test.level) || !strings.Contains(lines[0], test.message) {
			t.Errorf("%s\nbecame %q, want level %s and %q", test.line, lines, test.level, test.message)
		}
	}
}

const late = "[WARN] memberlist: Was able to connect to %s over TCP but UDP probes failed, network may be misconfigured\n"

func TestBlockedUDPIsToldFromLateAnswers(t *testing.T) {
	changes := 0
	w := newLogWriter(logr.Discard(), func() { changes++ }, everybody)
	reasons := func() (all []reason.Reason) {
		problems, _ := w.problems(time.Now())
		for _, p := range problems {
			all = append(all, p.Reason)
		}
		return all
	}
	write := func(member string) { _, _ = fmt.Fprintf(w, late, member) }
	for range 10 * blockedAfter {
		write("b")
		write("c")
		w.answered("b")
		w.answered("c")
	}
	if got := reasons(); len(got) != 1 || got[0] != reason.GossipDelayed || changes != 1 {
		t.Fatalf("members that answer over UDP as well: got %v after %d changes", got, changes)
	}
	for range blockedAfter {
		write("b")
		w.answered("c")
	}
	if got := reasons(); len(got) != 2 || got[0] != reason.GossipUDPBlocked || changes != 2 {
		t.Errorf("a member that never answers over UDP: got %v after %d changes", got, changes)
	}
}

func TestProblemsOfTheMembershipLapse(t *testing.T) {
	w := newLogWriter(logr.Discard(), func() {}, everybody)
	before := time.Now()
	_, _ = fmt.Fprintf(w, late, "b")
	_, _ = fmt.Fprintln(w, "[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message from=10.0.0.1:7946")
	all, lapse := w.problems(before)
	if len(all) != 2 || all[0].Reason != reason.GossipKeyDiffers || !strings.Contains(all[0].Detail, "10.0.0.1:7946") || lapse < lapseAfter {
		t.Errorf("got %v, the next one lapses after %v", all, lapse)
	}
	if all, lapse := w.problems(time.Now().Add(lapseAfter)); len(all) != 0 || lapse != 0 {
		t.Errorf("two minutes later: got %v, the next one lapses after %v", all, lapse)
	}
}

func TestMessagesWithAnotherKeyCountFromWhereASpeakerIsExpected(t *testing.T) {
	for from, want := range map[string]int{"10.0.0.1:7946": 1, "10.0.0.9:7946": 0, "[fd00::1]:7946 (stream)": 1, "[::ffff:10.0.0.1]:40000": 1} {
		w := newLogWriter(logr.Discard(), func() {}, func(a netip.Addr) bool {
			return a == netip.MustParseAddr("10.0.0.1") || a == netip.MustParseAddr("fd00::1")
		})
		_, _ = fmt.Fprintln(w, "[ERR] memberlist: failed to receive: no installed keys could decrypt the message from="+from)
		if all, _ := w.problems(time.Now()); len(all) != want {
			t.Errorf("%s: got %v", from, all)
		}
	}
}
