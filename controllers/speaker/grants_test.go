// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

func TestWhatIsFresh(t *testing.T) {
	const a, b = "192.0.2.10", "192.0.2.11"
	// pass is one pass of the loop: which addresses Services bear, which of them have an owner, and what is fresh then.
	type pass struct {
		after                  time.Duration
		borne, owned, expected string
	}
	for name, passes := range map[string][]pass{
		"what a starting speaker finds is not": {{0, a, a, ""}, {0, a, a, ""}},
		"nor what it finds without owner":      {{0, a, "", ""}, {time.Second, a, a, ""}},
		"what comes later is, for a second after its election": {
			{0, "", "", ""}, {time.Second, a, a, a}, {freshFor, a, a, a}, {time.Nanosecond, a, a, ""}, {time.Hour, a, a, ""},
		},
		"it waits for its election as long as that takes": {
			{0, "", "", ""}, {time.Second, a, "", a}, {time.Hour, a, "", a}, {time.Hour, a, a, a}, {2 * freshFor, a, a, ""},
		},
		"an owner lost at once does not end it, one lost later does not begin it again": {
			{0, "", "", ""}, {time.Second, a, a, a}, {freshFor / 2, a, "", a}, {freshFor / 2, a, a, a}, {time.Second, a, "", ""}, {time.Second, a, a, ""},
		},
		"another address of the same Service is": {{0, a, a, ""}, {time.Second, b, b, b}},
		"one beside those that are known is":     {{0, a, a, ""}, {time.Second, a + " " + b, a + " " + b, b}},
		"an address that has gone and comes back is": {
			{0, a, a, ""}, {time.Second, "", "", ""}, {time.Second, a, a, a},
		},
		"one that goes while it is fresh starts anew": {
			{0, "", "", ""}, {time.Second, a, a, a}, {time.Millisecond, "", "", ""}, {time.Hour, a, "", a}, {time.Hour, a, a, a},
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
			var g grants
			for i, p := range passes {
				clock.SetTime(clock.Now().Add(p.after))
				g.see([]Service{service("web", strings.Fields(p.borne)...)})
				verdicts := map[string]Verdict{}
				for _, text := range strings.Fields(p.borne) {
					v := Verdict{Addresses: []netip.Addr{netip.MustParseAddr(text)}}
					if slices.Contains(strings.Fields(p.owned), text) {
						v.Owner = "n2"
					}
					verdicts[text] = v
				}
				g.elected(clock.Now(), verdicts)
				for _, text := range []string{a, b} {
					if got := g.fresh(netip.MustParseAddr(text)); got != slices.Contains(strings.Fields(p.expected), text) {
						t.Fatalf("pass %d: fresh is %v for %s, want %q", i, got, text, p.expected)
					}
				}
			}
		})
	}
}
