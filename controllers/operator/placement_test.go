// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

func TestSpeakersWithoutNodesAreExplainedBySelectorAndCount(t *testing.T) {
	for name, c := range map[string]struct {
		selector      string
		matching, all int
		unready       []string
		want          string
	}{
		"a selector that matches nothing":  {"typo=x", 0, 3, nil, "the node selector typo=x (spec.nodeSelector) matches 0 of 3 nodes. Repair"},
		"taints or affinity":               {"a=b", 2, 3, nil, "matches 2 of 3 nodes, and spec.speakerConfig.affinity or a taint excludes these. Repair"},
		"no node is ready":                 {"a=b", 2, 3, []string{"n1", "n2"}, "matches 2 of 3 nodes; not ready: n1, n2. Repair"},
		"one is not ready, one is tainted": {"a=b", 2, 3, []string{"n1"}, "a taint excludes these; not ready: n1. Repair"},
		"no selector":                      {"", 1, 1, []string{"n1"}, "the node selector (none) (spec.nodeSelector) matches 1 of 1 nodes; not ready: n1. Repair"},
		"a cluster without nodes":          {"a=b", 0, 0, nil, "matches 0 of 0 nodes. Repair"},
	} {
		p := noNodesProblem(speakerName, c.selector, c.matching, c.all, c.unready)
		if p.Reason != reason.NoNodesForSpeakers || !strings.Contains(p.Message(), c.want) {
			t.Errorf("%s: %s", name, p.Error())
		}
	}
}

func TestSpeakersWithoutAnnouncers(t *testing.T) {
	serving := health{available: true, complete: true}
	starting := waitingFor(reason.OperandNotReady, "speaker: 0 of 3 pods are available")
	nowhere := waitingFor(reason.NoNodesForSpeakers, "speaker: none")
	for name, c := range map[string]struct {
		announcers []v1beta1.Announcer
		from       health
		available  bool
		stuck      bool
		why        reason.Reason
	}{
		"the default":                     {nil, serving, true, false, ""},
		"the default, no node":            {nil, nowhere, false, false, reason.NoNodesForSpeakers},
		"allocation only":                 {[]v1beta1.Announcer{}, serving, true, false, reason.AllocationOnly},
		"allocation only, no node":        {[]v1beta1.Announcer{}, nowhere, true, false, reason.AllocationOnly},
		"allocation only, starting":       {[]v1beta1.Announcer{}, starting, false, false, reason.OperandNotReady},
		"one of two is known":             {[]v1beta1.Announcer{{Name: "l2"}, {Name: "pigeon"}}, serving, true, false, ""},
		"none is known: nothing serves":   {[]v1beta1.Announcer{{Name: "pigeon"}}, serving, false, true, reason.UnknownAnnouncer},
		"none is known, and starts still": {[]v1beta1.Announcer{{Name: "pigeon"}}, starting, false, true, reason.UnknownAnnouncer},
	} {
		t.Run(name, func(t *testing.T) {
			got := announcing(v1beta1.MetalLBSpec{Announcers: c.announcers}, testOptions().KnownAnnouncers, c.from)
			why := got.note
			if got.problem != nil {
				why = got.problem.Reason
			}
			if got.available != c.available || got.stuck != c.stuck || why != c.why {
				t.Errorf("available %t, stuck %t, reason %q", got.available, got.stuck, why)
			}
		})
	}
}

var _ = Describe("Speakers that no node is to run", func() {
	var h *house
	BeforeEach(func(ctx context.Context) { h = newHouse(ctx) })

	nobody := func(ctx context.Context, spec v1beta1.MetalLBSpec) *v1beta1.MetalLB {
		GinkgoHelper()
		cr := h.install(ctx, spec)
		h.ready(ctx, controllerName)
		h.ready(ctx, copierName)
		h.speakers(ctx, 0, 0)
		h.reconcile(ctx, cr)
		return cr
	}
	said := func(cr *v1beta1.MetalLB) string {
		return meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionSpeakerAvailable).Message
	}

	It("are not available, and the condition names the selector and counts the nodes", func(ctx context.Context) {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "node-", Labels: map[string]string{corev1.LabelOSStable: "linux"}}}
		Expect(api.Create(ctx, node)).To(Succeed())
		DeferCleanup(func(ctx context.Context) { Expect(api.Delete(ctx, node)).To(Succeed()) })

		cr := nobody(ctx, v1beta1.MetalLBSpec{NodeSelector: map[string]string{"typo": "x"}})
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, no, "NoNodesForSpeakers"))
		Expect(cr).To(haveCondition(v1beta1.ConditionAvailable, no, "NoNodesForSpeakers"))
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, yes, "NoNodesForSpeakers"))
		Expect(said(cr)).To(ContainSubstring("kubernetes.io/os=linux,typo=x (spec.nodeSelector) matches 0 of 1 nodes"))

		By("being available once a node runs one")
		h.speakers(ctx, 1, 1)
		h.reconcile(ctx, cr)
		Expect(cr).To(haveCondition(v1beta1.ConditionAvailable, yes, "AsExpected"))
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, no, "AsExpected"))
	})

	It("may be waiting for nodes to become ready, which the condition names", func(ctx context.Context) {
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "node-", Labels: map[string]string{corev1.LabelOSStable: "linux"}},
			Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}}},
		}
		Expect(api.Create(ctx, node)).To(Succeed())
		DeferCleanup(func(ctx context.Context) { Expect(api.Delete(ctx, node)).To(Succeed()) })

		cr := nobody(ctx, v1beta1.MetalLBSpec{})
		Expect(cr).To(haveCondition(v1beta1.ConditionAvailable, no, "NoNodesForSpeakers"))
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, no, "AsExpected"))
		Expect(said(cr)).To(ContainSubstring("matches 1 of 1 nodes; not ready: " + node.Name + "."))
	})

	It("may be waiting for the first node of a cluster", func(ctx context.Context) {
		cr := nobody(ctx, v1beta1.MetalLBSpec{})
		Expect(cr).To(haveCondition(v1beta1.ConditionAvailable, no, "NoNodesForSpeakers"))
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, no, "AsExpected"))
		h.elapsed = patience
		Expect(h.reconcile(ctx, cr).RequeueAfter).To(Equal(lookAgain))
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, yes, "NoNodesForSpeakers"))
	})

	It("are not missed where addresses are only allocated", func(ctx context.Context) {
		cr := nobody(ctx, v1beta1.MetalLBSpec{Announcers: []v1beta1.Announcer{}})
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, yes, "AllocationOnly"))
		Expect(cr).To(haveCondition(v1beta1.ConditionAvailable, yes, "AsExpected"))
	})
})
