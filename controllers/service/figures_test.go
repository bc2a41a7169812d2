// SPDX-License-Identifier: Apache-2.0

package service

import (
	"testing"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// TestTheFiguresOfAllPoolsThatADecisionTouchesAreWritten has pools whose figures change by a decision on a Service that is in another pool,
// or keeps its address.
func TestTheFiguresOfAllPoolsThatADecisionTouchesAreWritten(t *testing.T) {
	requests := func(pool string) map[string]string { return map[string]string{v1beta1.AnnotationAddressPool: pool} }
	overlap := func(w *world) { w.apply(poolOf("green", nil, "198.18.1.1/32")) } // of two pools the older one is valid
	for name, c := range map[string]struct {
		prepare, act func(*world)
		// want are the addresses in use, free and reserved of each pool.
		want map[string][3]int64
	}{
		"an address that stays moves to another pool": {
			prepare: overlap,
			act:     func(w *world) { w.apply(loadBalancer("web", requests("green"))) },
			want:    map[string][3]int64{"blue": {0, 0, 0}, "green": {1, 0, 0}},
		},
		"the address of an invalid pool comes free in a valid one": {
			prepare: overlap,
			act:     func(w *world) { w.remove(loadBalancer("web", nil)) },
			want:    map[string][3]int64{"blue": {0, 0, 0}, "green": {0, 1, 0}},
		},
		"a reservation follows its Service to another pool": {
			prepare: func(w *world) { w.apply(reservationOf("web")) },
			act:     func(w *world) { w.apply(loadBalancer("web", requests("green"))) },
			want:    map[string][3]int64{"blue": {0, 1, 0}, "green": {1, 0, 0}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlayer(t)
			p.world.apply(poolOf("green", nil, "198.18.1.9/32"))
			p.world.apply(poolOf("blue", nil, "198.18.1.1/32"))
			p.world.apply(loadBalancer("web", nil))
			p.rest(t)
			p.has(t, "web", reason.Allocated, "198.18.1.1")
			c.prepare(p.world)
			p.rest(t)
			c.act(p.world)
			p.rest(t)
			for pool, want := range c.want {
				if got := reserved(p.world.served.find(poolOf(pool, nil)).(*v1beta1.IPAddressPool)); got != want {
					t.Errorf("pool %s has %v, want %v", pool, got, want)
				}
			}
		})
	}
}
