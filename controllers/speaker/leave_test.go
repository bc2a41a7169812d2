// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"testing"

	"github.com/go-logr/logr"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/api/reason"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/membership"
)

func TestWhyANodeParts(t *testing.T) {
	for _, row := range []struct {
		name  string
		nodes map[string]Node
		want  reason.Reason
	}{
		{"it stays", map[string]Node{"n1": {}}, ""},
		{"a cordon alone is none", map[string]Node{"n1": {Cordoned: true}}, ""},
		{"it was deleted", map[string]Node{"n2": {}}, reason.NodeRemoved},
		{"it is drained", map[string]Node{"n1": {Drain: true}}, reason.NodeDraining},
		{"it shuts down", map[string]Node{"n1": {ShuttingDown: true}}, reason.NodeShuttingDown},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := (World{Self: "n1", Nodes: row.nodes}).departure(); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestEveryAnnouncerThatCanTakesLeave(t *testing.T) {
	a, b := announcertest.NewFake("a", announcers.Shared), announcertest.NewFake("b", announcers.Exclusive)
	loop := New(Options{Node: "n1", Members: membership.NewFake("n1"), Modules: []announcers.Announcer{a, b}, Trigger: kube.NewTrigger(), Log: logr.Discard()})
	if left := loop.Leave(t.Context(), func(string) reason.Reason { return reason.SpeakersRemoved }); left != 2 || a.Left() != 1 || b.Left() != 1 {
		t.Errorf("left %d: %d and %d times, want once each", left, a.Left(), b.Left())
	}
	onlyB := func(name string) reason.Reason { return map[string]reason.Reason{"b": reason.AnnouncerRemoved}[name] }
	if left := loop.Leave(t.Context(), onlyB); left != 1 || a.Left() != 1 || b.Left() != 2 {
		t.Errorf("left %d: %d and %d times, want one of the two once more", left, a.Left(), b.Left())
	}
}

func TestTheLoopKnowsWhetherItsNodeParts(t *testing.T) {
	r := start(t, announcertest.NewFake("fake", announcers.Shared))
	if why := r.speaker.Departing(); why != "" {
		t.Errorf("before anything is known: %q", why)
	}
	w := base()
	w.Nodes = map[string]Node{"n1": {Drain: true}}
	r.world.set(w)
	r.trigger.Fire()
	r.until("a pass", func(o Outcome) bool { return o.Plan.Drain })
	if why := r.speaker.Departing(); why != reason.NodeDraining {
		t.Errorf("got %q, want %q", why, reason.NodeDraining)
	}
}
