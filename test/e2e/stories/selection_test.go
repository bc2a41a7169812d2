// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

// One Service keeps its address through all of this container: what changes is what selects who announces it.
var _ = Describe("Who announces a Service", Ordered, func() {
	const name = "selected"
	var address netip.Addr

	// advertise brings the one advertisement to a form.
	advertise := func(ctx context.Context, change func(*v1beta1.L2AdvertisementSpec)) {
		GinkgoHelper()
		ad := suite.L2Advertisement(name, name)
		change(&ad.Spec)
		Expect(cluster.Apply(ctx, ad)).To(Succeed())
	}
	plain := func(*v1beta1.L2AdvertisementSpec) {}
	// service brings the Service to a form.
	service := func(ctx context.Context, change func(*corev1.Service)) {
		GinkgoHelper()
		s := suite.HelloService(namespace, name, app)
		change(s)
		Expect(cluster.Apply(ctx, s)).To(Succeed())
	}
	// owner expects one node to answer on the segment and returns it.
	owner := func(ctx context.Context, matcher OmegaMatcher) string {
		GinkgoHelper()
		return expectOwner(ctx, lab.Segment, address, matcher)
	}
	anybody := HaveLen(1)

	BeforeAll(func(ctx SpecContext) {
		address = addressOf(200)
		pool := suite.Pool(name, rangeOf(200, 200))
		pool.Labels = map[string]string{"story": name}
		serve(ctx, pool)
		apply(ctx, suite.HelloService(namespace, name, app))
		owner(ctx, anybody)
	})

	AfterEach(func(ctx SpecContext) {
		advertise(ctx, plain)
		service(ctx, func(*corev1.Service) {})
		owner(ctx, anybody)
	})

	It("is a node that the advertisement selects", func(ctx SpecContext) {
		for _, node := range cluster.Lab.Nodes() {
			advertise(ctx, func(s *v1beta1.L2AdvertisementSpec) { s.NodeSelectors = []metav1.LabelSelector{onNode(node.Name)} })
			owner(ctx, HaveExactElements(node.Name))
			Eventually(statusNodes).WithArguments(name).WithContext(ctx).Should(ConsistOf(node.Name))
		}
		advertise(ctx, func(s *v1beta1.L2AdvertisementSpec) { s.NodeSelectors = []metav1.LabelSelector{onNode("no-such-node")} })
		expectNobody(ctx, lab.Segment, address)
		Eventually(events).WithArguments("Service", name).WithContext(ctx).Should(ContainElement(string(reason.NoMatchingAdvertisement)))
	})

	It("is the node of the highest preference, and another one when that changes", func(ctx SpecContext) {
		for _, node := range cluster.Lab.Nodes() {
			advertise(ctx, func(s *v1beta1.L2AdvertisementSpec) {
				s.PreferredNodeSelectors = []v1beta1.PreferredNodeSelector{
					{Weight: 30, Preference: onNode(node.Name)}, {Weight: 30, Preference: onNode(node.Name)},
					{Weight: 50, Preference: onNode(otherNodes(node.Name)[0])},
				}
			})
			owner(ctx, HaveExactElements(node.Name))
		}
	})

	It("answers on the interfaces that the advertisement names, and its status names them", func(ctx SpecContext) {
		interfaces := func(ctx context.Context) ([]string, error) {
			var list v1beta1.ServiceL2StatusList
			err := cluster.Client.List(ctx, &list, client.InNamespace(suite.Namespace), client.MatchingLabels{v1beta1.LabelServiceName: name})
			var all []string
			for _, s := range list.Items {
				for _, i := range s.Status.Interfaces {
					all = append(all, i.Name)
				}
			}
			return all, err
		}
		for _, links := range [][2]string{{lab.SecondSegment, lab.Segment}, {lab.Segment, lab.SecondSegment}} {
			advertise(ctx, func(s *v1beta1.L2AdvertisementSpec) { s.Interfaces = []string{links[0]} })
			expectOwner(ctx, links[0], address, anybody)
			expectNobody(ctx, links[1], address)
			Eventually(interfaces).WithContext(ctx).Should(ConsistOf(links[0]))
		}
	})

	It("is nobody when the interface exists nowhere, and an event names it", func(ctx SpecContext) {
		advertise(ctx, func(s *v1beta1.L2AdvertisementSpec) { s.Interfaces = []string{"eth9"} })
		expectNobody(ctx, lab.Segment, address)
		Eventually(eventsOf).WithArguments(name).WithContext(ctx).Should(ContainElement(And(
			HavePrefix("announceFailed: "), ContainSubstring(string(reason.InterfaceMissing)), ContainSubstring("eth9"))))
		Eventually(statusNodes).WithArguments(name).WithContext(ctx).Should(BeEmpty())
	})

	It("is nobody unless the Service is one that the advertisement selects", func(ctx SpecContext) {
		advertise(ctx, func(s *v1beta1.L2AdvertisementSpec) {
			s.ServiceSelectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"shown": "yes"}}}
		})
		expectNobody(ctx, lab.Segment, address)
		service(ctx, func(s *corev1.Service) { s.Labels = map[string]string{"shown": "yes"} })
		owner(ctx, anybody)
		service(ctx, func(s *corev1.Service) { s.Labels = map[string]string{"shown": "no"} })
		expectNobody(ctx, lab.Segment, address)
	})

	It("is nobody unless the pool is one that the advertisement selects", func(ctx SpecContext) {
		selecting := func(value string) func(*v1beta1.L2AdvertisementSpec) {
			return func(s *v1beta1.L2AdvertisementSpec) {
				s.IPAddressPools = nil
				s.IPAddressPoolSelectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"story": value}}}
			}
		}
		advertise(ctx, selecting("another"))
		expectNobody(ctx, lab.Segment, address)
		advertise(ctx, selecting(name))
		owner(ctx, anybody)
	})

	It("is selected by several advertisements together", func(ctx SpecContext) {
		first, second := nodeName(0), nodeName(1)
		advertise(ctx, func(s *v1beta1.L2AdvertisementSpec) {
			s.NodeSelectors, s.Interfaces = []metav1.LabelSelector{onNode(first)}, []string{lab.Segment}
		})
		owner(ctx, HaveExactElements(first))
		By("adding another interface of the same node")
		another := suite.L2Advertisement("selected-too", name)
		another.Spec.NodeSelectors, another.Spec.Interfaces = []metav1.LabelSelector{onNode(first)}, []string{lab.SecondSegment}
		apply(ctx, another.DeepCopy())
		expectOwner(ctx, lab.SecondSegment, address, HaveExactElements(first))
		owner(ctx, HaveExactElements(first))
		By("adding a node that is preferred")
		another.Spec = v1beta1.L2AdvertisementSpec{
			IPAddressPools: []string{name}, NodeSelectors: []metav1.LabelSelector{onNode(second)},
			PreferredNodeSelectors: []v1beta1.PreferredNodeSelector{{Weight: 1, Preference: onNode(second)}},
		}
		Expect(cluster.Apply(ctx, another.DeepCopy())).To(Succeed())
		owner(ctx, HaveExactElements(second))
		By("taking that away")
		Expect(cluster.Gone(ctx, another.DeepCopy(), patience)).To(Succeed())
		owner(ctx, HaveExactElements(first))
		expectNobody(ctx, lab.SecondSegment, address)
	})

	It("is no node that is excluded from load balancers", func(ctx SpecContext) {
		was := owner(ctx, anybody)
		label(ctx, was, corev1.LabelNodeExcludeBalancers, "true")
		DeferCleanup(func(ctx SpecContext) { label(ctx, was, corev1.LabelNodeExcludeBalancers, "") })
		owner(ctx, Not(HaveExactElements(was)))
		label(ctx, was, corev1.LabelNodeExcludeBalancers, "")
		owner(ctx, HaveExactElements(was))
	})

	It("is no node whose network is not available", func(ctx SpecContext) {
		was := owner(ctx, anybody)
		networkUnavailable(ctx, was, true)
		DeferCleanup(func(ctx SpecContext) { networkUnavailable(ctx, was, false) })
		owner(ctx, Not(HaveExactElements(was)))
		networkUnavailable(ctx, was, false)
		owner(ctx, HaveExactElements(was))
	})

	It("is a node with a server when the traffic policy is Local, and follows it", func(ctx SpecContext) {
		local := func(s *corev1.Service) {
			s.Spec.Selector = map[string]string{"app": "single"}
			s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		}
		apply(ctx, scaled("single", nodeName(0), 1))
		service(ctx, local)
		owner(ctx, HaveExactElements(nodeName(0)))
		answers(ctx, address, 80)
		for _, node := range []string{nodeName(1), nodeName(2)} {
			Expect(cluster.Apply(ctx, scaled("single", node, 1))).To(Succeed())
			owner(ctx, HaveExactElements(node))
			answers(ctx, address, 80)
		}
		By("taking the last server away")
		Expect(cluster.Apply(ctx, scaled("single", nodeName(2), 0))).To(Succeed())
		expectNobody(ctx, lab.Segment, address)
		Eventually(events).WithArguments("Service", name).WithContext(ctx).Should(ContainElement(string(reason.NoEndpoints)))
	})

	It("goes on as long as a server serves, though it ends", func(ctx SpecContext) {
		slow := scaled("slow", "", 1)
		slow.Spec.Template.Spec.TerminationGracePeriodSeconds = ptr.To(int64(120))
		slow.Spec.Template.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 110}}}
		apply(ctx, slow.DeepCopy())
		service(ctx, func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "slow"} })
		Expect(cluster.AwaitDeployment(ctx, namespace, "slow", patience)).To(Succeed())
		answers(ctx, address, 80)
		slow.Spec.Replicas = ptr.To(int32(0))
		Expect(cluster.Apply(ctx, slow.DeepCopy())).To(Succeed())
		Eventually(terminating).WithArguments(name).WithContext(ctx).Should(BeTrue())
		owner(ctx, anybody)
		answers(ctx, address, 80)
		Consistently(answering).WithArguments(lab.Segment, address).WithContext(ctx).Should(HaveLen(1))

		By("ending it at once")
		Expect(cluster.Client.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(namespace), client.MatchingLabels{"app": "slow"}, client.GracePeriodSeconds(0))).To(Succeed())
		expectNobody(ctx, lab.Segment, address)
	})
})
