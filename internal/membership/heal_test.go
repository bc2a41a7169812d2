// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"net/netip"
	"testing"
	"time"
)

func TestHealer(t *testing.T) {
	missing := []netip.Addr{netip.MustParseAddr("10.0.0.1")}
	second := netip.MustParseAddr("10.0.0.2")
	start := time.Unix(1000, 0)
	h := healer{}
	steps := []struct {
		name              string
		after             time.Duration
		missing, outdated []netip.Addr
		due, tired        int
		wait              time.Duration
	}{
		{"nobody is missing", 0, nil, nil, 0, 0, idle},
		{"tried at once", 0, missing, nil, 1, 0, fastEvery},
		{"woken early", 100 * time.Millisecond, missing, nil, 0, 0, 150 * time.Millisecond},
		{"a second one in parallel", 200 * time.Millisecond, append(missing, second), nil, 1, 0, 50 * time.Millisecond},
		{"again after the interval", 250 * time.Millisecond, append(missing, second), nil, 1, 0, 200 * time.Millisecond},
		{"one has returned", 500 * time.Millisecond, missing, nil, 1, 0, fastEvery},
		{"outdated: after one interval", 600 * time.Millisecond, missing, []netip.Addr{second}, 0, 0, 150 * time.Millisecond},
		{"outdated: now", 850 * time.Millisecond, missing, []netip.Addr{second}, 2, 0, fastEvery},
		{"slow after a minute", 60 * time.Second, missing, nil, 1, 1, slowEvery},
		{"said once", 62 * time.Second, missing, nil, 1, 0, slowEvery},
		{"returned", 63 * time.Second, nil, nil, 0, 0, idle},
		{"missing again: fast again", 64 * time.Second, missing, nil, 1, 0, fastEvery},
	}
	for _, step := range steps {
		p := h.plan(start.Add(step.after), step.missing, step.outdated)
		if len(p.due) != step.due || len(p.tired) != step.tired || p.wait != step.wait {
			t.Errorf("%s: %+v, want %d due, %d tired, wait %v", step.name, p, step.due, step.tired, step.wait)
		}
	}
}
