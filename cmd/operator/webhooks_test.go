// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
)

func TestWhoKeepsTheCertificate(t *testing.T) {
	mounted := t.TempDir()
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.WriteFile(filepath.Join(mounted, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		options options
		keeps   bool
	}{
		"an empty folder":   {options{webhookPort: 9443, certDir: t.TempDir()}, true},
		"no folder":         {options{webhookPort: 9443, certDir: filepath.Join(mounted, "none")}, true},
		"OLM's certificate": {options{webhookPort: 9443, certDir: mounted}, false},
		"no webhooks":       {options{certDir: t.TempDir()}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.options.webhooks(logr.Discard()); (got.keeper != nil) != c.keeps {
				t.Errorf("keeps it: %v", got.keeper != nil)
			}
		})
	}
}
