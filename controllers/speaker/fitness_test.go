// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"testing"
	"time"
)

func TestFitness(t *testing.T) {
	start := time.Unix(1000, 0)
	type ask struct {
		after        time.Duration
		able, others bool
		fit          bool
		again        time.Duration
	}
	for name, asks := range map[string][]ask{
		"a cluster that starts does not wait":       {{0, true, false, true, 0}, {0, true, true, true, 0}},
		"a returning node waits":                    {{0, true, true, false, 3 * time.Second}, {time.Second, true, true, false, 2 * time.Second}, {3 * time.Second, true, true, true, 0}},
		"it stops waiting when the others are gone": {{0, true, true, false, 3 * time.Second}, {time.Second, true, false, true, 0}},
		"losing the link starts it anew":            {{0, true, false, true, 0}, {time.Second, false, true, false, 0}, {2 * time.Second, true, true, false, 3 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			f := fitness{hold: 3 * time.Second}
			for i, a := range asks {
				fit, again := f.update(start.Add(a.after), a.able, a.others)
				if fit != a.fit || again != a.again {
					t.Fatalf("question %d: got fit %v again %v, want %v %v", i, fit, again, a.fit, a.again)
				}
			}
		})
	}
}
