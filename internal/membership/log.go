// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"metalsuite.io/api/reason"
)

// notable are the lines of memberlist that a user must see, by a fragment of each. Everything else it says is either reported by this
// package itself (members that come and go) or of interest only when debugging.
var notable = []struct {
	fragment, message string
	reason            reason.Reason
}{
	{"could decrypt the message", "Refused a member with another key", reason.GossipKeyDiffers},
	{"is not encrypted", "Refused a member that does not encrypt", reason.GossipKeyDiffers},
	{"UDP probes failed", "Member answers over TCP but not over UDP", reason.GossipUDPBlocked},
	{"Conflicting address", "Refused a second member of the same name", reason.MemberNameTaken},
}

// repeatAfter is how long a notable line is kept quiet after it was logged.
const repeatAfter = time.Minute

// logWriter turns the lines of memberlist into records of the structured log.
type logWriter struct {
	log logr.Logger

	mu   sync.Mutex
	last map[reason.Reason]time.Time
}

func newLogWriter(log logr.Logger) *logWriter {
	return &logWriter{log: log, last: map[reason.Reason]time.Time{}}
}

// Write takes one line; it never fails.
func (w *logWriter) Write(line []byte) (int, error) {
	level, text := parseLine(string(line))
	for _, n := range notable {
		if strings.Contains(text, n.fragment) {
			w.tell(n.message, n.reason, text)
			return len(line), nil
		}
	}
	w.log.V(verbosity(level)).Info("Memberlist said", "detail", text)
	return len(line), nil
}

func (w *logWriter) tell(message string, r reason.Reason, text string) {
	verbosity := 0
	w.mu.Lock()
	if now := time.Now(); now.Sub(w.last[r]) < repeatAfter {
		verbosity = 1
	} else {
		w.last[r] = now
	}
	w.mu.Unlock()
	w.log.V(verbosity).Info(message, "reason", r, "detail", text, "fix", r.Text().Fix)
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
