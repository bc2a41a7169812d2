// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/suite"
)

// summary returns what the ConfigurationState of that name says.
func summary(ctx context.Context, name string) (string, error) {
	var state v1beta1.ConfigurationState
	err := cluster.Client.Get(ctx, client.ObjectKey{Namespace: suite.Namespace, Name: name}, &state)
	return string(state.Status.Result) + ": " + state.Status.ErrorSummary, err
}

// events returns the reasons of the events about an object.
func events(ctx context.Context, kind, name string) ([]string, error) {
	var list corev1.EventList
	err := cluster.Client.List(ctx, &list, client.MatchingFields{"involvedObject.kind": kind, "involvedObject.name": name})
	var reasons []string
	for _, e := range list.Items {
		reasons = append(reasons, e.Reason)
	}
	return reasons, err
}

func metallbCondition(ctx context.Context, name, kind string) (*metav1.Condition, error) {
	m := suite.MetalLB()
	m.Name = name
	err := cluster.Client.Get(ctx, client.ObjectKeyFromObject(m), m)
	return meta.FindStatusCondition(m.Status.Conditions, kind), err
}

// withoutWebhooks takes the webhooks away for the length of a story, as in a cluster whose operator is down.
func withoutWebhooks(ctx context.Context) {
	GinkgoHelper()
	all := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	Expect(cluster.Client.Get(ctx, client.ObjectKey{Name: "metallb-webhook-configuration"}, all)).To(Succeed())
	Expect(cluster.Client.Delete(ctx, all)).To(Succeed())
	all.ObjectMeta = metav1.ObjectMeta{Name: all.Name, Labels: all.Labels}
	DeferCleanup(func(ctx SpecContext) { Expect(cluster.Client.Create(ctx, all)).To(Succeed()) })
}

// applyUnchecked is apply for an object that webhooks would refuse: the API server may ask them for a moment after they are gone.
func applyUnchecked(ctx context.Context, o client.Object) {
	GinkgoHelper()
	Eventually(func() error { return cluster.Apply(ctx, o) }).WithContext(ctx).Should(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(cluster.Gone(ctx, o, time.Minute)).To(Succeed()) })
}

var _ = Describe("A mistake", func() {
	It("in the form of a pool is refused by the API server", func(ctx SpecContext) {
		err := cluster.Apply(ctx, suite.Pool("nonsense", "192.0.2.0/33"))
		Expect(err).To(MatchError(ContainSubstring("spec.addresses")))
	})

	It("in the sense of a pool is refused by the operator", func(ctx SpecContext) {
		apply(ctx, suite.Pool("good", rangeOf(40, 49)))
		for name, row := range map[string]struct{ addresses, why string }{
			"backwards": {rangeOf(59, 50), "is after the end IP"},
			"overlaps":  {rangeOf(45, 55), "overlaps with already defined CIDR"},
		} {
			try := func(ctx context.Context) error {
				return cluster.Client.Create(ctx, suite.Pool(name, row.addresses), client.DryRunAll)
			}
			Eventually(try).WithContext(ctx).Should(MatchError(And(ContainSubstring("denied the request"), ContainSubstring(row.why))))
		}
	})

	It("that nobody refused leaves that pool out, says why, and costs the others nothing", func(ctx SpecContext) {
		apply(ctx, suite.Pool("good", rangeOf(40, 49)))
		withoutWebhooks(ctx)
		applyUnchecked(ctx, suite.Pool("backwards", rangeOf(59, 50)))
		applyUnchecked(ctx, suite.Pool("overlaps", rangeOf(45, 55)))
		apply(ctx, suite.HelloService(namespace, "fine", app))
		Eventually(allocated).WithArguments(ctx, "fine").Should(HaveField("Reason", string(reason.Allocated)))
		Expect(serviceOf(ctx, "fine").Status.LoadBalancer.Ingress[0].IP).To(Equal(addressOf(40).String()))
		for _, state := range []string{"controller", "speaker-" + cluster.Lab.Nodes()[0].Name} {
			Eventually(summary).WithArguments(state).WithContext(ctx).Should(And(
				HavePrefix("Invalid"), ContainSubstring("backwards"), ContainSubstring("overlaps"), Not(ContainSubstring("good:"))))
		}
		Eventually(events).WithArguments("IPAddressPool", "backwards").WithContext(ctx).Should(ContainElement(string(reason.InvalidAddressRange)))
		Eventually(events).WithArguments("IPAddressPool", "overlaps").WithContext(ctx).Should(ContainElement(string(reason.PoolOverlap)))
	})

	It("in a request is a condition and an event on the Service", func(ctx SpecContext) {
		node, err := cluster.Lab.Nodes()[0].Addresses("eth0")
		Expect(err).NotTo(HaveOccurred())
		apply(ctx, suite.Pool("with-a-node", cluster.Lab.Pool4().String(), "10.89.0.11/32"))
		for name, row := range map[string]struct {
			request string
			why     reason.Reason
		}{
			"wants-a-node":    {"10.89.0.11", reason.NodeAddress},
			"wants-elsewhere": {"198.51.100.7", reason.AddressNotInPool},
			"wants-nonsense":  {"many", reason.InvalidRequest},
		} {
			Expect(node).NotTo(BeEmpty())
			s := suite.HelloService(namespace, name, app)
			s.Annotations = map[string]string{v1beta1.AnnotationLoadBalancerIPs: row.request}
			apply(ctx, s)
			Eventually(allocated).WithArguments(ctx, name).Should(refusedFor(row.why))
			Eventually(events).WithArguments("Service", name).WithContext(ctx).Should(ContainElement(string(row.why)))
		}
	})

	It("in spec.announcers is a condition, and the known announcers go on", func(ctx SpecContext) {
		m := suite.MetalLB()
		m.Spec.Announcers = []v1beta1.Announcer{{Name: "l2"}, {Name: "pigeon"}}
		Expect(cluster.Apply(ctx, m)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			Expect(cluster.Apply(ctx, suite.MetalLB())).To(Succeed())
			Expect(cluster.AwaitAvailable(ctx, 2*patience)).To(Succeed())
		})
		Eventually(metallbCondition).WithArguments(v1beta1.MetalLBName, v1beta1.ConditionDegraded).WithContext(ctx).Should(And(
			HaveField("Status", metav1.ConditionTrue), HaveField("Reason", string(reason.UnknownAnnouncer)), HaveField("Message", ContainSubstring("pigeon"))))
		// The next change must not meet the rollout of this one halfway.
		Expect(cluster.AwaitAvailable(ctx, 2*patience)).To(Succeed())
	})

	It("in the name of the MetalLB resource is a condition and an event", func(ctx SpecContext) {
		m := suite.MetalLB()
		m.Name = "another"
		apply(ctx, m)
		Eventually(metallbCondition).WithArguments("another", v1beta1.ConditionDegraded).WithContext(ctx).Should(And(
			HaveField("Status", metav1.ConditionTrue), HaveField("Reason", string(reason.WrongName))))
		Eventually(events).WithArguments("MetalLB", "another").WithContext(ctx).Should(ContainElement(string(reason.WrongName)))
	})
})
