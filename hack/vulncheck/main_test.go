// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	config   = `{"config": {"scan_level": "symbol"}}`
	called   = `{"finding": {"osv": "GO-1", "trace": [{"module": "example.org/m", "version": "v1.0.0", "package": "p", "function": "F"}]}}`
	imported = `{"finding": {"osv": "GO-2", "trace": [{"module": "example.org/m", "version": "v1.0.0", "package": "p"}]}}`
)

func TestFindingsAreHeldAgainstTheAcceptedOnes(t *testing.T) {
	tests := []struct{ name, accepted, findings, want string }{
		{"nothing found, nothing accepted", "", config, ""},
		{"found and accepted", "# why\n\nGO-1 it is contained\n", config + called, ""},
		{"found", "", config + called, "GO-1 in example.org/m@v1.0.0"},
		{"linked, but its vulnerable function is not", "", config + imported, ""},
		{"accepted, no longer found", "GO-1 it is contained", config, "GO-1 is accepted and no longer occurs"},
		{"accepted, only linked", "GO-2 it is contained", config + imported, "GO-2 is accepted and no longer occurs"},
		{"accepted without argument", "GO-1", config + called, "GO-1 has no argument"},
		{"accepted twice", "GO-1 a\nGO-1 b", config + called, "GO-1 is listed twice"},
		{"no scan", "", "", "did not scan"},
		{"a scan of modules only", "", `{"config": {"scan_level": "module"}}`, "did not scan"},
		{"not JSON", "", config + "panic", "reading the findings"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "accepted.txt")
			if err := os.WriteFile(path, []byte(test.accepted), 0o600); err != nil {
				t.Fatal(err)
			}
			err := run(path, strings.NewReader(test.findings), io.Discard)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
