// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"encoding/base64"
	"errors"
	"reflect"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"metalsuite.io/api/v1beta1"
)

func TestKeyOwners(t *testing.T) {
	cr := &v1beta1.MetalLB{ObjectMeta: metav1.ObjectMeta{Name: ResourceName, UID: "now"}}
	deployment := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "controller", UID: "d"}
	former := metav1.OwnerReference{APIVersion: "metallb.io/v1beta1", Kind: "MetalLB", Name: ResourceName, UID: "before"}
	other := metav1.OwnerReference{APIVersion: "example.org/v1", Kind: "Vault", Name: "v", UID: "v"}
	ours := ownerReference(cr)
	type list = []metav1.OwnerReference
	for name, c := range map[string]struct {
		have, want list
	}{
		"the user's own":             {nil, nil},
		"another operator's":         {list{other}, list{other}},
		"ours":                       {list{ours}, list{ours}},
		"the controller's":           {list{deployment}, list{ours}},
		"a former resource's":        {list{former}, list{ours}},
		"ours and the controller's":  {list{deployment, ours}, list{ours}},
		"another's and controller's": {list{other, deployment}, list{other, ours}},
	} {
		got, changed := keyOwners(c.have, cr)
		if !reflect.DeepEqual(got, c.want) || changed != !reflect.DeepEqual(c.have, c.want) {
			t.Errorf("%s: got %v, changed %t", name, got, changed)
		}
	}
}

var _ = Describe("the key of the speakers' membership", func() {
	var h *house
	BeforeEach(func(ctx context.Context) { h = newHouse(ctx) })

	secret := func(ctx context.Context) *corev1.Secret {
		GinkgoHelper()
		s := h.gossipKey()
		Expect(api.Get(ctx, client.ObjectKeyFromObject(s), s)).To(Succeed())
		return s
	}

	It("is made once, belongs to the resource, and outlives the Deployment controller", func(ctx context.Context) {
		cr := h.resource(v1beta1.MetalLBSpec{})
		Expect(api.Create(ctx, cr)).To(Succeed())
		h.reconcile(ctx, cr)
		made := secret(ctx)
		key, err := base64.StdEncoding.DecodeString(string(made.Data[gossipKeyEntry]))
		Expect(err).NotTo(HaveOccurred())
		Expect(key).To(HaveLen(32))
		Expect(made.OwnerReferences).To(ConsistOf(HaveField("UID", cr.UID)))

		Expect(api.Delete(ctx, h.deployment(ctx, controllerName))).To(Succeed())
		h.reconcile(ctx, cr)
		h.deployment(ctx, controllerName)
		Expect(secret(ctx).ResourceVersion).To(Equal(made.ResourceVersion))
	})

	It("is taken over from the Deployment that owned it, unchanged", func(ctx context.Context) {
		before := h.gossipKey()
		before.Data = map[string][]byte{gossipKeyEntry: []byte("MDEyMzQ1Njc4OWFiY2RlZg==")}
		before.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: controllerName, UID: "former"}}
		Expect(api.Create(ctx, before)).To(Succeed())
		cr := h.resource(v1beta1.MetalLBSpec{})
		Expect(api.Create(ctx, cr)).To(Succeed())
		h.reconcile(ctx, cr)
		after := secret(ctx)
		Expect(after.UID).To(Equal(before.UID))
		Expect(after.Data).To(Equal(before.Data))
		Expect(after.OwnerReferences).To(ConsistOf(And(HaveField("Kind", "MetalLB"), HaveField("UID", cr.UID))))
	})

	It("could not be taken over without the right to delete it, which the API server of these specs checks", func(ctx context.Context) {
		other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "metallb-webhook-cert", Namespace: h.namespace}}
		Expect(api.Create(ctx, other)).To(Succeed())
		cr := h.resource(v1beta1.MetalLBSpec{})
		Expect(api.Create(ctx, cr)).To(Succeed())
		other.OwnerReferences = []metav1.OwnerReference{ownerReference(cr)}
		Expect(asOperator.Update(ctx, other)).To(MatchError(ContainSubstring("cannot set an ownerRef on a resource you can't delete")))
	})

	It("keeps no speaker back when only its owner cannot be changed, and says why", func(ctx context.Context) {
		before := h.gossipKey()
		before.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: controllerName, UID: "former"}}
		Expect(api.Create(ctx, before)).To(Succeed())
		cr := h.resource(v1beta1.MetalLBSpec{})
		Expect(api.Create(ctx, cr)).To(Succeed())
		h.reconciler.Client = interceptor.NewClient(viaManager, interceptor.Funcs{
			Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
				return apierrors.NewForbidden(corev1.Resource("secrets"), GossipSecret, errors.New("no right"))
			},
		})
		h.fail(ctx, cr, "making the resource the owner of secret memberlist")
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, yes, "ApplyFailed"))
		Expect(meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionDegraded).Message).To(
			HavePrefix("making the resource the owner of secret memberlist: secrets \"memberlist\" is forbidden: no right"))
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, no, "RollingOut"))
		h.speaker(ctx)
	})

	It("is not missed when its content cannot be read, and the resource says why", func(ctx context.Context) {
		Expect(api.Create(ctx, h.gossipKey())).To(Succeed())
		cr := h.resource(v1beta1.MetalLBSpec{})
		Expect(api.Create(ctx, cr)).To(Succeed())
		h.reconciler.Live = interceptor.NewClient(asOperator, interceptor.Funcs{
			Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
				return apierrors.NewTooManyRequestsError("later")
			},
		})
		h.fail(ctx, cr, "reading secret memberlist")
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, yes, "ApplyFailed"))
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, no, "RollingOut"))
		h.speaker(ctx)
	})

	It("stays the user's when the user made it", func(ctx context.Context) {
		h.install(ctx, v1beta1.MetalLBSpec{})
		Expect(secret(ctx).OwnerReferences).To(BeEmpty())
	})

	It("has the former key beside it when it is made again", func(ctx context.Context) {
		cr := h.resource(v1beta1.MetalLBSpec{})
		Expect(api.Create(ctx, cr)).To(Succeed())
		h.reconcile(ctx, cr)
		h.reconcile(ctx, cr)
		former := secret(ctx)
		Expect(former.Data).NotTo(HaveKey(formerKeyEntry))
		Expect(api.Delete(ctx, former)).To(Succeed())
		h.reconcile(ctx, cr)
		again := secret(ctx)
		Expect(again.Data[formerKeyEntry]).To(Equal(former.Data[gossipKeyEntry]))
		Expect(again.Data[gossipKeyEntry]).NotTo(Equal(former.Data[gossipKeyEntry]))
	})
})
