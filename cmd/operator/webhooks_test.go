// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
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
		// waits are what the operator is not ready without.
		waits []string
	}{
		"an empty folder":   {options{webhookPort: 9443, certDir: t.TempDir()}, true, []string{"certificate", "webhooks"}},
		"no folder":         {options{webhookPort: 9443, certDir: filepath.Join(mounted, "none")}, true, []string{"certificate", "webhooks"}},
		"OLM's certificate": {options{webhookPort: 9443, certDir: mounted}, false, []string{"webhooks"}},
		"no webhooks":       {options{certDir: t.TempDir()}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.options.webhooks(logr.Discard())
			if (got.keeper != nil) != c.keeps {
				t.Errorf("keeps it: %v", got.keeper != nil)
			}
			checks := got.checks()
			if names := slices.Sorted(maps.Keys(checks)); !slices.Equal(names, c.waits) {
				t.Errorf("checks %v", names)
			}
			for name, check := range checks {
				if check(nil) == nil {
					t.Errorf("%s: ready before anything was started", name)
				}
			}
		})
	}
}
