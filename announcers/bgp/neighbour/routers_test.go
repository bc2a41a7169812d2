// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// step is that a router is heard, or that the kernel is asked, at a second.
type step struct {
	at       int
	source   netip.Addr
	hardware string
	known    []netip.Addr
}

func TestRouters(t *testing.T) {
	var none netip.Addr
	for _, row := range []struct {
		name   string
		steps  []step
		at     int
		want   netip.Addr
		others []netip.Addr
	}{
		{"nobody", nil, 0, none, nil},
		{"one", []step{{0, fe1, "a", nil}}, 1, fe1, nil},
		{"one that is silent for an hour", []step{{0, fe1, "a", nil}}, 3600, fe1, nil},
		{"one that the kernel knows", []step{{0, none, "", []netip.Addr{fe1}}}, 1, fe1, nil},
		{"one that the kernel does not know any more", []step{{0, none, "", []netip.Addr{fe1}}, {1, none, "", nil}}, 2, none, nil},
		{"several that the kernel knows", []step{{0, none, "", []netip.Addr{fe2, fe1}}}, 1, none, []netip.Addr{fe1, fe2}},
		{"heard is more than known", []step{{0, none, "", []netip.Addr{fe1}}, {1, fe2, "b", nil}}, 2, fe2, nil},
		{"two", []step{{0, fe2, "b", nil}, {1, fe1, "a", nil}}, 2, fe2, []netip.Addr{fe1}},
		{"two that are heard again and again", []step{{0, fe2, "b", nil}, {1, fe1, "a", nil}, {14, fe1, "a", nil}, {20, fe2, "b", nil}, {30, fe1, "a", nil}, {33, fe2, "b", nil}}, 34, fe2, []netip.Addr{fe1}},
		{"one that has gone", []step{{0, fe2, "b", nil}, {1, fe1, "a", nil}, {15, fe1, "a", nil}}, 16, fe1, nil},
		{"one that may come back in time", []step{{0, fe2, "b", nil}, {1, fe1, "a", nil}, {14, fe1, "a", nil}}, 15, fe2, []netip.Addr{fe1}},
		{"the slow one beside a new one", []step{{0, fe2, "b", nil}, {600, fe1, "a", nil}}, 601, fe2, []netip.Addr{fe1}},
		{"the slow one that answers beside a new one", []step{{0, fe2, "b", nil}, {600, fe1, "a", nil}, {601, fe2, "b", nil}}, 614, fe2, []netip.Addr{fe1}},
		{"the slow one that does not answer", []step{{0, fe2, "b", nil}, {600, fe1, "a", nil}, {610, fe1, "a", nil}}, 615, fe1, nil},
		{"a stray one that is heard once", []step{{0, fe2, "b", nil}, {1, fe1, "a", nil}, {10, fe2, "b", nil}}, 17, fe2, nil},
		{"a new address", []step{{0, fe2, "b", nil}, {1, fe1, "b", nil}}, 1, fe1, nil},
		{"a new address, twice", []step{{0, fe2, "b", nil}, {1, fe1, "b", nil}, {2, fe3, "b", nil}}, 2, fe3, nil},
		{"two addresses", []step{{0, fe2, "b", nil}, {1, fe1, "b", nil}, {2, fe2, "b", nil}}, 2, fe1, []netip.Addr{fe2}},
		{"two addresses, again and again", []step{{0, fe2, "b", nil}, {1, fe1, "b", nil}, {2, fe2, "b", nil}, {3, fe1, "b", nil}, {4, fe2, "b", nil}}, 5, fe1, []netip.Addr{fe2}},
		{"two that do not tell their hardware", []step{{0, fe2, "", nil}, {1, fe1, "", nil}}, 1, fe2, []netip.Addr{fe1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var r routers
			for _, s := range row.steps {
				now := epoch.Add(time.Duration(s.at) * time.Second)
				if s.source.IsValid() {
					r.hear(now, Message{Advertisement, s.source, s.hardware})
				} else {
					r.known = s.known
				}
				r.decide(now)
			}
			current, others := r.decide(epoch.Add(time.Duration(row.at) * time.Second))
			if current != row.want || !slices.Equal(others, row.others) {
				t.Errorf("got %v beside %v", current, others)
			}
		})
	}
}

func TestRoutersRememberAFew(t *testing.T) {
	var r routers
	for i := range 1000 {
		r.hear(epoch, Message{Advertisement, netip.MustParseAddr(fmt.Sprintf("fe80::1:%x", i)), fmt.Sprint(i)})
	}
	if len(r.heard) != memory {
		t.Errorf("remembers %d", len(r.heard))
	}
	if r.hear(epoch.Add(2*silence), Message{Advertisement, netip.MustParseAddr("fe80::1:0"), "0"}) {
		t.Error("a known one counts as new")
	}
	r.decide(epoch.Add(2 * silence))
	if len(r.heard) != 1 || !r.hear(epoch.Add(2*silence), Message{Advertisement, fe1, "x"}) {
		t.Errorf("has no room for a new one: %v", r.heard)
	}
}
