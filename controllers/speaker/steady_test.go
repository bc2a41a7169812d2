// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"strings"
	"testing"
	"time"
)

func TestSteady(t *testing.T) {
	const s = time.Second
	type pass struct {
		after      time.Duration
		there      string
		hold, keep time.Duration
		shown      string
		lost       bool
		again      time.Duration
	}
	for name, passes := range map[string][]pass{
		"what comes is held back": {
			{0, "a", 3 * s, 0, "", false, 3 * s}, {s, "a b", 3 * s, 0, "", false, 2 * s}, {2 * s, "a b", 3 * s, 0, "a", false, s}, {s, "a b", 3 * s, 0, "a b", false, 0},
		},
		"not when nobody else can serve, and what was shown stays": {
			{0, "a", 0, 0, "a", false, 0}, {s, "a", 3 * s, 0, "a", false, 0}, {s, "a b", 3 * s, 0, "a", false, 3 * s}, {s, "a b", 0, 0, "a b", false, 0},
		},
		"what goes is gone": {{0, "a", 0, 0, "a", false, 0}, {s, "", 3 * s, 0, "", true, 0}, {s, "", 3 * s, 0, "", false, 0}},
		"and begins anew": {
			{0, "a", 0, 0, "a", false, 0}, {s, "", 3 * s, 0, "", true, 0}, {s, "a", 3 * s, 0, "", false, 3 * s}, {2 * s, "", 3 * s, 0, "", true, 0},
			{s, "a", 3 * s, 0, "", false, 3 * s},
		},
		"unless it is kept": {
			{0, "a", 0, 0, "a", false, 0}, {s, "", 3 * s, 3 * s, "a", true, 3 * s}, {2 * s, "", 3 * s, 3 * s, "a", false, s}, {0, "a", 3 * s, 3 * s, "a", false, 0},
			{s, "", 3 * s, 3 * s, "a", true, 3 * s}, {3 * s, "", 3 * s, 3 * s, "", false, 0},
		},
		"what was never shown is not kept": {{0, "a", 3 * s, 3 * s, "", false, 3 * s}, {s, "", 3 * s, 3 * s, "", true, 0}},
		"what is kept can be given up":     {{0, "a", 0, 0, "a", false, 0}, {s, "", 3 * s, 3 * s, "a", true, 3 * s}, {s, "", 3 * s, 0, "", false, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			all, now := steady[string]{}, time.Unix(1000, 0)
			for i, p := range passes {
				now = now.Add(p.after)
				lost, again := all.see(now, strings.Fields(p.there), p.hold, p.keep)
				if got := strings.Join(all.sorted(strings.Compare), " "); got != p.shown || lost != p.lost || again != p.again {
					t.Fatalf("pass %d: %q is shown, lost %t, again %v; want %q, %t, %v", i, got, lost, again, p.shown, p.lost, p.again)
				}
			}
		})
	}
}
