// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

func TestWhatIsSaidOfAnObjectIsBounded(t *testing.T) {
	var reversed, long []string
	for i := range 1000 {
		reversed = append(reversed, fmt.Sprintf("192.0.2.9-192.0.2.%d", i%9))
	}
	long = []string{strings.Repeat("é", 1<<16)}
	for _, row := range []struct {
		name  string
		pool  v1beta1.IPAddressPool
		texts []string
	}{
		{"many entries", pool("a", 0, reversed...), []string{`invalid IP range "192.0.2.9-192.0.2.0"`, "; and 990 more"}},
		{"a long entry", pool("a", 0, long...), []string{`invalid CIDR "é`, "…"}},
		{"few entries", pool("a", 0, reversed[:3]...), []string{"192.0.2.9-192.0.2.0", "192.0.2.9-192.0.2.1", "192.0.2.9-192.0.2.2"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := Compile(Objects{Pools: []v1beta1.IPAddressPool{row.pool}})
			problem, _ := p.ProblemOf(ObjectRef{KindIPAddressPool, "a"})
			frozen := named(p, "a").Frozen
			for _, detail := range []string{problem.Detail, frozen.Detail} {
				if len(detail) > 4<<10 || !utf8.ValidString(detail) {
					t.Errorf("%d bytes", len(detail))
				}
				for _, text := range row.texts {
					if !strings.Contains(detail, text) {
						t.Errorf("%q is missing in %.200q", text, detail)
					}
				}
			}
			if problem.Reason != reason.InvalidAddressRange {
				t.Errorf("reason %s", problem.Reason)
			}
		})
	}
}
