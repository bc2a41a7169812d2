// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"slices"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
)

func TestForeignFields(t *testing.T) {
	ours := `{"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:name":{},"f:args":{}}}}}}}`
	for name, c := range map[string]struct {
		theirs, subresource string
		want                []string
	}{
		"nothing":           {`{}`, "", nil},
		"fields of ours":    {`{"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:args":{}}}}}}}`, "", nil},
		"a switch":          {`{"f:spec":{"f:paused":{}}}`, "", []string{"Deployment d: spec.paused (set by x)"}},
		"beside ours":       {`{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{"f:command":{}}}}}}}`, "", []string{"Deployment d: spec.template.spec.containers[name=c].command (set by x)"}},
		"a container":       {`{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"z\"}":{".":{},"f:image":{},"f:name":{}}}}}}}`, "", []string{"Deployment d: spec.template.spec.containers[name=z] (set by x)"}},
		"a value in a set":  {`{"f:spec":{"f:list":{"v:\"a\"":{}}}}`, "", []string{`Deployment d: spec.list["a"] (set by x)`}},
		"a restart":         {`{"f:spec":{"f:template":{"f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/restartedAt":{}}}}}}`, "", nil},
		"metadata":          {`{"f:metadata":{"f:annotations":{"f:a":{}}}}`, "", nil},
		"the status":        {`{"f:status":{"f:replicas":{}}}`, "status", nil},
		"the scale":         {`{"f:spec":{"f:paused":{}}}`, "scale", nil},
		"two, in one order": {`{"f:spec":{"f:paused":{},"f:minReadySeconds":{}}}`, "", []string{"Deployment d: spec.minReadySeconds (set by x)", "Deployment d: spec.paused (set by x)"}},
	} {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "d", ManagedFields: []metav1.ManagedFieldsEntry{
			{Manager: FieldOwner, FieldsV1: metav1.NewFieldsV1(ours)},
			{Manager: "x", Subresource: c.subresource, FieldsV1: metav1.NewFieldsV1(c.theirs)},
		}}}
		got, err := foreignFields("Deployment", d)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, error %v", name, got, err)
		}
	}
}

var _ = Describe("fields that somebody else sets in a workload", func() {
	It("are named with who set them, until they are gone", func(ctx context.Context) {
		h := newHouse(ctx)
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		h.allReady(ctx)
		h.reconcile(ctx, cr)
		Expect(meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionForeignFields)).To(BeNil())

		ds, d := h.speaker(ctx), h.deployment(ctx, controllerName)
		ds.Spec.Template.Spec.Containers[0].Command = []string{"/bin/false"}
		ds.Spec.Template.Spec.Containers = append(ds.Spec.Template.Spec.Containers, corev1.Container{Name: "guest", Image: "guest"})
		Expect(api.Update(ctx, ds, client.FieldOwner("hand"))).To(Succeed())
		d.Spec.Paused = true
		Expect(api.Update(ctx, d, client.FieldOwner("hand"))).To(Succeed())
		h.reconcile(ctx, cr)
		Expect(cr).To(haveCondition(v1beta1.ConditionForeignFields, yes, "ForeignFields"))
		Expect(meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionForeignFields).Message).To(And(
			ContainSubstring("Deployment controller: spec.paused (set by hand)"),
			ContainSubstring("DaemonSet speaker: spec.template.spec.containers[name=guest] (set by hand)"),
			ContainSubstring("DaemonSet speaker: spec.template.spec.containers[name=speaker].command (set by hand)")))

		ds, d = h.speaker(ctx), h.deployment(ctx, controllerName)
		ds.Spec.Template.Spec.Containers = ds.Spec.Template.Spec.Containers[:1]
		ds.Spec.Template.Spec.Containers[0].Command = nil
		Expect(api.Update(ctx, ds, client.FieldOwner("hand"))).To(Succeed())
		d.Spec.Paused = false
		Expect(api.Update(ctx, d, client.FieldOwner("hand"))).To(Succeed())
		h.reconcile(ctx, cr)
		Expect(meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionForeignFields)).To(BeNil())
	})
})
