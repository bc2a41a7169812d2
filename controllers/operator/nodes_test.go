// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"slices"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

func node(name string, ready corev1.ConditionStatus, labels map[string]string) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if ready != "" {
		n.Status.Conditions = []corev1.NodeCondition{
			{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse}, {Type: corev1.NodeReady, Status: ready, Message: "kubelet"},
		}
	}
	return n
}

func TestNotReady(t *testing.T) {
	linux, windows := map[string]string{"kubernetes.io/os": "linux"}, map[string]string{"kubernetes.io/os": "windows"}
	nodes := []corev1.Node{
		node("n4", corev1.ConditionFalse, linux), node("n1", corev1.ConditionTrue, linux), node("n3", corev1.ConditionUnknown, linux),
		node("w1", corev1.ConditionUnknown, windows), node("n2", "", linux),
	}
	if got := notReady(nodes, linux); !slices.Equal(got, []string{"n2", "n3", "n4"}) {
		t.Errorf("not ready: %v", got)
	}
	if got := notReady(nil, linux); got != nil {
		t.Errorf("of no nodes: %v", got)
	}
}

func TestBlameNodes(t *testing.T) {
	lacking := waitingFor(reason.OperandNotReady, "speaker: 2 of 3 pods are available")
	stuck := lacking
	stuck.stuck = true
	for name, c := range map[string]struct {
		h    health
		down []string
		want reason.Reason
		text string
	}{
		"all nodes ready": {lacking, nil, reason.OperandNotReady, "speaker: 2 of 3 pods are available"},
		"one is not":      {lacking, []string{"n3"}, reason.SpeakerNodeNotReady, "speaker: 2 of 3 pods are available; not ready: n3"},
		"many are not":    {lacking, []string{"a", "b", "c", "d", "e"}, reason.SpeakerNodeNotReady, "speaker: 2 of 3 pods are available; not ready: a, b, c, and 2 more"},
		"a worse reason":  {stuck, []string{"n3"}, reason.OperandNotReady, "speaker: 2 of 3 pods are available"},
	} {
		if got := blameNodes(c.h, c.down).problem; got.Reason != c.want || got.Detail != c.text {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := blameNodes(health{available: true, complete: true}, []string{"n3"}); got.problem != nil {
		t.Errorf("nothing lacks: %v", got.problem)
	}
}

func TestNodeChanges(t *testing.T) {
	ready, down := node("n", corev1.ConditionTrue, nil), node("n", corev1.ConditionUnknown, nil)
	labelled, annotated := node("n", corev1.ConditionTrue, map[string]string{"a": "b"}), node("n", corev1.ConditionTrue, nil)
	annotated.Annotations = map[string]string{"a": "b"}
	for name, c := range map[string]struct {
		after corev1.Node
		want  bool
	}{"the same": {ready, false}, "an annotation": {annotated, false}, "not ready": {down, true}, "a label": {labelled, true}} {
		if got := nodeChanges().Update(ctrlevent.UpdateEvent{ObjectOld: &ready, ObjectNew: &c.after}); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	small, err := readinessOnly(&down)
	kept, ok := small.(*corev1.Node)
	if err != nil || !ok || nodeReady(kept) || len(kept.Status.Conditions) != 1 || kept.Status.Conditions[0].Message != "" {
		t.Errorf("kept %v, error %v", small, err)
	}
}

var _ = Describe("a node that is not ready", Serial, func() {
	It("does not keep the speakers of other nodes from being updated, and is named", func(ctx context.Context) {
		h := newHouse(ctx)
		linux := map[string]string{"kubernetes.io/os": "linux"}
		for _, n := range []corev1.Node{node("n1", corev1.ConditionTrue, linux), node("n2", corev1.ConditionTrue, linux), node("n3", corev1.ConditionUnknown, linux)} {
			made := n.DeepCopy()
			Expect(api.Create(ctx, made)).To(Succeed())
			DeferCleanup(func(ctx context.Context) { Expect(api.Delete(ctx, made)).To(Succeed()) })
			made.Status = n.Status
			Expect(api.Status().Update(ctx, made)).To(Succeed())
		}
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		h.allReady(ctx)
		h.speakers(ctx, 3, 3)
		ds := h.speaker(ctx)
		ds.Status.NumberAvailable = 2
		Expect(api.Status().Update(ctx, ds)).To(Succeed())
		h.reconcile(ctx, cr)
		Expect(h.speaker(ctx).Spec.UpdateStrategy.RollingUpdate.MaxUnavailable.IntValue()).To(Equal(2))
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, no, "SpeakerNodeNotReady"))
		Expect(meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionSpeakerAvailable).Message).To(ContainSubstring("not ready: n3"))

		By("one at a time again once the node is back")
		back := node("n3", "", nil)
		Expect(api.Get(ctx, client.ObjectKey{Name: "n3"}, &back)).To(Succeed())
		back.Status.Conditions[1].Status = corev1.ConditionTrue
		Expect(api.Status().Update(ctx, &back)).To(Succeed())
		h.reconcile(ctx, cr)
		Expect(h.speaker(ctx).Spec.UpdateStrategy.RollingUpdate.MaxUnavailable.IntValue()).To(Equal(1))
	})
})
