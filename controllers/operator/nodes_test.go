// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"reflect"
	"slices"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
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

func tainted(n corev1.Node, taints ...corev1.Taint) corev1.Node {
	n.Spec.Taints = taints
	return n
}

// cutOff are the taints that Kubernetes puts on a node from which it does not hear.
var cutOff = []corev1.Taint{
	{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoSchedule}, {Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute},
}

func TestNodesThatAreDownCountWhereASpeakerMayRun(t *testing.T) {
	linux, windows := map[string]string{"kubernetes.io/os": "linux"}, map[string]string{"kubernetes.io/os": "windows"}
	dedicated := corev1.Taint{Key: "dedicated", Value: "db", Effect: corev1.TaintEffectNoSchedule}
	speaker := corev1.PodSpec{NodeSelector: linux, Affinity: requiring(corev1.NodeSelectorRequirement{
		Key: "metadata.name", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"n5"},
	}).Affinity}
	term := &speaker.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0]
	term.MatchFields, term.MatchExpressions = term.MatchExpressions, nil
	nodes := []corev1.Node{
		node("n4", corev1.ConditionFalse, linux), node("n1", corev1.ConditionTrue, linux), node("n2", "", linux),
		tainted(node("n3", corev1.ConditionUnknown, linux), cutOff...),
		node("n5", corev1.ConditionFalse, linux), node("w1", corev1.ConditionUnknown, windows),
		tainted(node("n6", corev1.ConditionTrue, linux), dedicated),
		tainted(node("n7", corev1.ConditionUnknown, linux), dedicated),
		tainted(node("n8", corev1.ConditionUnknown, linux), corev1.Taint{Key: corev1.TaintNodeOutOfService, Effect: corev1.TaintEffectNoExecute}),
		tainted(node("n9", corev1.ConditionUnknown, linux), cutOff[1], corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}),
	}
	want := downNodes{wanted: []string{"n2", "n4", "n9"}, tainted: []string{"n3", "n7", "n8"}}
	if got := findDown(nodes, speaker); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	speaker.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	want = downNodes{wanted: []string{"n2", "n3", "n4", "n7", "n8", "n9"}}
	if got := findDown(nodes, speaker); !reflect.DeepEqual(got, want) {
		t.Errorf("where speakers tolerate everything: got %v, want %v", got, want)
	}
	if got := findDown(nil, speaker); !reflect.DeepEqual(got, downNodes{}) {
		t.Errorf("of no nodes: %v", got)
	}
}

func TestLostSpeakersAreThoseThatKubernetesMisses(t *testing.T) {
	status := func(desired, available, misscheduled int32) appsv1.DaemonSetStatus {
		return appsv1.DaemonSetStatus{DesiredNumberScheduled: desired, NumberAvailable: available, NumberMisscheduled: misscheduled}
	}
	for name, c := range map[string]struct {
		down   downNodes
		status appsv1.DaemonSetStatus
		count  int
		names  []string
	}{
		"no DaemonSet yet":                                    {downNodes{wanted: []string{"a"}, tainted: []string{"b"}}, status(0, 0, 0), 0, nil},
		"its speaker is unavailable":                          {downNodes{wanted: []string{"a"}}, status(3, 2, 0), 1, []string{"a"}},
		"one more is being replaced":                          {downNodes{wanted: []string{"a"}}, status(3, 1, 0), 1, []string{"a"}},
		"its taint takes it out of the desired":               {downNodes{tainted: []string{"a"}}, status(2, 2, 1), 1, []string{"a"}},
		"a dedicated node without speaker":                    {downNodes{tainted: []string{"a"}}, status(3, 3, 0), 0, nil},
		"a dedicated node without speaker, during an update":  {downNodes{tainted: []string{"a"}}, status(3, 2, 0), 0, nil},
		"all speakers are available although nodes are down":  {downNodes{wanted: []string{"a", "b", "c"}}, status(3, 3, 0), 0, nil},
		"one of two nodes that are down has its speaker left": {downNodes{wanted: []string{"b", "a"}}, status(3, 2, 0), 1, []string{"a", "b"}},
		"both kinds":                                    {downNodes{wanted: []string{"b"}, tainted: []string{"a", "c"}}, status(4, 3, 1), 2, []string{"a", "b", "c"}},
		"more are available than desired":               {downNodes{wanted: []string{"a"}}, status(2, 3, 0), 0, nil},
		"speakers are unavailable, all nodes are ready": {downNodes{}, status(3, 1, 1), 0, nil},
	} {
		if count, names := c.down.lost(c.status); count != c.count || !slices.Equal(names, c.names) {
			t.Errorf("%s: got %d, %v, want %d, %v", name, count, names, c.count, c.names)
		}
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
	dedicated := tainted(ready, corev1.Taint{Key: "dedicated", Effect: corev1.TaintEffectNoSchedule})
	labelled, annotated := node("n", corev1.ConditionTrue, map[string]string{"a": "b"}), node("n", corev1.ConditionTrue, nil)
	annotated.Annotations = map[string]string{"a": "b"}
	for name, c := range map[string]struct {
		after corev1.Node
		want  bool
	}{"the same": {ready, false}, "an annotation": {annotated, false}, "not ready": {down, true}, "a label": {labelled, true}, "a taint": {dedicated, true}} {
		if got := nodeChanges().Update(ctrlevent.UpdateEvent{ObjectOld: &ready, ObjectNew: &c.after}); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	down.Spec = corev1.NodeSpec{Taints: cutOff, ProviderID: "x"}
	small, err := schedulingOnly(&down)
	kept, ok := small.(*corev1.Node)
	if err != nil || !ok || nodeReady(kept) || len(kept.Status.Conditions) != 1 || kept.Status.Conditions[0].Message != "" ||
		!reflect.DeepEqual(kept.Spec, corev1.NodeSpec{Taints: cutOff}) {
		t.Errorf("kept %v, error %v", small, err)
	}
}

var _ = Describe("a node that is not ready", Serial, func() {
	var h *house
	var cr *v1beta1.MetalLB
	BeforeEach(func(ctx context.Context) {
		h = newHouse(ctx)
		linux := map[string]string{"kubernetes.io/os": "linux"}
		for _, n := range []corev1.Node{node("n1", corev1.ConditionTrue, linux), node("n2", corev1.ConditionTrue, linux), node("n3", corev1.ConditionUnknown, linux)} {
			made := n.DeepCopy()
			Expect(api.Create(ctx, made)).To(Succeed())
			DeferCleanup(func(ctx context.Context) { Expect(api.Delete(ctx, made)).To(Succeed()) })
			// The API server puts not-ready:NoSchedule on every new node; who would take it off again does not run here.
			made.Spec.Taints = nil
			if n.Name == "n3" {
				made.Spec.Taints = cutOff
			}
			Expect(api.Update(ctx, made)).To(Succeed())
			made.Status = n.Status
			Expect(api.Status().Update(ctx, made)).To(Succeed())
		}
		cr = h.install(ctx, v1beta1.MetalLBSpec{})
		h.allReady(ctx)
	})

	// observe writes the status of the DaemonSet and returns how many speakers may be unavailable then.
	observe := func(ctx context.Context, desired, available, misscheduled int32) int {
		GinkgoHelper()
		ds := h.speaker(ctx)
		ds.Status = appsv1.DaemonSetStatus{
			ObservedGeneration: ds.Generation, DesiredNumberScheduled: desired, CurrentNumberScheduled: desired, UpdatedNumberScheduled: available,
			NumberReady: available, NumberAvailable: available, NumberMisscheduled: misscheduled,
		}
		Expect(api.Status().Update(ctx, ds)).To(Succeed())
		h.reconcile(ctx, cr)
		return h.speaker(ctx).Spec.UpdateStrategy.RollingUpdate.MaxUnavailable.IntValue()
	}

	It("does not keep the speakers of other nodes from being updated, and is named", func(ctx context.Context) {
		Expect(observe(ctx, 2, 2, 1)).To(Equal(2), "its taint takes it out of the desired number")
		Expect(observe(ctx, 2, 2, 1)).To(Equal(2))
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, yes, "AsExpected"))
		Expect(observe(ctx, 2, 1, 1)).To(Equal(2), "one of the others is being replaced")
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, no, "SpeakerNodeNotReady"))
		Expect(meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionSpeakerAvailable).Message).To(ContainSubstring("not ready: n3"))

		By("one at a time again once the node is back")
		back := node("n3", "", nil)
		Expect(api.Get(ctx, client.ObjectKey{Name: "n3"}, &back)).To(Succeed())
		back.Spec.Taints = nil
		Expect(api.Update(ctx, &back)).To(Succeed())
		back.Status.Conditions[1].Status = corev1.ConditionTrue
		Expect(api.Status().Update(ctx, &back)).To(Succeed())
		Expect(observe(ctx, 3, 2, 0)).To(Equal(1))
	})

	It("has no part in an update of the speakers where it runs none", func(ctx context.Context) {
		Expect(observe(ctx, 2, 2, 0)).To(Equal(1))
		Expect(observe(ctx, 2, 1, 0)).To(Equal(1), "one of the others is being replaced")
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, no, "OperandNotReady"))
	})
})
