// SPDX-License-Identifier: Apache-2.0

package peering

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/policy"
	"metalsuite.io/test/shipped"
)

// condition returns "status/reason" of a condition of an object as it is stored; empty when it has none.
func condition(ctx context.Context, o client.Object, kind string) (string, error) {
	if err := api.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
		return "", err
	}
	conditions := conditionsOf(o)
	c := meta.FindStatusCondition(conditions, kind)
	if c == nil {
		return "", nil
	}
	Expect(c.ObservedGeneration).To(Equal(o.GetGeneration()))
	return string(c.Status) + "/" + c.Reason, nil
}

func conditionsOf(o client.Object) []metav1.Condition {
	objects := policy.Objects{}
	switch o := o.(type) {
	case *v1beta1.L2Advertisement:
		objects.L2Advertisements = append(objects.L2Advertisements, *o)
	case *v1beta1.BGPAdvertisement:
		objects.BGPAdvertisements = append(objects.BGPAdvertisements, *o)
	case *v1beta2.BGPPeer:
		objects.BGPPeers = append(objects.BGPPeers, *o)
	case *v1beta1.BFDProfile:
		objects.BFDProfiles = append(objects.BFDProfiles, *o)
	case *v1beta1.Community:
		objects.Communities = append(objects.Communities, *o)
	}
	t := targets(&objects)[0]
	return *t.conditions(t.object)
}

var _ = Describe("The conditions", func() {
	var (
		h        house
		r        *Reconciler
		recorded *events.FakeRecorder
	)
	BeforeEach(func(ctx context.Context) {
		h, recorded = newHouse(ctx), events.NewFakeRecorder(100)
		r = &Reconciler{Client: api, Events: recorded, Namespace: string(h)}
	})
	pass := func(ctx context.Context) {
		GinkgoHelper()
		_, err := r.Reconcile(ctx, Request{})
		Expect(err).NotTo(HaveOccurred())
	}
	told := func() (all []string) {
		for len(recorded.Events) > 0 {
			all = append(all, <-recorded.Events)
		}
		return all
	}

	It("say of every kind whether it is in use", func(ctx context.Context) {
		h.add(ctx, &v1beta1.IPAddressPool{ObjectMeta: named("blue"), Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"198.18.1.0/28"}}})
		valid := []client.Object{
			&v1beta1.L2Advertisement{ObjectMeta: named("good")},
			&v1beta1.BGPAdvertisement{ObjectMeta: named("good")},
			peer("good"),
			&v1beta1.BFDProfile{ObjectMeta: named("good")},
			&v1beta1.Community{ObjectMeta: named("good"), Spec: v1beta1.CommunitySpec{Communities: []v1beta1.CommunityAlias{{Name: "a", Value: "1:2"}}}},
		}
		invalid := map[reason.Reason]client.Object{
			reason.DuplicateEntry:     &v1beta1.L2Advertisement{ObjectMeta: named("bad"), Spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"p", "p"}}},
			reason.InvalidAggregation: &v1beta1.BGPAdvertisement{ObjectMeta: named("bad"), Spec: v1beta1.BGPAdvertisementSpec{AggregationLength: ptr.To[int32](24)}},
			reason.InvalidBGPPeer:     peer("bad", func(s *v1beta2.BGPPeerSpec) { s.RouterID = "fd00::1" }),
			reason.InvalidCommunity: &v1beta1.Community{ObjectMeta: named("bad"),
				Spec: v1beta1.CommunitySpec{Communities: []v1beta1.CommunityAlias{{Name: "b", Value: "1:x"}}}},
		}
		noted := &v1beta1.BGPAdvertisement{ObjectMeta: named("noted"), Spec: v1beta1.BGPAdvertisementSpec{Peers: []string{"good", "gone"}}}
		lost := &v1beta1.L2Advertisement{ObjectMeta: named("lost"), Spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"gone"}}}
		h.add(ctx, noted)
		h.add(ctx, lost)
		for _, o := range valid {
			h.add(ctx, o)
		}
		for _, o := range invalid {
			h.add(ctx, o)
		}
		pass(ctx)
		for _, o := range valid {
			Expect(condition(ctx, o, v1beta1.ConditionValid)).To(Equal("True/Valid"))
		}
		for why, o := range invalid {
			Expect(condition(ctx, o, v1beta1.ConditionValid)).To(Equal("False/" + string(why)))
		}
		Expect(condition(ctx, noted, v1beta1.ConditionValid)).To(Equal("True/UnknownPeer"))
		Expect(condition(ctx, lost, v1beta1.ConditionValid)).To(Equal("True/UnknownPool"))
		Expect(told()).To(ConsistOf(
			ContainSubstring("Warning DuplicateEntry"), ContainSubstring("Warning InvalidAggregation"),
			ContainSubstring("Warning InvalidBGPPeer"), ContainSubstring("Warning InvalidCommunity"),
		))

		By("being true again when the object is")
		bad := invalid[reason.InvalidBGPPeer].(*v1beta2.BGPPeer)
		bad.Spec.RouterID, bad.Spec.PeerAddress = "", "198.18.0.2"
		Expect(api.Update(ctx, bad)).To(Succeed())
		pass(ctx)
		Expect(condition(ctx, bad, v1beta1.ConditionValid)).To(Equal("True/Valid"))
		Expect(told()).To(BeEmpty())
	})

	It("say of a peer on how many nodes its session is established", func(ctx context.Context) {
		tor := peer("tor")
		h.add(ctx, tor)
		pass(ctx)
		Expect(condition(ctx, tor, v1beta1.ConditionEstablished)).To(Equal("Unknown/NotReported"))
		h.session(ctx, up("n1"))
		h.session(ctx, down("n2", reason.ConnectionRefused))
		pass(ctx)
		Expect(condition(ctx, tor, v1beta1.ConditionEstablished)).To(Equal("False/ConnectionRefused"))
		h.session(ctx, up("n2"))
		pass(ctx)
		Expect(condition(ctx, tor, v1beta1.ConditionEstablished)).To(Equal("True/SessionEstablished"))
		Expect(tor.Status.Conditions).To(ContainElement(HaveField("Message", "established on 2 of 2 nodes")))

		By("being readable through the older version")
		old := &v1beta1.BGPPeer{}
		Expect(api.Get(ctx, client.ObjectKeyFromObject(tor), old)).To(Succeed())
		Expect(old.Status.Conditions).To(HaveLen(2))
	})

	It("are told in an event when a password is missing, once however many nodes miss it", func(ctx context.Context) {
		tor := peer("tor", func(s *v1beta2.BGPPeerSpec) { s.PasswordSecret.Name = "tor" })
		h.add(ctx, tor)
		for _, node := range []string{"n1", "n2"} {
			h.session(ctx, session(node, "tor", "Idle", reason.PasswordSecretMissing, "the Secret tor does not exist"))
			pass(ctx)
			Expect(condition(ctx, tor, v1beta1.ConditionEstablished)).To(Equal("False/PasswordSecretMissing"))
		}
		Expect(told()).To(ConsistOf(SatisfyAll(HavePrefix("Warning PasswordSecretMissing "), ContainSubstring("n1: PasswordSecretMissing: the Secret tor does not exist"))))
	})

	It("are written only when they differ, and leave those of others alone", func(ctx context.Context) {
		tor := peer("tor")
		h.add(ctx, tor)
		foreign := metav1.Condition{Type: "example.org/Seen", Status: metav1.ConditionTrue, Reason: "Seen", LastTransitionTime: metav1.Now()}
		tor.Status.Conditions = []metav1.Condition{foreign}
		Expect(api.Status().Update(ctx, tor)).To(Succeed())
		h.session(ctx, up("n1"))
		pass(ctx)
		Expect(condition(ctx, tor, v1beta1.ConditionEstablished)).To(Equal("True/SessionEstablished"))
		Expect(meta.FindStatusCondition(tor.Status.Conditions, foreign.Type)).NotTo(BeNil())
		version := tor.ResourceVersion
		pass(ctx)
		Expect(api.Get(ctx, client.ObjectKeyFromObject(tor), tor)).To(Succeed())
		Expect(tor.ResourceVersion).To(Equal(version))

		By("being repaired")
		meta.FindStatusCondition(tor.Status.Conditions, v1beta1.ConditionValid).Status = metav1.ConditionFalse
		Expect(api.Status().Update(ctx, tor)).To(Succeed())
		pass(ctx)
		Expect(condition(ctx, tor, v1beta1.ConditionValid)).To(Equal("True/Valid"))
	})

	It("overwrite nothing that somebody else wrote meanwhile, and one failure stops no other", func(ctx context.Context) {
		h.add(ctx, peer("a"))
		b := peer("b", func(s *v1beta2.BGPPeerSpec) { s.PeerAddress = "198.18.0.2" })
		h.add(ctx, b)
		seen, err := observe(ctx, api, string(h))
		Expect(err).NotTo(HaveOccurred())
		changed := seen.objects.BGPPeers[0].DeepCopy()
		changed.Spec.MyASN = 1
		Expect(api.Update(ctx, changed)).To(Succeed())
		stale := &outdated{Client: api, peers: seen.objects.BGPPeers}
		_, err = (&Reconciler{Client: stale, Events: recorded, Namespace: string(h)}).Reconcile(ctx, Request{})
		Expect(err).To(MatchError(And(ContainSubstring("writing conditions of BGPPeer a"), Not(ContainSubstring("BGPPeer b")))))
		Expect(apierrors.IsConflict(err)).To(BeTrue())
		Expect(condition(ctx, b, v1beta1.ConditionValid)).To(Equal("True/Valid"))
	})
})

// outdated is a client whose cache has old peers.
type outdated struct {
	client.Client
	peers []v1beta2.BGPPeer
}

func (o *outdated) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	if peers, ok := list.(*v1beta2.BGPPeerList); ok {
		peers.Items = o.peers
		return nil
	}
	return o.Client.List(ctx, list, options...)
}

var _ = Describe("In a manager with nothing but the role's rights", Ordered, func() {
	const home = "metallb-system"

	It("every change leads to a pass", func(ctx context.Context) {
		Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: named(home)})).To(Succeed())
		h := house(home)
		Expect(shipped.Grant(ctx, api, someone, "rbac/controller/role.yaml")).To(Succeed())
		start()
		tor := peer("tor", func(s *v1beta2.BGPPeerSpec) { s.BFDProfile = "fast" })
		h.add(ctx, tor)
		Eventually(condition).WithArguments(ctx, tor, v1beta1.ConditionValid).Should(Equal("False/UnknownBFDProfile"))
		Eventually(func() ([]string, error) {
			var all eventsv1.EventList
			err := api.List(ctx, &all, client.InNamespace(home))
			var reasons []string
			for _, e := range all.Items {
				reasons = append(reasons, e.Reason)
			}
			return reasons, err
		}).Should(ConsistOf("UnknownBFDProfile"))

		fast := &v1beta1.BFDProfile{ObjectMeta: named("fast")}
		h.add(ctx, fast)
		Eventually(condition).WithArguments(ctx, tor, v1beta1.ConditionValid).Should(Equal("True/Valid"))
		Eventually(condition).WithArguments(ctx, fast, v1beta1.ConditionValid).Should(Equal("True/Valid"))
		h.session(ctx, up("n1"))
		Eventually(condition).WithArguments(ctx, tor, v1beta1.ConditionEstablished).Should(Equal("True/SessionEstablished"))
		node := &corev1.Node{ObjectMeta: named("n3")}
		Expect(api.Create(ctx, node)).To(Succeed())
		DeferCleanup(func(ctx context.Context) { Expect(api.Delete(ctx, node)).To(Succeed()) })
		second := state("n3")
		h.add(ctx, &second)
		Eventually(condition).WithArguments(ctx, tor, v1beta1.ConditionEstablished).Should(Equal("False/NotReported"))
		h.session(ctx, up("n3"))
		Eventually(condition).WithArguments(ctx, tor, v1beta1.ConditionEstablished).Should(Equal("True/SessionEstablished"))

		By("a node that falls silent")
		Expect(api.Get(ctx, client.ObjectKeyFromObject(node), node)).To(Succeed())
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
		Expect(api.Status().Update(ctx, node)).To(Succeed())
		Eventually(condition).WithArguments(ctx, tor, v1beta1.ConditionEstablished).Should(Equal("False/NotReported"))

		By("the label of a pool")
		blue := &v1beta1.IPAddressPool{ObjectMeta: named("blue"), Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"198.18.1.0/28"}}}
		h.add(ctx, blue)
		ad := &v1beta1.BGPAdvertisement{ObjectMeta: named("ad"), Spec: v1beta1.BGPAdvertisementSpec{
			AggregationLength: ptr.To[int32](24), IPAddressPoolSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"a": "b"}}},
		}}
		h.add(ctx, ad)
		Eventually(condition).WithArguments(ctx, ad, v1beta1.ConditionValid).Should(Equal("True/UnknownPool"))
		blue.Labels = map[string]string{"a": "b"}
		Expect(api.Update(ctx, blue)).To(Succeed())
		Eventually(condition).WithArguments(ctx, ad, v1beta1.ConditionValid).Should(Equal("False/InvalidAggregation"))
	})
})

// start runs a manager until the spec ends.
func start() {
	GinkgoHelper()
	user, err := environment.AddUser(envtest.User{Name: someone}, config)
	Expect(err).NotTo(HaveOccurred())
	here := cache.ByObject{Namespaces: map[string]cache.Config{"metallb-system": {}}}
	options := cache.Options{
		DefaultUnsafeDisableDeepCopy: ptr.To(true),
		ByObject:                     map[client.Object]cache.ByObject{&v1beta1.IPAddressPool{}: here, &v1beta1.ConfigurationState{}: here},
	}
	AddToCache(&options, "metallb-system")
	mgr, err := ctrl.NewManager(user.Config(), ctrl.Options{
		Scheme: scheme, Logger: GinkgoLogr, Cache: options, Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: ptr.To(true)},
	})
	Expect(err).NotTo(HaveOccurred())
	Expect(Setup(mgr, "metallb-system", nil)).To(Succeed())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	DeferCleanup(func() {
		cancel()
		Eventually(done).Should(Receive(BeNil()))
	})
}

const someone = "controller-with-its-own-rights"
