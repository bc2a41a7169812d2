// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/installation"
)

// memory returns resources with these limits and requests of memory.
func memory(limit, request string) *corev1.ResourceRequirements {
	return &corev1.ResourceRequirements{
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)},
		Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(request)},
	}
}

func requiring(r corev1.NodeSelectorRequirement) *v1beta1.Config {
	return &v1beta1.Config{Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{r}}},
		},
	}}}
}

func near(topologyKey string, weight int32) *v1beta1.Config {
	return &v1beta1.Config{Affinity: &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
			{Weight: weight, PodAffinityTerm: corev1.PodAffinityTerm{TopologyKey: topologyKey}},
		},
	}}}
}

var _ = Describe("Settings that cannot be used", func() {
	var h *house
	BeforeEach(func(ctx context.Context) { h = newHouse(ctx) })

	It("are left out alone where the schema lets them through, and the resource says so", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{
			SpeakerConfig: &v1beta1.Config{Resources: memory("1Mi", "2Mi"), Annotations: map[string]string{"a b": "x", "fine": "y"}},
			Announcers:    []v1beta1.Announcer{{Name: "l2", L2: &v1beta1.L2Announcer{ExcludeInterfaces: []string{"^mgmt", "^lo\n"}}}},
		})
		h.allReady(ctx)
		h.reconcile(ctx, cr)
		Expect(cr).To(haveCondition(v1beta1.ConditionAvailable, yes, "AsExpected"))
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, yes, "InvalidSetting"))
		Expect(meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionDegraded).Message).To(And(
			ContainSubstring("spec.speakerConfig.annotations"), ContainSubstring("spec.speakerConfig.resources.requests[memory]"),
			ContainSubstring("spec.announcers[l2].l2.excludeInterfaces[1]")))
		pod := h.speaker(ctx).Spec.Template
		Expect(pod.Annotations).To(Equal(map[string]string{"fine": "y"}))
		Expect(pod.Spec.Containers[0].Args).To(ContainElement("--exclude-interfaces=^mgmt"))
		Expect(slices.ContainsFunc(pod.Spec.Containers[0].Args, func(a string) bool { return strings.Contains(a, "^lo") })).To(BeFalse())
	})

	It("leave a selector as it is, which Kubernetes refuses, and the speakers that run as they were", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		before := h.speaker(ctx).ResourceVersion
		cr.Spec.NodeSelector = map[string]string{"a b": "x"}
		Expect(api.Update(ctx, cr)).To(Succeed())
		_, err := h.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(cr)})
		Expect(err).To(MatchError(ContainSubstring("applying speaker")))
		h.check(ctx, cr)
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, yes, "InvalidSetting"))
		Expect(meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionDegraded).Message).To(HavePrefix(`spec.nodeSelector: "a b"`))
		Expect(h.speaker(ctx).ResourceVersion).To(Equal(before))
	})

	// The check must say of each value that the schema accepts what Kubernetes says of the workload with it.
	DescribeTable("are those that Kubernetes refuses", func(ctx context.Context, spec v1beta1.MetalLBSpec, usable bool) {
		cr := h.resource(spec)
		Expect(api.Create(ctx, cr)).To(Succeed(), "the schema accepts it")
		var refusals []string
		for _, o := range Render(*cr, h.reconciler.Options) {
			o.SetOwnerReferences(nil)
			if err := api.Create(ctx, o, client.DryRunAll); err != nil {
				refusals = append(refusals, err.Error())
			}
		}
		problems := installation.Problems(spec)
		Expect(len(refusals) == 0).To(Equal(usable), "Kubernetes: %v", refusals)
		Expect(len(problems) == 0).To(Equal(usable), "the check: %v", problems)
	},
		Entry("a label", v1beta1.MetalLBSpec{NodeSelector: map[string]string{"example.org/role": "x"}}, true),
		Entry("a label key with a space", v1beta1.MetalLBSpec{NodeSelector: map[string]string{"a b": ""}}, false),
		Entry("a label value with a space", v1beta1.MetalLBSpec{ControllerNodeSelector: map[string]string{"a": "b c"}}, false),
		Entry("a toleration of everything", v1beta1.MetalLBSpec{SpeakerTolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}}, true),
		Entry("a toleration without key", v1beta1.MetalLBSpec{SpeakerTolerations: []corev1.Toleration{{Value: "x"}}}, false),
		Entry("a toleration with a value too many", v1beta1.MetalLBSpec{
			ControllerTolerations: []corev1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists, Value: "x"}}}, false),
		Entry("an effect that is none", v1beta1.MetalLBSpec{SpeakerTolerations: []corev1.Toleration{{Key: "a", Effect: "Never"}}}, false),
		Entry("an operator that is none", v1beta1.MetalLBSpec{SpeakerTolerations: []corev1.Toleration{{Key: "a", Operator: "Sometimes"}}}, false),
		Entry("a priority class", v1beta1.MetalLBSpec{SpeakerConfig: &v1beta1.Config{PriorityClassName: "system-node-critical"}}, true),
		Entry("a priority class with a space", v1beta1.MetalLBSpec{SpeakerConfig: &v1beta1.Config{PriorityClassName: "High Priority"}}, false),
		Entry("a runtime class in upper case", v1beta1.MetalLBSpec{ControllerConfig: &v1beta1.Config{RuntimeClassName: "Kata"}}, false),
		Entry("an annotation", v1beta1.MetalLBSpec{SpeakerConfig: &v1beta1.Config{Annotations: map[string]string{"Upper/Case": "x"}}}, true),
		Entry("an annotation key with a space", v1beta1.MetalLBSpec{SpeakerConfig: &v1beta1.Config{Annotations: map[string]string{"a b": "x"}}}, false),
		Entry("limits", v1beta1.MetalLBSpec{SpeakerConfig: &v1beta1.Config{Resources: memory("64Mi", "64Mi")}}, true),
		Entry("a request above the limit", v1beta1.MetalLBSpec{SpeakerConfig: &v1beta1.Config{Resources: memory("1Mi", "2Mi")}}, false),
		Entry("negative memory", v1beta1.MetalLBSpec{SpeakerConfig: &v1beta1.Config{Resources: memory("-1Mi", "-1Mi")}}, false),
		Entry("a resource that is none", v1beta1.MetalLBSpec{SpeakerConfig: &v1beta1.Config{Resources: &corev1.ResourceRequirements{
			Limits: corev1.ResourceList{"cores": resource.MustParse("1")}}}}, false),
		Entry("half a device", v1beta1.MetalLBSpec{SpeakerConfig: &v1beta1.Config{Resources: &corev1.ResourceRequirements{
			Limits: corev1.ResourceList{"example.org/card": resource.MustParse("0.5")}}}}, false),
		Entry("a claim", v1beta1.MetalLBSpec{SpeakerConfig: &v1beta1.Config{Resources: &corev1.ResourceRequirements{
			Claims: []corev1.ResourceClaim{{Name: "card"}}}}}, false),
		Entry("a node affinity", v1beta1.MetalLBSpec{SpeakerConfig: requiring(corev1.NodeSelectorRequirement{Key: "a", Operator: corev1.NodeSelectorOpExists})}, true),
		Entry("a node affinity without values", v1beta1.MetalLBSpec{SpeakerConfig: requiring(corev1.NodeSelectorRequirement{Key: "a", Operator: corev1.NodeSelectorOpIn})}, false),
		Entry("a node affinity with an operator that is none", v1beta1.MetalLBSpec{
			ControllerConfig: requiring(corev1.NodeSelectorRequirement{Key: "a", Operator: "Near", Values: []string{"b"}})}, false),
		Entry("a node affinity that matches nothing", v1beta1.MetalLBSpec{SpeakerConfig: &v1beta1.Config{Affinity: &corev1.Affinity{
			NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{}}}}}}, false),
		Entry("a pod affinity", v1beta1.MetalLBSpec{ControllerConfig: near("kubernetes.io/hostname", 10)}, true),
		Entry("a pod affinity without weight", v1beta1.MetalLBSpec{ControllerConfig: near("kubernetes.io/hostname", 0)}, false),
		Entry("a pod affinity without topology", v1beta1.MetalLBSpec{ControllerConfig: near("", 10)}, false),
	)
})
