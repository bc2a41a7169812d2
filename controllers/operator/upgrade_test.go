// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/shipped"
)

// otherWorkload is what manifests of the same API make: the same name, other labels.
func otherWorkload(component string) (metav1.ObjectMeta, *metav1.LabelSelector, corev1.PodTemplateSpec) {
	labels := map[string]string{"app": "metallb", "component": component}
	pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}
	pod.Spec.Containers = []corev1.Container{{Name: component, Image: "other"}}
	return metav1.ObjectMeta{Name: component, Labels: labels}, &metav1.LabelSelector{MatchLabels: labels}, pod
}

var _ = Describe("over an installation of other manifests of the same API", func() {
	It("names the command for each workload in the way, keeps the key, and installs once they are gone", func(ctx context.Context) {
		h := newHouse(ctx)
		d, ds := &appsv1.Deployment{}, &appsv1.DaemonSet{}
		d.ObjectMeta, d.Spec.Selector, d.Spec.Template = otherWorkload(controllerName)
		ds.ObjectMeta, ds.Spec.Selector, ds.Spec.Template = otherWorkload(speakerName)
		d.Namespace, ds.Namespace = h.namespace, h.namespace
		Expect(api.Create(ctx, d)).To(Succeed())
		Expect(api.Create(ctx, ds)).To(Succeed())
		key := h.gossipKey()
		key.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: d.Name, UID: d.UID}}
		Expect(api.Create(ctx, key)).To(Succeed())

		cr := h.resource(v1beta1.MetalLBSpec{})
		Expect(api.Create(ctx, cr)).To(Succeed())
		h.fail(ctx, cr, "SelectorDiffers")
		Expect(cr).To(haveCondition(v1beta1.ConditionControllerAvailable, no, "SelectorDiffers"))
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, no, "SelectorDiffers"))
		Expect(meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionDegraded).Message).To(And(
			ContainSubstring("app=metallb,component=controller"),
			ContainSubstring("run: kubectl delete deployment -n "+h.namespace+" controller"),
			ContainSubstring("run: kubectl delete daemonset -n "+h.namespace+" speaker")))
		Expect(api.Get(ctx, client.ObjectKeyFromObject(key), key)).To(Succeed())
		Expect(key.OwnerReferences).To(ConsistOf(HaveField("UID", cr.UID)), "so deleting the Deployment leaves the key")

		Expect(api.Delete(ctx, d)).To(Succeed())
		Expect(api.Delete(ctx, ds)).To(Succeed())
		h.reconcile(ctx, cr)
		Expect(metav1.IsControlledBy(h.speaker(ctx), cr)).To(BeTrue())
		Expect(metav1.IsControlledBy(h.deployment(ctx, controllerName), cr)).To(BeTrue())
	})
})

var _ = Describe("the resource definition of BGPPeer", Serial, func() {
	It("ends the conversion by a webhook of an earlier installation", func(ctx context.Context) {
		apply := func(definition *unstructured.Unstructured) error {
			return api.Apply(ctx, client.ApplyConfigurationFromUnstructured(definition.DeepCopy()), client.FieldOwner("kubectl"), client.ForceOwnership)
		}
		conversion := func() map[string]any {
			live := definitionOfBGPPeer()
			Expect(api.Get(ctx, client.ObjectKeyFromObject(live), live)).To(Succeed())
			found, _, err := unstructured.NestedMap(live.Object, "spec", "conversion")
			Expect(err).NotTo(HaveOccurred())
			return found
		}
		ours, earlier := definitionOfBGPPeer(), definitionOfBGPPeer()
		service := map[string]any{"namespace": "metallb-system", "name": "metallb-webhook-service", "path": "/convert"}
		Expect(unstructured.SetNestedMap(earlier.Object, map[string]any{
			"strategy": "Webhook",
			"webhook":  map[string]any{"conversionReviewVersions": []any{"v1beta1", "v1beta2"}, "clientConfig": map[string]any{"service": service}},
		}, "spec", "conversion")).To(Succeed())
		Expect(apply(earlier)).To(Succeed())
		Expect(conversion()).To(HaveKeyWithValue("strategy", "Webhook"))
		Expect(apply(ours)).To(Succeed())
		Expect(conversion()).To(Equal(map[string]any{"strategy": "None"}))

		By("the command of the documentation, where a program has put its CA into it")
		Expect(apply(earlier)).To(Succeed())
		live := definitionOfBGPPeer()
		Expect(api.Get(ctx, client.ObjectKeyFromObject(live), live)).To(Succeed())
		Expect(unstructured.SetNestedField(live.Object, base64.StdEncoding.EncodeToString(config.CAData), "spec", "conversion", "webhook", "clientConfig", "caBundle")).To(Succeed())
		Expect(api.Update(ctx, live, client.FieldOwner("rotator"))).To(Succeed())
		Expect(apply(ours)).To(MatchError(ContainSubstring("spec.conversion")), "server-side apply removes no field of another")
		Expect(api.Patch(ctx, definitionOfBGPPeer(), client.RawPatch(types.JSONPatchType, documentedPatch()))).To(Succeed())
		Expect(apply(ours)).To(Succeed())
		Expect(conversion()).To(Equal(map[string]any{"strategy": "None"}))
	})
})

func definitionOfBGPPeer() *unstructured.Unstructured {
	GinkgoHelper()
	definitions, err := shipped.Objects(shipped.CRDs + "/metallb.io_bgppeers.yaml")
	Expect(err).NotTo(HaveOccurred())
	Expect(definitions).To(HaveLen(1))
	return definitions[0]
}

// documentedPatch is the patch of "kubectl patch crd" in docs/install.md.
func documentedPatch() []byte {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "install.md"))
	Expect(err).NotTo(HaveOccurred())
	found := regexp.MustCompile(`kubectl patch crd bgppeers.metallb.io --type=json -p '(.*)'`).FindSubmatch(text)
	Expect(found).To(HaveLen(2))
	return found[1]
}
