// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
)

func TestLogWriter(t *testing.T) {
	var lines []string
	log := funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{Verbosity: 2})
	w := newLogWriter(log)
	for _, test := range []struct{ line, level, message string }{
		{"[DEBUG] memberlist: Stream connection from=10.0.0.1", "2", "Memberlist said"},
		{"[INFO] memberlist: Suspect b has failed, no acks received", "1", "Memberlist said"},
		{"[ERR] memberlist: Failed fallback TCP ping: EOF", "1", "Memberlist said"},
		{"Err: Could not set the deadline: x", "1", "Memberlist said"},
		{"[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message from=10.0.0.1:7946", "0", "another key"},
		{"[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message from=10.0.0.2:7946", "1", "another key"},
		{"[WARN] memberlist: Was able to connect to b over TCP but UDP probes failed, network may be misconfigured", "0", "over UDP"},
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
