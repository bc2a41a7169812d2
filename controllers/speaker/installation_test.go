// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
)

// workload is an API server that has a node and answers a question for a DaemonSet.
type workload struct {
	client.Reader
	answer func(ctx context.Context, into *appsv1.DaemonSet) error
	node   *corev1.Node
}

func (w workload) Get(ctx context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	switch into := into.(type) {
	case *appsv1.DaemonSet:
		return w.answer(ctx, into)
	case *corev1.Node:
		if w.node == nil || key.Name != "n1" {
			return apierrors.NewNotFound(corev1.Resource("nodes"), key.Name)
		}
		*into = *w.node
		return nil
	}
	return errors.New("asked for something else")
}

// running answers with a DaemonSet whose speakers have one argument, the announcers that they run.
func running(announcers string, change func(*corev1.PodSpec)) func(context.Context, *appsv1.DaemonSet) error {
	return func(_ context.Context, d *appsv1.DaemonSet) error {
		d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "helper"}, {Name: "speaker", Args: []string{announcers}}}
		if change != nil {
			change(&d.Spec.Template.Spec)
		}
		return nil
	}
}

func failing(err error) func(context.Context, *appsv1.DaemonSet) error {
	return func(context.Context, *appsv1.DaemonSet) error { return err }
}

func TestWhichAnnouncersDoNotComeBack(t *testing.T) {
	edge := func(p *corev1.PodSpec) { p.NodeSelector = map[string]string{"role": "edge"} }
	tainted := func(effect corev1.TaintEffect, key string) *corev1.Node {
		return &corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: key, Effect: effect}}}}
	}
	resource := appsv1.Resource("daemonsets")
	for _, row := range []struct {
		name, daemonSet string
		answer          func(context.Context, *appsv1.DaemonSet) error
		node            *corev1.Node
		l2, bgp         reason.Reason
	}{
		{name: "all do", answer: running("bgp,l2", nil), node: &corev1.Node{}},
		{name: "the DaemonSet is gone", answer: failing(apierrors.NewNotFound(resource, "speaker")), l2: reason.SpeakersRemoved, bgp: reason.SpeakersRemoved},
		{name: "it is going", answer: func(_ context.Context, d *appsv1.DaemonSet) error {
			d.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
			return nil
		}, l2: reason.SpeakersRemoved, bgp: reason.SpeakersRemoved},
		{name: "the account is gone", answer: failing(apierrors.NewUnauthorized("no account")), l2: reason.SpeakersRemoved, bgp: reason.SpeakersRemoved},
		{name: "its rights are gone", answer: failing(apierrors.NewForbidden(resource, "speaker", errors.New("no role"))), l2: reason.SpeakersRemoved, bgp: reason.SpeakersRemoved},
		{name: "the API server is ill", answer: failing(apierrors.NewInternalError(errors.New("ill")))},
		{name: "nobody answers", answer: func(ctx context.Context, _ *appsv1.DaemonSet) error { <-ctx.Done(); return ctx.Err() }},
		{name: "one is not to be run any more", answer: running("l2", nil), node: &corev1.Node{}, bgp: reason.AnnouncerRemoved},
		{name: "none is", answer: running("", nil), node: &corev1.Node{}, l2: reason.AnnouncerRemoved, bgp: reason.AnnouncerRemoved},
		{name: "arguments that nobody understands", answer: running("?", nil), node: &corev1.Node{}},
		{name: "the node is selected", answer: running("bgp,l2", edge), node: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"role": "edge"}}}},
		{name: "the node is not selected any more", answer: running("bgp,l2", edge), node: &corev1.Node{}, l2: reason.NodeNotSelected, bgp: reason.NodeNotSelected},
		{name: "an affinity excludes it", answer: running("bgp,l2", func(p *corev1.PodSpec) {
			p.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "role", Operator: corev1.NodeSelectorOpExists}}}},
			}}}
		}), node: &corev1.Node{}, l2: reason.NodeNotSelected, bgp: reason.NodeNotSelected},
		{name: "nothing is known of the node", answer: running("bgp,l2", edge)},
		{name: "a taint evicts", answer: running("bgp,l2", nil), node: tainted(corev1.TaintEffectNoExecute, "dedicated"), l2: reason.NodeNotSelected, bgp: reason.NodeNotSelected},
		{name: "the taint is tolerated", answer: running("bgp,l2", func(p *corev1.PodSpec) {
			p.Tolerations = []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}}
		}), node: tainted(corev1.TaintEffectNoExecute, "dedicated")},
		{name: "a taint keeps new pods away", answer: running("bgp,l2", nil), node: tainted(corev1.TaintEffectNoSchedule, "dedicated"), l2: reason.NodeNotSelected, bgp: reason.NodeNotSelected},
		{name: "a taint would rather have none", answer: running("bgp,l2", nil), node: tainted(corev1.TaintEffectPreferNoSchedule, "dedicated")},
		{name: "the node is cordoned", answer: running("bgp,l2", nil), node: tainted(corev1.TaintEffectNoSchedule, corev1.TaintNodeUnschedulable)},
		{name: "the node is not reached", answer: running("bgp,l2", nil), node: tainted(corev1.TaintEffectNoExecute, corev1.TaintNodeUnreachable)},
		{name: "the node is out of service", answer: running("bgp,l2", nil), node: tainted(corev1.TaintEffectNoExecute, corev1.TaintNodeOutOfService), l2: reason.NodeNotSelected, bgp: reason.NodeNotSelected},
		{name: "no container is known", answer: func(context.Context, *appsv1.DaemonSet) error { return nil }, node: tainted(corev1.TaintEffectNoExecute, "dedicated")},
	} {
		t.Run(row.name, func(t *testing.T) {
			why := Installation{
				Reader: workload{answer: row.answer, node: row.node}, Namespace: namespace, DaemonSet: "speaker", Node: "n1",
				Announcers: func(args []string) ([]string, error) {
					if slices.Contains(args, "?") {
						return nil, errors.New("not understood")
					}
					return strings.Split(args[0], ","), nil
				},
			}.Removed(t.Context())
			if l2, bgp := why("l2"), why("bgp"); l2 != row.l2 || bgp != row.bgp {
				t.Errorf("got %q and %q, want %q and %q", l2, bgp, row.l2, row.bgp)
			}
		})
	}
}

func TestSpeakersWithoutDaemonSetComeBack(t *testing.T) {
	if why := (Installation{Reader: workload{answer: failing(errors.New("asked"))}}).Removed(t.Context())("l2"); why != "" {
		t.Errorf("got %q", why)
	}
}
