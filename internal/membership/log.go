// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"metalsuite.io/api/reason"
)

// notable are the lines of memberlist that a user must see, by a fragment of each. All other lines are either reported by this package itself
// (members that come and go) or of interest only when debugging.
var notable = []struct {
	fragment, message string
	reason            reason.Reason
}{
	{"could decrypt the message", "Member with another key rejected", reason.GossipKeyDiffers},
	{"is not encrypted", "Member without encryption rejected", reason.GossipKeyDiffers},
	{"UDP probes failed", "Member answered a probe over TCP but not over UDP", reason.GossipUDPBlocked},
	{"Conflicting address", "Second member of the same name rejected", reason.MemberNameTaken},
}

// worstFirst is the order of the problems of a membership.
var worstFirst = []reason.Reason{reason.GossipKeyDiffers, reason.MemberNameTaken, reason.GossipUDPBlocked, reason.GossipDelayed}

const (
	// repeatAfter is how long a notable line is kept quiet after it was logged.
	repeatAfter = time.Minute
	// lapseAfter is how long a problem lasts after its last line.
	lapseAfter = 2 * time.Minute
	// blockedAfter is how many probes of a member in a row must be answered over TCP only before UDP counts as blocked. One or two are late
	// answers of a busy machine, as probes wait for milliseconds only.
	blockedAfter = 3
)

// logWriter turns the lines of memberlist into records of the structured log, and those that a user must see into problems. The time is given
// to problems; lines arrive now.
type logWriter struct {
	log logr.Logger
	// changed is called without the lock when there is a new problem.
	changed func()
	// expects is told the sender of each message that no key opens, and says whether a speaker is expected there. Others are noise.
	expects func(netip.Addr) bool

	mu   sync.Mutex
	last map[reason.Reason]time.Time
	seen map[reason.Reason]sighting
	// overTCP counts, by member, the probes in a row that were answered over TCP only.
	overTCP map[string]int
}

// sighting is the newest line about a problem.
type sighting struct {
	at      time.Time
	problem *reason.Problem
}

func newLogWriter(log logr.Logger, changed func(), expects func(netip.Addr) bool) *logWriter {
	return &logWriter{
		log: log, changed: changed, expects: expects,
		last: map[reason.Reason]time.Time{}, seen: map[reason.Reason]sighting{}, overTCP: map[string]int{},
	}
}

// answered notes that a member answered a probe over UDP.
func (w *logWriter) answered(member string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.overTCP, member)
}

// problems returns the problems that have not lapsed, the worst first, and after how long the next one lapses; zero when there is none.
func (w *logWriter) problems(now time.Time) (all []*reason.Problem, lapse time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range worstFirst {
		s, known := w.seen[r]
		rest := s.at.Add(lapseAfter).Sub(now)
		if !known || rest <= 0 {
			delete(w.seen, r)
			continue
		}
		all = append(all, s.problem)
		if lapse == 0 || rest < lapse {
			lapse = rest
		}
	}
	return all, lapse
}

// Write takes one line; it never fails.
func (w *logWriter) Write(line []byte) (int, error) {
	level, text := parseLine(string(line))
	for _, n := range notable {
		if strings.Contains(text, n.fragment) {
			w.tell(n.message, w.cause(n.reason, text), text)
			return len(line), nil
		}
	}
	w.log.V(verbosity(level)).Info("Memberlist log line", "detail", text)
	return len(line), nil
}

// cause tells blocked UDP from an answer that came too late, by how often in a row it happened with the member that the line names.
func (w *logWriter) cause(r reason.Reason, text string) reason.Reason {
	if r != reason.GossipUDPBlocked {
		return r
	}
	_, rest, _ := strings.Cut(text, "connect to ")
	member, _, _ := strings.Cut(rest, " over TCP")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.overTCP[member]++
	if w.overTCP[member] < blockedAfter {
		return reason.GossipDelayed
	}
	return r
}

func (w *logWriter) tell(message string, r reason.Reason, text string) {
	verbosity, now := 0, time.Now()
	if from, known := sender(text); known && r == reason.GossipKeyDiffers && !w.expects(from) {
		w.log.V(1).Info("Message encrypted with an unknown key from an unexpected address is ignored", "address", from)
		return
	}
	w.mu.Lock()
	if now.Sub(w.last[r]) < repeatAfter {
		verbosity = 1
	} else {
		w.last[r] = now
	}
	s, known := w.seen[r]
	if !known {
		s.problem = reason.New(r, "%s: %s", message, text)
	}
	s.at = now
	w.seen[r] = s
	w.mu.Unlock()
	w.log.V(verbosity).Info(message, "reason", r, "detail", text, "fix", r.Text().Fix)
	if !known {
		w.changed()
	}
}

// sender is the address in a line of memberlist (memberlist: LogAddress, LogConn).
func sender(line string) (netip.Addr, bool) {
	_, text, found := strings.Cut(line, "from=")
	text, _, _ = strings.Cut(text, " ")
	from, err := netip.ParseAddrPort(text)
	return from.Addr().Unmap(), found && err == nil
}

func verbosity(level string) int {
	if level == "DEBUG" {
		return 2
	}
	return 1
}

// parseLine splits "[LEVEL] memberlist: text"; a line of another shape is all text.
func parseLine(line string) (level, text string) {
	text = strings.TrimSpace(line)
	if rest, ok := strings.CutPrefix(text, "["); ok {
		if l, t, ok := strings.Cut(rest, "] "); ok {
			level, text = l, t
		}
	}
	return level, strings.TrimPrefix(text, "memberlist: ")
}
