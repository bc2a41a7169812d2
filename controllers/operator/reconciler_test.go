// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"metalsuite.io/api/v1beta1"
)

const (
	yes = metav1.ConditionTrue
	no  = metav1.ConditionFalse
)

var _ = Describe("a MetalLB resource", func() {
	var h *house
	BeforeEach(func(ctx context.Context) { h = newHouse(ctx) })

	It("installs three workloads that it owns", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		for _, object := range []client.Object{h.deployment(ctx, controllerName), h.speaker(ctx), h.deployment(ctx, copierName)} {
			Expect(metav1.IsControlledBy(object, cr)).To(BeTrue(), object.GetName())
			Expect(object.GetLabels()).To(HaveKeyWithValue(labelManagedBy, FieldOwner), object.GetName())
		}
		Expect(cr).To(haveCondition(v1beta1.ConditionAvailable, no, "RollingOut"))
		Expect(cr).To(haveCondition(v1beta1.ConditionProgressing, yes, "RollingOut"))
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, no, "AsExpected"))
	})

	It("is available once its workloads are, and says when one is not", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		h.allReady(ctx)
		h.reconcile(ctx, cr)
		for _, kind := range []string{
			v1beta1.ConditionAvailable, v1beta1.ConditionUpgradeable, v1beta1.ConditionControllerAvailable,
			v1beta1.ConditionSpeakerAvailable, v1beta1.ConditionEndpointCopierAvailable,
		} {
			Expect(cr).To(haveCondition(kind, yes, "AsExpected"), kind)
		}
		Expect(cr).To(haveCondition(v1beta1.ConditionProgressing, no, "AsExpected"))
		Expect(h.events.Events).To(Receive(ContainSubstring("Normal Available")))

		h.speakers(ctx, 2, 3)
		h.reconcile(ctx, cr)
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, no, "OperandNotReady"))
		Expect(cr).To(haveCondition(v1beta1.ConditionControllerAvailable, yes, "AsExpected"))
		Expect(meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionAvailable).Message).To(ContainSubstring("speaker: 2 of 3"))
	})

	It("is degraded when a component does not come up in time", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		Expect(h.reconcile(ctx, cr).RequeueAfter).To(BeNumerically("~", patience, 30*time.Second))
		h.elapsed = patience + time.Minute
		h.reconcile(ctx, cr)
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, yes, "RollingOut"))
		Expect(h.events.Events).To(Receive(ContainSubstring("Warning RollingOut")))
	})

	It("creates no workload again for a resource that is gone, though the cache still has it", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		Expect(api.Delete(ctx, h.speaker(ctx))).To(Succeed()) // as the garbage collector does
		Expect(api.Delete(ctx, cr.DeepCopy())).To(Succeed())
		h.reconciler.Client = remembering(viaManager, cr)
		_, err := h.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(cr)})
		Expect(err).NotTo(HaveOccurred())
		err = api.Get(ctx, client.ObjectKey{Namespace: h.namespace, Name: speakerName}, &appsv1.DaemonSet{})
		Expect(apierrors.IsNotFound(err)).To(BeTrue())
	})

	It("creates no workload in place of one that only the cache still has", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		stale := h.speaker(ctx)
		Expect(api.Delete(ctx, stale.DeepCopy())).To(Succeed())
		cr.Spec.LogLevel = v1beta1.LogLevelDebug
		Expect(api.Update(ctx, cr)).To(Succeed())
		fresh := h.reconciler.Client
		h.reconciler.Client = remembering(viaManager, stale)
		h.fail(ctx, cr, "applying speaker")
		err := api.Get(ctx, client.ObjectKeyFromObject(stale), &appsv1.DaemonSet{})
		Expect(apierrors.IsNotFound(err)).To(BeTrue())

		By("creating it once the cache shows that it is gone")
		h.reconciler.Client = fresh
		h.reconcile(ctx, cr)
		Expect(h.speaker(ctx).Spec.Template.Spec.Containers[0].Args).To(ContainElement("--log-level=debug"))
	})

	It("reports a workload that it must not create yet, and keeps up the others", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		h.allReady(ctx)
		h.reconcile(ctx, cr)
		Expect(cr).To(haveCondition(v1beta1.ConditionAvailable, yes, "AsExpected"))
		Expect(api.Delete(ctx, h.speaker(ctx))).To(Succeed())
		cr.Spec.LogLevel = v1beta1.LogLevelDebug
		Expect(api.Update(ctx, cr)).To(Succeed())
		h.reconciler.Live = interceptor.NewClient(asOperator, interceptor.Funcs{
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				if _, resources := list.(*v1beta1.MetalLBList); resources {
					return errors.New("too many requests")
				}
				return c.List(ctx, list, opts...)
			},
		})
		h.fail(ctx, cr, "reading the MetalLB resource again: too many requests")
		for _, kind := range []string{v1beta1.ConditionAvailable, v1beta1.ConditionSpeakerAvailable} {
			Expect(cr).To(haveCondition(kind, no, "ApplyFailed"))
		}
		Expect(cr).To(haveCondition(v1beta1.ConditionControllerAvailable, yes, "RollingOut"))
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, yes, "ApplyFailed"))
		Expect(h.deployment(ctx, controllerName).Spec.Template.Spec.Containers[0].Args).To(ContainElement("--log-level=debug"))
	})

	It("holds the speakers back until the key of their membership exists", func(ctx context.Context) {
		cr := h.resource(v1beta1.MetalLBSpec{})
		Expect(api.Create(ctx, cr)).To(Succeed())
		allowed := h.reconciler.Client
		h.reconciler.Client = refusingSecrets(viaManager)
		h.fail(ctx, cr, "creating secret memberlist")
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, no, "GossipKeyMissing"))
		Expect(meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionSpeakerAvailable).Message).To(HavePrefix("creating secret memberlist: "))
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, yes, "GossipKeyMissing"))
		Expect(h.deployment(ctx, controllerName)).NotTo(BeNil())
		err := api.Get(ctx, client.ObjectKey{Namespace: h.namespace, Name: speakerName}, &appsv1.DaemonSet{})
		Expect(apierrors.IsNotFound(err)).To(BeTrue())

		h.reconciler.Client = allowed
		h.reconcile(ctx, cr)
		Expect(h.speaker(ctx).Spec.Template.Spec.Volumes[0].Secret.SecretName).To(Equal(GossipSecret))

		By("keeping up speakers that exist, Secret or not")
		Expect(api.Delete(ctx, h.gossipKey())).To(Succeed())
		cr.Spec.LogLevel = v1beta1.LogLevelDebug
		Expect(api.Update(ctx, cr)).To(Succeed())
		h.reconciler.Client = refusingSecrets(viaManager)
		h.fail(ctx, cr, "creating secret memberlist")
		Expect(h.speaker(ctx).Spec.Template.Spec.Containers[0].Args).To(ContainElement("--log-level=debug"))

		By("naming the Secret when one of them does not come up, and only then")
		h.speakers(ctx, 3, 3)
		h.fail(ctx, cr, "creating secret memberlist")
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, yes, "AsExpected"))
		h.speakers(ctx, 2, 3)
		h.fail(ctx, cr, "creating secret memberlist")
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, no, "GossipKeyMissing"))
	})

	It("writes nothing when nothing changed", func(ctx context.Context) {
		cr := h.install(ctx, everything())
		h.allReady(ctx)
		h.reconcile(ctx, cr)
		before := h.versions(ctx, cr)
		h.writes.Store(0)
		for range 3 {
			h.reconcile(ctx, cr)
		}
		Expect(h.writes.Load()).To(BeZero())
		Expect(h.versions(ctx, cr)).To(Equal(before))
	})

	It("runs as many controllers as asked for, and one again", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{ControllerReplicas: ptr[int32](3)})
		d := h.deployment(ctx, controllerName)
		Expect(*d.Spec.Replicas).To(BeEquivalentTo(3))
		Expect(d.Spec.Template.Spec.Affinity.PodAntiAffinity).NotTo(BeNil())

		cr.Spec.ControllerReplicas = nil
		Expect(api.Update(ctx, cr)).To(Succeed())
		h.reconcile(ctx, cr)
		d = h.deployment(ctx, controllerName)
		Expect(*d.Spec.Replicas).To(BeEquivalentTo(1))
		Expect(d.Spec.Template.Spec.Affinity).To(BeNil())

		By("taking over a Deployment of an older version, which replaced its pod by ending it first")
		d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
		Expect(api.Update(ctx, d)).To(Succeed())
		h.reconcile(ctx, cr)
		Expect(h.deployment(ctx, controllerName).Spec.Strategy.Type).To(Equal(appsv1.RollingUpdateDeploymentStrategyType))
	})

	It("does not judge by a status that is out of date", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		old := cr.DeepCopy()
		h.allReady(ctx)
		h.reconcile(ctx, cr)
		h.reconciler.Client = remembering(counting(viaManager, h.writes), old)
		h.speakers(ctx, 2, 3)
		result := h.reconcile(ctx, cr)
		Expect(cr).To(haveCondition(v1beta1.ConditionAvailable, yes, "AsExpected"), "the status that was not seen stays")
		Expect(result.RequeueAfter).To(And(BeNumerically(">", 0), BeNumerically("<=", time.Second)))
	})

	It("repairs what others changed or deleted", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		d := h.deployment(ctx, controllerName)
		d.Spec.Replicas = ptr[int32](0)
		d.Spec.Template.Spec.Containers[0].Args = []string{"controller", "--log-level=none"}
		d.OwnerReferences = nil
		Expect(api.Update(ctx, d)).To(Succeed())
		ds := h.speaker(ctx)
		ds.Spec.Template.Spec.Containers[0].Image = "elsewhere"
		Expect(api.Update(ctx, ds)).To(Succeed())
		Expect(api.Delete(ctx, h.deployment(ctx, copierName))).To(Succeed())

		h.reconcile(ctx, cr)
		d = h.deployment(ctx, controllerName)
		Expect(*d.Spec.Replicas).To(BeEquivalentTo(1))
		Expect(d.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--log-level=info"))
		Expect(metav1.IsControlledBy(d, cr)).To(BeTrue())
		Expect(h.speaker(ctx).Spec.Template.Spec.Containers[0].Image).To(Equal(h.reconciler.Options.Image))
		h.deployment(ctx, copierName)
	})

	It("takes back what the resource no longer says", func(ctx context.Context) {
		cr := h.install(ctx, everything())
		Expect(h.speaker(ctx).Spec.Template.Spec.NodeSelector).To(HaveKey("announce"))
		cr.Spec = v1beta1.MetalLBSpec{}
		Expect(api.Update(ctx, cr)).To(Succeed())
		h.reconcile(ctx, cr)
		pod := h.speaker(ctx).Spec.Template
		Expect(pod.Spec.NodeSelector).NotTo(HaveKey("announce"))
		Expect(pod.Annotations).To(BeEmpty())
		Expect(pod.Spec.Containers[0].Args).NotTo(ContainElement(HavePrefix("--lb-class")))
	})

	It("removes the endpoint copier when it is switched off, and only that", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		foreign := h.deployment(ctx, copierName).DeepCopy()
		foreign.ObjectMeta = metav1.ObjectMeta{Name: "foreign", Namespace: h.namespace, Labels: foreign.Labels}
		Expect(api.Create(ctx, foreign)).To(Succeed())

		cr.Spec.EndpointCopier = &v1beta1.EndpointCopier{Enabled: ptr(false)}
		Expect(api.Update(ctx, cr)).To(Succeed())
		h.reconcile(ctx, cr)
		err := api.Get(ctx, client.ObjectKey{Namespace: h.namespace, Name: copierName}, &appsv1.Deployment{})
		Expect(apierrors.IsNotFound(err)).To(BeTrue())
		h.deployment(ctx, "foreign")
		h.deployment(ctx, controllerName)
		Expect(cr).To(haveCondition(v1beta1.ConditionEndpointCopierAvailable, yes, "ComponentDisabled"))

		h.ready(ctx, controllerName)
		h.speakers(ctx, 3, 3)
		h.reconcile(ctx, cr)
		Expect(cr).To(haveCondition(v1beta1.ConditionAvailable, yes, "AsExpected"))
	})

	It("reports an unknown announcer and runs the known ones", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{Announcers: []v1beta1.Announcer{{Name: "carrier-pigeon"}, {Name: "l2"}}})
		h.allReady(ctx)
		h.reconcile(ctx, cr)
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, yes, "UnknownAnnouncer"))
		Expect(cr).To(haveCondition(v1beta1.ConditionAvailable, yes, "AsExpected"))
		message := meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionDegraded).Message
		Expect(message).To(And(ContainSubstring("carrier-pigeon"), ContainSubstring("l2, bgp")))
		Expect(h.speaker(ctx).Spec.Template.Spec.Containers[0].Args).To(ContainElement("--announcers=l2"))
	})

	It("tells an empty list of announcers from none", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{Announcers: []v1beta1.Announcer{}})
		Expect(h.speaker(ctx).Spec.Template.Spec.Containers[0].Args).To(ContainElement("--announcers="))
		cr.Spec.Announcers = nil
		Expect(api.Update(ctx, cr)).To(Succeed())
		h.reconcile(ctx, cr)
		Expect(h.speaker(ctx).Spec.Template.Spec.Containers[0].Args).NotTo(ContainElement(HavePrefix("--announcers")))
	})

	It("says that the native backend serves an old bgpBackend", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{BGPBackend: v1beta1.BGPBackendFRR})
		Expect(cr).To(haveCondition(v1beta1.ConditionNativeBackend, yes, "NativeBackendServes"))
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, no, "AsExpected"))
	})

	It("keeps transition times until a status changes", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		old := metav1.NewTime(time.Now().Add(-time.Minute).Truncate(time.Second))
		for i := range cr.Status.Conditions {
			cr.Status.Conditions[i].LastTransitionTime = old
		}
		Expect(api.Status().Update(ctx, cr)).To(Succeed())

		h.ready(ctx, controllerName)
		h.reconcile(ctx, cr)
		moved := meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionControllerAvailable)
		Expect(moved.LastTransitionTime.Time).To(BeTemporally(">", old.Time))
		still := meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionSpeakerAvailable)
		Expect(still.LastTransitionTime.Time).To(BeTemporally("==", old.Time))
	})

	It("reports pods that Kubernetes refuses", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		h.speakers(ctx, 0, 3)
		Expect(api.Create(ctx, refusal(h.speaker(ctx)))).To(Succeed())
		result := h.reconcile(ctx, cr)
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, no, "PodsRefused"))
		Expect(meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionSpeakerAvailable).Message).To(ContainSubstring("violates PodSecurity"))
		Expect(result.RequeueAfter).To(And(BeNumerically(">", 0), BeNumerically("<=", lookAgain)))
	})

	It("does not report a refusal that is over", func(ctx context.Context) {
		cr := h.install(ctx, v1beta1.MetalLBSpec{})
		h.speakers(ctx, 2, 3)
		over := refusal(h.speaker(ctx))
		over.LastTimestamp = metav1.NewTime(time.Now().Add(-time.Minute))
		Expect(api.Create(ctx, over)).To(Succeed())
		created := refusal(h.speaker(ctx))
		created.Type, created.Reason, created.Message = corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: speaker-1"
		Expect(api.Create(ctx, created)).To(Succeed())
		h.reconcile(ctx, cr)
		Expect(cr).To(haveCondition(v1beta1.ConditionSpeakerAvailable, no, "OperandNotReady"))
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, no, "AsExpected"))

		By("reporting one that came later")
		later := refusal(h.speaker(ctx))
		later.LastTimestamp = metav1.NewTime(time.Now().Add(time.Minute))
		Expect(api.Create(ctx, later)).To(Succeed())
		h.reconcile(ctx, cr)
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, yes, "PodsRefused"))
	})

	It("says which workload is in the way, and goes on with the rest", func(ctx context.Context) {
		occupied := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: controllerName, Namespace: h.namespace}}
		occupied.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "other"}}
		occupied.Spec.Template.Labels = map[string]string{"app": "other"}
		occupied.Spec.Template.Spec.Containers = []corev1.Container{{Name: "other", Image: "other"}}
		Expect(api.Create(ctx, occupied)).To(Succeed())
		cr := h.resource(v1beta1.MetalLBSpec{})
		Expect(api.Create(ctx, h.gossipKey())).To(Succeed())
		Expect(api.Create(ctx, cr)).To(Succeed())

		h.fail(ctx, cr, "kubectl delete deployment")
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, yes, "SelectorDiffers"))
		Expect(cr).To(haveCondition(v1beta1.ConditionControllerAvailable, no, "SelectorDiffers"))
		h.speaker(ctx)
		h.deployment(ctx, copierName)
	})

	It("returns what the API server refuses, says it, and goes on with the rest", func(ctx context.Context) {
		h.reconciler.Options.Image = ""
		cr := h.resource(v1beta1.MetalLBSpec{})
		Expect(api.Create(ctx, cr)).To(Succeed())
		h.fail(ctx, cr, "applying controller")
		Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, yes, "ApplyFailed"))
		Expect(cr).To(haveCondition(v1beta1.ConditionControllerAvailable, no, "ApplyFailed"))
		Expect(meta.FindStatusCondition(cr.Status.Conditions, v1beta1.ConditionDegraded).Message).To(ContainSubstring("applying endpoint-copier"))
	})

	It("is refused under another name", func(ctx context.Context) {
		cr := h.resource(v1beta1.MetalLBSpec{})
		cr.Name = "other"
		Expect(api.Create(ctx, cr)).To(Succeed())
		h.expectRefusal(ctx, cr, "IncorrectMetalLBResourceName")
	})

	It("is refused in another namespace", func(ctx context.Context) {
		elsewhere := newHouse(ctx)
		cr := elsewhere.resource(v1beta1.MetalLBSpec{})
		Expect(api.Create(ctx, cr)).To(Succeed())
		h.expectRefusal(ctx, cr, "IncorrectMetalLBResourceNamespace")
	})

	It("is left alone when it is gone or being deleted", func(ctx context.Context) {
		cr := h.resource(v1beta1.MetalLBSpec{})
		cr.Finalizers = []string{"test.metallb.io/keep"}
		Expect(api.Create(ctx, cr)).To(Succeed())
		Expect(api.Delete(ctx, cr)).To(Succeed())
		request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(cr)}
		Expect(h.reconciler.Reconcile(ctx, request)).To(Equal(ctrl.Result{}))
		Expect(api.Get(ctx, request.NamespacedName, cr)).To(Succeed())
		cr.Finalizers = nil
		Expect(api.Update(ctx, cr)).To(Succeed())
		Expect(h.reconciler.Reconcile(ctx, request)).To(Equal(ctrl.Result{}))
		Expect(h.writes.Load()).To(BeZero())
	})
})

// expectRefusal reconciles a misplaced resource thrice: it says why it is not served, once, and nothing is installed.
func (h *house) expectRefusal(ctx context.Context, cr *v1beta1.MetalLB, why string) {
	GinkgoHelper()
	for range 3 {
		h.reconcile(ctx, cr)
	}
	Expect(cr).To(haveCondition(v1beta1.ConditionAvailable, no, why))
	Expect(cr).To(haveCondition(v1beta1.ConditionDegraded, yes, why))
	Expect(h.events.Events).To(Receive(ContainSubstring(why)))
	Expect(h.events.Events).NotTo(Receive())
	Expect(h.writes.Load()).To(BeEquivalentTo(1))
	var deployments appsv1.DeploymentList
	Expect(api.List(ctx, &deployments, client.InNamespace(cr.Namespace))).To(Succeed())
	Expect(deployments.Items).To(BeEmpty())
}

// versions are the resource versions of everything that the operator writes.
func (h *house) versions(ctx context.Context, cr *v1beta1.MetalLB) []string {
	GinkgoHelper()
	Expect(api.Get(ctx, client.ObjectKeyFromObject(cr), cr)).To(Succeed())
	return []string{
		cr.ResourceVersion, h.deployment(ctx, controllerName).ResourceVersion,
		h.speaker(ctx).ResourceVersion, h.deployment(ctx, copierName).ResourceVersion,
	}
}

func refusal(ds *appsv1.DaemonSet) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: "refusal-", Namespace: ds.Namespace},
		InvolvedObject: corev1.ObjectReference{Kind: "DaemonSet", Namespace: ds.Namespace, Name: ds.Name, UID: ds.UID},
		Type:           corev1.EventTypeWarning,
		Reason:         "FailedCreate",
		Message:        `pods "speaker-" is forbidden: violates PodSecurity "baseline:latest": host namespaces`,
		LastTimestamp:  metav1.Now(),
	}
}

// everything is a spec with every field that changes a workload.
func everything() v1beta1.MetalLBSpec {
	return readResource(GinkgoTB(), "testdata/everything.in.yaml").Spec
}
