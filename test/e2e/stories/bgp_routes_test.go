// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

// Two routers have sessions with every node all through this container; what changes is what they are told.
var _ = Describe("A Service that routers are told of", Ordered, ContinueOnFailure, func() {
	const name = "bgp"
	var (
		four, six netip.Addr
		before    map[string][2]int64
	)
	plain := func(*v1beta1.BGPAdvertisementSpec) {}
	// service brings the Service to a form.
	service := func(ctx context.Context, change func(*corev1.Service)) {
		GinkgoHelper()
		s := asking(name, four, six)
		change(s)
		Expect(cluster.Apply(ctx, s)).To(Succeed())
	}

	BeforeAll(func(ctx SpecContext) {
		four, six = routed(10), routed6(10)
		routable(ctx, name, netip.PrefixFrom(routed(0), 24).String(), netip.PrefixFrom(routed6(0), 120).String())
		apply(ctx, asking(name, four, six))
		apply(ctx, routerAt("tor4", cluster.Lab.Router().Addr4()))
		apply(ctx, routerAt("tor6", cluster.Lab.Router().Addr6()))
		apply(ctx, suite.BGPPeer("bird", lab.SecondRouterASN, cluster.Lab.SecondRouter().Addr4()))
		expectHops(ctx, four, addresses4())
		expectHops(ctx, six, addresses6())
		before = steady(ctx)
		Expect(before).To(HaveLen(2 * len(cluster.Lab.Nodes())))
	})

	AfterEach(func(ctx SpecContext) {
		advertise(ctx, name, plain)
		service(ctx, func(*corev1.Service) {})
		expectHops(ctx, four, addresses4())
		expectHops(ctx, six, addresses6())
	})

	It("is reached through every node, in both families", func(ctx SpecContext) {
		for range 10 {
			reached(ctx, four)
			reached(ctx, six)
		}
	})

	It("has a path of one autonomous system to each node, and another implementation agrees", func(ctx SpecContext) {
		told, err := paths(whole(four))(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(told).To(HaveLen(len(cluster.Lab.Nodes())))
		Expect(told).To(HaveEach(And(HaveField("ASPath", "64512"), HaveField("Used", true), HaveField("Communities", BeEmpty()), HaveField("Internal", false))))
		Eventually(func() ([]netip.Addr, error) { return cluster.Lab.SecondRouter().NextHops(whole(four)) }).Should(ConsistOf(addresses4()))
	})

	It("has a status on each node that names the peers, as has each session", func(ctx SpecContext) {
		for _, node := range otherNodes("") {
			Eventually(toldPeers(name)).WithContext(ctx).Should(HaveKeyWithValue(node, ConsistOf("tor4", "tor6", "bird")))
			s := expectSession(ctx, "tor4", node, And(established(), HaveField("PrefixesSent", int64(1))))
			Expect(s.RemoteASN).To(BeEquivalentTo(lab.RouterASN))
			Expect(s.LocalASN).To(BeEquivalentTo(suite.OwnASN))
			Expect(s.RemoteAddress).To(Equal(cluster.Lab.Router().Addr4().String() + ":179"))
			Expect(s.LocalAddress).To(ContainSubstring(cluster.Lab.Node(node).Addr4().String()))
			Expect(s.HoldTime).To(Equal(seconds(9)))
			Expect(s.Families).To(ConsistOf(v1beta1.BGPFamilyIPv4))
			expectSession(ctx, "tor6", node, And(established(), HaveField("Families", ConsistOf(v1beta1.BGPFamilyIPv6))))
		}
	})

	It("has the communities that the advertisement names", func(ctx SpecContext) {
		apply(ctx, &v1beta1.Community{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: suite.Namespace},
			Spec: v1beta1.CommunitySpec{Communities: []v1beta1.CommunityAlias{
				{Name: "blue", Value: "65000:7"}, {Name: "large-blue", Value: "large:65000:7:8"},
			}},
		})
		advertise(ctx, name, func(s *v1beta1.BGPAdvertisementSpec) {
			s.Communities = []string{"65000:100", "blue", "no-export", "large:65000:1:2", "large-blue"}
		})
		for _, address := range []netip.Addr{four, six} {
			Eventually(paths(whole(address))).WithContext(ctx).Should(And(HaveLen(3), HaveEach(And(
				HaveField("Communities", ConsistOf("65000:100", "65000:7", "no-export")),
				HaveField("LargeCommunities", ConsistOf("65000:1:2", "65000:7:8"))))))
		}
		out, err := cluster.Lab.Bird(ctx, "show route for "+four.String()+" all")
		Expect(err).NotTo(HaveOccurred())
		Expect(out).To(And(ContainSubstring("(65000,100)"), ContainSubstring("(65000, 7, 8)")))
	})

	It("has the metric and the length of path that the advertisement names", func(ctx SpecContext) {
		advertise(ctx, name, func(s *v1beta1.BGPAdvertisementSpec) { s.MED, s.ASPathPrepend = ptr.To(uint32(70)), 2 })
		Eventually(paths(whole(four))).WithContext(ctx).Should(And(HaveLen(3), HaveEach(And(
			HaveField("MED", uint32(70)), HaveField("ASPath", "64512 64512 64512")))))
	})

	It("is part of the prefix of the advertisement's length", func(ctx SpecContext) {
		advertise(ctx, name, func(s *v1beta1.BGPAdvertisementSpec) {
			s.AggregationLength, s.AggregationLengthV6 = ptr.To(int32(24)), ptr.To(int32(120))
		})
		Eventually(hops(netip.PrefixFrom(four, 24).Masked())).WithContext(ctx).Should(ConsistOf(addresses4()))
		Eventually(hops(netip.PrefixFrom(six, 120).Masked())).WithContext(ctx).Should(ConsistOf(addresses6()))
		expectNoRoute(ctx, whole(four))
		reached(ctx, four)
		reached(ctx, six)
	})

	It("is announced by the nodes, for the Services, of the pools and to the peers that the advertisement selects", func(ctx SpecContext) {
		advertise(ctx, name, func(s *v1beta1.BGPAdvertisementSpec) {
			s.NodeSelectors = []metav1.LabelSelector{onNode(nodeName(0)), onNode(nodeName(2))}
		})
		expectHops(ctx, four, addresses4(nodeName(0), nodeName(2)))
		By("selecting peers")
		advertise(ctx, name, func(s *v1beta1.BGPAdvertisementSpec) { s.Peers = []string{"bird", "tor6"} })
		expectNoRoute(ctx, whole(four))
		Eventually(hops(whole(six))).WithContext(ctx).Should(ConsistOf(addresses6()))
		Eventually(cluster.Lab.SecondRouter().NextHops).WithArguments(whole(four)).WithContext(ctx).Should(ConsistOf(addresses4()))
		Eventually(toldPeers(name)).WithContext(ctx).Should(HaveEach(ConsistOf("bird", "tor6")))
		By("selecting Services")
		shown := []metav1.LabelSelector{{MatchLabels: map[string]string{"shown": "yes"}}}
		advertise(ctx, name, func(s *v1beta1.BGPAdvertisementSpec) { s.ServiceSelectors = shown })
		expectNoRoute(ctx, whole(four))
		service(ctx, func(s *corev1.Service) { s.Labels = map[string]string{"shown": "yes"} })
		expectHops(ctx, four, addresses4())
		By("selecting pools")
		for _, value := range []string{"another", name} {
			advertise(ctx, name, func(s *v1beta1.BGPAdvertisementSpec) {
				s.IPAddressPools = nil
				s.IPAddressPoolSelectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"story": value}}}
			})
			if value == name {
				expectHops(ctx, four, addresses4())
			} else {
				expectNoRoute(ctx, whole(four))
			}
		}
	})

	It("is announced where its servers are when the traffic policy is Local", func(ctx SpecContext) {
		local := func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }
		service(ctx, local)
		servers := map[string]bool{}
		Eventually(func(ctx context.Context) map[string]bool {
			servers[reached(ctx, four)] = true
			return servers
		}).WithContext(ctx).Should(HaveLen(len(cluster.Lab.Nodes())), "flows go to every node")
		apply(ctx, scaled("alone", nodeName(1), 1))
		service(ctx, func(s *corev1.Service) {
			local(s)
			s.Spec.Selector = map[string]string{"app": "alone"}
		})
		expectHops(ctx, four, addresses4(nodeName(1)))
		reached(ctx, four)
		Expect(cluster.Apply(ctx, scaled("alone", nodeName(1), 0))).To(Succeed())
		expectNoRoute(ctx, whole(four))
		Eventually(toldPeers(name)).WithContext(ctx).Should(BeEmpty())
	})

	It("is not announced by a node that is excluded from load balancers, or whose network is not available", func(ctx SpecContext) {
		DeferCleanup(calm)
		label(ctx, nodeName(0), corev1.LabelNodeExcludeBalancers, "true")
		networkUnavailable(ctx, nodeName(1), true)
		expectHops(ctx, four, addresses4(nodeName(2)))
		reached(ctx, four)
		label(ctx, nodeName(0), corev1.LabelNodeExcludeBalancers, "")
		networkUnavailable(ctx, nodeName(1), false)
		expectHops(ctx, four, addresses4())
	})

	It("is not announced when two advertisements contradict each other, neither of which admission could refuse", func(ctx SpecContext) {
		newer := suite.BGPAdvertisement(name+"-newer", name)
		newer.Spec.LocalPref = 300
		Expect(cluster.Apply(ctx, newer.DeepCopy())).To(MatchError(ContainSubstring("localPref 300 contradicts 0 of the older BGPAdvertisement")))
		By("contradicting for one Service")
		newer.Spec.ServiceSelectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"shown": "twice"}}}
		apply(ctx, newer.DeepCopy())
		Consistently(paths(whole(four))).WithContext(ctx).WithTimeout(time.Second).Should(HaveLen(3))
		service(ctx, func(s *corev1.Service) { s.Labels = map[string]string{"shown": "twice"} })
		expectNoRoute(ctx, whole(four))
		Eventually(eventsOf).WithArguments(name).WithContext(ctx).Should(ContainElement(ContainSubstring(string(reason.LocalPrefConflict))))
	})

	It("disturbs no session when Services, pools, advertisements and peers come and go", func(ctx SpecContext) {
		routable(ctx, name+"-too", netip.PrefixFrom(routed(256), 24).String())
		apply(ctx, asking(name+"-too", routed(256+5)))
		another := on(routerAt("another", cluster.Lab.Router().Addr4()), nodeName(0))
		another.Spec.PeerPort = 1790
		apply(ctx, another)
		expectHops(ctx, routed(256+5), addresses4())
		expectSession(ctx, "another", nodeName(0), because(reason.ConnectionRefused))
		Expect(cluster.Gone(ctx, another, patience)).To(Succeed())
		Expect(cluster.Gone(ctx, asking(name+"-too", routed(256+5)), patience)).To(Succeed())
		expectNoRoute(ctx, whole(routed(256+5)))
		expectSteady(ctx, before, "not since the first story of these either")
		for _, peer := range []string{"tor4", "tor6", "bird"} {
			for _, node := range otherNodes("") {
				Expect(session(peer, node)(ctx)).To(And(established(), HaveField("DroppedCount", int64(0))))
			}
		}
	})

	It("is in both routers' tables from the same sessions, and gone when it is", func(ctx SpecContext) {
		DeferCleanup(func(ctx SpecContext) { service(ctx, func(*corev1.Service) {}) })
		Expect(cluster.Gone(ctx, asking(name, four, six), patience)).To(Succeed())
		for _, router := range []lab.Host{cluster.Lab.Router(), cluster.Lab.SecondRouter()} {
			Eventually(func() ([]netip.Addr, error) { return router.NextHops(whole(four)) }).Should(BeEmpty())
		}
		Eventually(toldPeers(name)).WithContext(ctx).Should(BeEmpty())
		for _, node := range otherNodes("") {
			expectSession(ctx, "tor4", node, And(established(), HaveField("PrefixesSent", int64(0))))
		}
		service(ctx, func(*corev1.Service) {})
		expectHops(ctx, four, addresses4())
		reached(ctx, four)
	})
})
