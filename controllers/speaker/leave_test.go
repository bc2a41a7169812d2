// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"errors"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

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

// workload is an API server that answers a question for a DaemonSet.
type workload struct {
	client.Reader
	answer func(ctx context.Context, into *appsv1.DaemonSet) error
}

func (w workload) Get(ctx context.Context, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	return w.answer(ctx, into.(*appsv1.DaemonSet))
}

func TestWhenSpeakersAreBeingRemoved(t *testing.T) {
	for _, row := range []struct {
		name, daemonSet string
		answer          func(context.Context, *appsv1.DaemonSet) error
		want            bool
	}{
		{"it is there", "speaker", func(context.Context, *appsv1.DaemonSet) error { return nil }, false},
		{"it is gone", "speaker", func(context.Context, *appsv1.DaemonSet) error {
			return apierrors.NewNotFound(schema.GroupResource{Resource: "daemonsets"}, "speaker")
		}, true},
		{"it is going", "speaker", func(_ context.Context, d *appsv1.DaemonSet) error {
			d.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
			return nil
		}, true},
		{"its account is gone", "speaker", func(context.Context, *appsv1.DaemonSet) error { return apierrors.NewUnauthorized("no account") }, true},
		{"its rights are gone", "speaker", func(context.Context, *appsv1.DaemonSet) error {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "daemonsets"}, "speaker", errors.New("no role"))
		}, true},
		{"the API server is ill", "speaker", func(context.Context, *appsv1.DaemonSet) error { return apierrors.NewInternalError(errors.New("ill")) }, false},
		{"nobody answers", "speaker", func(ctx context.Context, _ *appsv1.DaemonSet) error {
			<-ctx.Done()
			return ctx.Err()
		}, false},
		{"it has no name", "", func(context.Context, *appsv1.DaemonSet) error { return errors.New("asked") }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			i := Installation{Reader: workload{answer: row.answer}, Namespace: namespace, DaemonSet: row.daemonSet}
			if got := i.Removed(t.Context()); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

func TestEveryAnnouncerThatCanTakesLeave(t *testing.T) {
	a, b := announcertest.NewFake("a", announcers.Shared), announcertest.NewFake("b", announcers.Exclusive)
	New(Options{Node: "n1", Members: membership.NewFake("n1"), Modules: []announcers.Announcer{a, b}, Trigger: kube.NewTrigger()}).Leave(t.Context())
	if a.Left() != 1 || b.Left() != 1 {
		t.Errorf("left %d and %d times, want once each", a.Left(), b.Left())
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
