// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/shipped"
)

// The manifests name this namespace, so this spec uses it, too.
const shippedNamespace = "metallb-system"

var _ = Describe("the operator under the roles it ships with", Serial, func() {
	It("wakes up for all that concerns it and may do all that it does", func(ctx context.Context) {
		Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: shippedNamespace}})).To(Succeed())
		grantShippedRoles(ctx, shippedNamespace)
		h := &house{namespace: shippedNamespace}
		early := configuring(strayKinds()[0], "default", "early")
		Expect(api.Create(ctx, early)).To(Succeed())
		h.start(ctx)

		By("installing when the resource appears")
		cr := h.resource(v1beta1.MetalLBSpec{})
		Expect(api.Create(ctx, cr)).To(Succeed())
		Eventually(h.exists(controllerName, &appsv1.Deployment{})).WithContext(ctx).Should(Succeed())
		Eventually(h.exists(speakerName, &appsv1.DaemonSet{})).WithContext(ctx).Should(Succeed())
		Eventually(h.exists(copierName, &appsv1.Deployment{})).WithContext(ctx).Should(Succeed())

		By("making the speakers' key again when somebody deletes it, with the former one beside it")
		first, second := h.gossipKey(), h.gossipKey()
		Eventually(h.exists(GossipSecret, first)).WithContext(ctx).Should(Succeed())
		Expect(api.Patch(ctx, first, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"a":"b"}}}`)))).To(Succeed())
		Expect(api.Delete(ctx, first)).To(Succeed())
		Eventually(h.exists(GossipSecret, second)).WithContext(ctx).Should(Succeed())
		Expect(second.Data[formerKeyEntry]).To(Equal(first.Data[gossipKeyEntry]))

		By("seeing the workloads become ready")
		h.allReady(ctx)
		Eventually(h.fetch(cr)).WithContext(ctx).Should(haveCondition(v1beta1.ConditionAvailable, yes, "AsExpected"))

		By("putting a status right that is not what was seen")
		wrong := client.RawPatch(types.MergePatchType, []byte(`{"status":{"conditions":[]}}`))
		Expect(api.Status().Patch(ctx, cr, wrong)).To(Succeed())
		Eventually(h.fetch(cr)).WithContext(ctx).Should(haveCondition(v1beta1.ConditionAvailable, yes, "AsExpected"))

		By("putting a deleted workload back")
		uid := h.speaker(ctx).UID
		Expect(api.Delete(ctx, h.speaker(ctx))).To(Succeed())
		Eventually(func(ctx context.Context) (string, error) {
			ds := &appsv1.DaemonSet{}
			err := api.Get(ctx, client.ObjectKey{Namespace: h.namespace, Name: speakerName}, ds)
			return string(ds.UID), err
		}).WithContext(ctx).ShouldNot(Or(BeEmpty(), Equal(string(uid))))

		By("removing the copier when it is switched off")
		off := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"endpointCopier":{"enabled":false}}}`))
		Expect(api.Patch(ctx, cr, off)).To(Succeed())
		Eventually(h.exists(copierName, &appsv1.Deployment{})).WithContext(ctx).ShouldNot(Succeed())

		By("telling a resource in the wrong place")
		stray := &v1beta1.MetalLB{ObjectMeta: metav1.ObjectMeta{Name: "metallb", Namespace: "default"}}
		Expect(api.Create(ctx, stray)).To(Succeed())
		Eventually(h.fetch(stray)).WithContext(ctx).Should(haveCondition(v1beta1.ConditionDegraded, yes, "IncorrectMetalLBResourceNamespace"))
		Eventually(func(ctx context.Context) ([]corev1.Event, error) {
			var list corev1.EventList
			err := api.List(ctx, &list, client.InNamespace("default"), client.MatchingFields{"reason": "IncorrectMetalLBResourceNamespace"})
			return list.Items, err
		}).WithContext(ctx).ShouldNot(BeEmpty())

		By("telling what configures nothing since it is elsewhere, and came before the operator did")
		Eventually(h.fetch(cr)).WithContext(ctx).Should(And(
			haveCondition(v1beta1.ConditionStrayObjects, yes, "IncorrectNamespace"), haveStrays("BFDProfile default/early")))
		Eventually(told(early)).WithContext(ctx).Should(Equal(1))

		By("telling each kind once")
		var strays []client.Object
		for _, kind := range strayKinds()[1:] {
			strays = append(strays, configuring(kind, "default", "late"))
			Expect(api.Create(ctx, configuring(kind, h.namespace, "right"))).To(Succeed())
			Expect(api.Create(ctx, strays[len(strays)-1])).To(Succeed())
		}
		for _, o := range strays {
			Eventually(told(o)).WithContext(ctx).Should(Equal(1))
		}
		Eventually(h.fetch(cr)).WithContext(ctx).Should(haveStrays("BFDProfile default/early, BGPAdvertisement default/late, BGPPeer default/late, and 4 more"))
		Expect(api.Patch(ctx, early, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`)))).To(Succeed())

		By("saying no more once they are gone")
		for _, o := range append(strays, early) {
			Expect(api.Delete(ctx, o)).To(Succeed())
		}
		Eventually(h.fetch(cr)).WithContext(ctx).Should(haveStrays(""))
		Expect(told(early)(ctx)).To(Equal(1))
	}, SpecTimeout(time.Minute))
})

// configuring is an object of a kind that configures the suite.
func configuring(kind schema.GroupVersionKind, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
	switch kind.Kind {
	case "IPAddressPool":
		o.Object["spec"] = map[string]any{"addresses": []any{"198.18.2.0/24"}}
	case "IPReservation":
		o.Object["spec"] = map[string]any{"addresses": []any{"198.18.2.1"}}
	case "BGPPeer":
		o.Object["spec"] = map[string]any{"myASN": int64(64512), "peerASN": int64(64513), "peerAddress": "198.18.255.1"}
	}
	o.SetGroupVersionKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

// told counts how often an object was told to be in the wrong place.
func told(o client.Object) func(context.Context) (int, error) {
	return func(ctx context.Context) (n int, err error) {
		var list eventsv1.EventList
		err = api.List(ctx, &list, client.InNamespace(o.GetNamespace()))
		for _, e := range list.Items {
			if e.Regarding.UID != o.GetUID() || e.Reason != "IncorrectNamespace" || e.Type != corev1.EventTypeWarning {
				continue
			}
			n++
			if e.Series != nil {
				n += int(e.Series.Count)
			}
		}
		return n, err
	}
}

// haveStrays matches a resource whose status names these objects.
func haveStrays(names string) OmegaMatcher {
	return WithTransform(func(cr *v1beta1.MetalLB) string {
		c := meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionStrayObjects)
		if c == nil {
			return ""
		}
		text := strings.TrimPrefix(c.Message, "outside namespace "+shippedNamespace+", where nothing uses them: ")
		return strings.TrimSuffix(text, ". "+reason.StrayObject.Text().Fix)
	}, Equal(names))
}

// start runs the manager as the operator's service account until the spec ends.
func (h *house) start(ctx context.Context) {
	as := rest.CopyConfig(config)
	as.Impersonate.UserName = operatorAccount
	mgr, err := ctrl.NewManager(as, ctrl.Options{
		Scheme:  testScheme(),
		Cache:   CacheOptions(h.namespace),
		Metrics: metricsserver.Options{BindAddress: "0"},
		Logger:  GinkgoLogr,
	})
	Expect(err).NotTo(HaveOccurred())
	options := testOptions()
	options.Namespace = h.namespace
	reconciler := &Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder(FieldOwner), Options: options, Now: time.Now,
		Strays: NewStrays(mgr.GetCache(), mgr.GetEventRecorder(FieldOwner), h.namespace, GinkgoLogr),
	}
	Expect(reconciler.SetupWithManager(mgr)).To(Succeed())
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(running) }()
	DeferCleanup(func() {
		stop()
		Eventually(ended, "20s").Should(Receive(BeNil()))
	})
}

func (h *house) exists(name string, into client.Object) func(context.Context) error {
	return func(ctx context.Context) error {
		return api.Get(ctx, client.ObjectKey{Namespace: h.namespace, Name: name}, into)
	}
}

func (h *house) fetch(cr *v1beta1.MetalLB) func(context.Context) (*v1beta1.MetalLB, error) {
	return func(ctx context.Context) (*v1beta1.MetalLB, error) {
		return cr, api.Get(ctx, client.ObjectKeyFromObject(cr), cr)
	}
}

// grantShippedRoles creates the operator's roles and bindings as config/rbac ships them, those of a namespace in this one, and waits until
// the API server knows them.
func grantShippedRoles(ctx context.Context, namespace string) {
	GinkgoHelper()
	objects, err := shipped.Objects("rbac/operator/role.yaml", "rbac/operator/role_binding.yaml")
	Expect(err).NotTo(HaveOccurred())
	for _, o := range objects {
		if o.GetNamespace() != "" {
			o.SetNamespace(namespace)
		}
		Expect(client.IgnoreAlreadyExists(api.Create(ctx, o))).To(Succeed())
	}
	Eventually(mayAll).WithContext(ctx).WithArguments(
		authorizationv1.ResourceAttributes{Verb: "patch", Group: "metallb.io", Resource: "metallbs", Subresource: "status", Namespace: namespace},
		authorizationv1.ResourceAttributes{Verb: "create", Resource: "secrets", Namespace: namespace},
	).WithTimeout(20 * time.Second).Should(BeTrue())
}

// mayAll reports whether the operator's account may do all of this.
func mayAll(ctx context.Context, all ...authorizationv1.ResourceAttributes) (bool, error) {
	for i := range all {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: operatorAccount, ResourceAttributes: &all[i]}}
		if err := api.Create(ctx, review); err != nil || !review.Status.Allowed {
			return false, err
		}
	}
	return true, nil
}
