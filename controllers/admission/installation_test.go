// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"metalsuite.io/api/v1beta1"
)

func metallb(spec v1beta1.MetalLBSpec) *v1beta1.MetalLB {
	return &v1beta1.MetalLB{ObjectMeta: metav1.ObjectMeta{Name: "metallb", Namespace: home}, Spec: spec}
}

func selecting(labels map[string]string) *v1beta1.MetalLB {
	return metallb(v1beta1.MetalLBSpec{NodeSelector: labels})
}

func excluding(expressions ...string) *v1beta1.MetalLB {
	return metallb(v1beta1.MetalLBSpec{Announcers: []v1beta1.Announcer{{Name: "l2", L2: &v1beta1.L2Announcer{ExcludeInterfaces: expressions}}}})
}

var _ = Describe("the webhook of the MetalLB resource", Ordered, func() {
	BeforeAll(func(ctx context.Context) {
		DeferCleanup(serve())
	})
	AfterEach(func(ctx context.Context) {
		Expect(api.DeleteAllOf(ctx, &v1beta1.MetalLB{}, client.InNamespace(home))).To(Succeed())
	})

	DescribeTable("refuses settings that the schema accepts, with their path", func(ctx context.Context, m *v1beta1.MetalLB, want string) {
		err := api.Create(ctx, m)
		Expect(err).To(MatchError(And(ContainSubstring("denied the request"), ContainSubstring(want))))
	},
		Entry("an expression with a control character", excluding("^lo\n"),
			`MetalLB "metallb": spec.announcers[l2].l2.excludeInterfaces[0]: "^lo\n" has a control character`),
		Entry("a label key that is none", selecting(map[string]string{"a b": ""}), `spec.nodeSelector: "a b"`),
		Entry("a label value that is none", selecting(map[string]string{"a": "b c"}), `spec.nodeSelector[a]: "b c"`),
		Entry("a toleration with an operator that is none", metallb(v1beta1.MetalLBSpec{
			ControllerTolerations: []corev1.Toleration{{Key: "a", Operator: "Sometimes"}},
		}), `spec.controllerTolerations[0].operator: "Sometimes" is neither Exists nor Equal. Correct the field named in the message`),
	)

	It("allows what can be used, and changes of what could not be used before", func(ctx context.Context) {
		fine := excluding("^docker.*", "lo")
		Expect(api.Create(ctx, fine)).To(Succeed())
		fine.Spec.NodeSelector = map[string]string{"a b": ""}
		Expect(api.Update(ctx, fine)).To(MatchError(ContainSubstring("denied the request")))
	})

	It("leaves a resource elsewhere to the operator, which says why it is not served", func(ctx context.Context) {
		elsewhere := excluding("^lo$")
		elsewhere.Namespace = "default"
		Expect(api.Create(ctx, elsewhere)).To(Succeed())
		Expect(api.Delete(ctx, elsewhere)).To(Succeed())
	})
})

func TestOnlyNewProblemsOfAMetalLBAreRefused(t *testing.T) {
	bad, worse := selecting(map[string]string{"a b": ""}), selecting(map[string]string{"a b": "", "c d": ""})
	labelled := bad.DeepCopy()
	labelled.Labels = map[string]string{"note": "x"}
	tolerating := func(operators ...corev1.TolerationOperator) *v1beta1.MetalLB {
		var all []corev1.Toleration
		for _, o := range operators {
			all = append(all, corev1.Toleration{Key: "a", Operator: o})
		}
		return metallb(v1beta1.MetalLBSpec{SpeakerTolerations: all})
	}
	leaving := worse.DeepCopy()
	leaving.DeletionTimestamp = ptr.To(metav1.Now())
	for name, c := range map[string]struct {
		from, to *v1beta1.MetalLB
		allowed  bool
	}{
		"created":                       {nil, bad, false},
		"changed beside the problem":    {bad, labelled, true},
		"a second problem":              {bad, worse, false},
		"one of two problems is mended": {worse, bad, true},
		"an entry before it is removed": {tolerating("Exists", "Sometimes"), tolerating("Sometimes"), true},
		"an entry comes before it":      {tolerating("Sometimes"), tolerating("Exists", "Sometimes"), true},
		"the same problem once more":    {tolerating("Sometimes"), tolerating("Sometimes", "Sometimes"), false},
		"another one in its place":      {tolerating("Exists", "Sometimes"), tolerating("Never"), false},
		"on its way out":                {bad, leaving, true},
	} {
		request := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Name: "metallb", Object: rawOf(t, c.to)}}
		if c.from != nil {
			request.OldObject = rawOf(t, c.from)
		}
		if got := (installationValidator{}).Handle(t.Context(), request); got.Allowed != c.allowed {
			t.Errorf("%s: %+v", name, got.AdmissionResponse)
		}
	}
}

func TestAMetalLBThatCannotBeReadIsAllowedUnchecked(t *testing.T) {
	request := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Name: "metallb", Object: runtime.RawExtension{Raw: []byte(`{"spec":7}`)}}}
	got := installationValidator{}.Handle(t.Context(), request)
	if !got.Allowed || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], `MetalLB "metallb" was not checked: decoding a MetalLB`) {
		t.Errorf("%+v", got.AdmissionResponse)
	}
}

func rawOf(t *testing.T, m *v1beta1.MetalLB) runtime.RawExtension {
	t.Helper()
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return runtime.RawExtension{Raw: raw}
}
