// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"net/netip"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

var _ = Describe("BFD beside a session", Ordered, ContinueOnFailure, func() {
	const name = "bfd"
	var (
		four netip.Addr
		own  netip.Addr
	)
	// profile makes a BFDProfile for the length of a story.
	profile := func(ctx context.Context, change func(*v1beta1.BFDProfileSpec)) {
		GinkgoHelper()
		p := &v1beta1.BFDProfile{}
		p.Name, p.Namespace = name, suite.Namespace
		change(&p.Spec)
		apply(ctx, p)
	}
	// peer makes a peer with that profile.
	peer := func(ctx context.Context, p *v1beta2.BGPPeer) {
		GinkgoHelper()
		p.Spec.BFDProfile = name
		apply(ctx, p)
	}
	seen := func(ctx context.Context, matcher OmegaMatcher) {
		GinkgoHelper()
		Eventually(cluster.Lab.FRR().BFD).WithContext(ctx).Should(HaveKeyWithValue(own.String(), matcher))
	}
	up := HaveField("BFD", And(Not(BeNil()), HaveField("State", "Up"), HaveField("RemoteState", "Up")))

	BeforeAll(func(ctx SpecContext) {
		four, own = routed(0x300), cluster.Lab.Node(nodeName(0)).Addr4()
		routable(ctx, name, whole(four).String())
		apply(ctx, asking(name, four))
	})

	// What is deferred here comes after what the stories defer.
	BeforeEach(func() { DeferCleanup(func(ctx SpecContext) { expectNoRoute(ctx, whole(four)) }) })

	It("takes a node out of both routers soon after it is cut off without a word, and lets it return", func(ctx SpecContext) {
		DeferCleanup(calm)
		// The shorter of hold time and BFD would be BFD by far.
		profile(ctx, func(s *v1beta1.BFDProfileSpec) {
			s.TransmitInterval, s.ReceiveInterval, s.DetectMultiplier = ptr.To(uint32(100)), ptr.To(uint32(100)), ptr.To(uint32(3))
		})
		peer(ctx, routerAt(name, cluster.Lab.Router().Addr4()))
		peer(ctx, suite.BGPPeer(name+"-bird", lab.SecondRouterASN, cluster.Lab.SecondRouter().Addr4()))
		routers := []lab.Host{cluster.Lab.Router(), cluster.Lab.SecondRouter()}
		for _, router := range routers {
			Eventually(func() ([]netip.Addr, error) { return router.NextHops(whole(four)) }).Should(ConsistOf(addresses4()))
		}
		for _, node := range otherNodes("") {
			expectSession(ctx, name, node, And(established(), up))
			expectSession(ctx, name+"-bird", node, And(established(), up, HaveField("DroppedCount", int64(0))))
		}
		out, err := cluster.Lab.Bird(ctx, "show bfd sessions")
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.Count(out, " Up ")).To(Equal(len(cluster.Lab.Nodes())))
		Expect(steady(ctx)).To(HaveEach(HaveExactElements(int64(1), Not(BeZero()))), "BFD that begins ends no session")

		Expect(cluster.Lab.CutSilently(ctx, nodeName(0))).To(Succeed())
		begin := time.Now()
		for _, router := range routers {
			Eventually(func() ([]netip.Addr, error) { return router.NextHops(whole(four)) }).WithPolling(5 * time.Millisecond).
				Should(ConsistOf(addresses4(otherNodes(nodeName(0))...)))
			GinkgoWriter.Printf("%s sends nothing to the node %s after the cut\n", router.Name, time.Since(begin))
			Expect(time.Since(begin)).To(BeNumerically("<", 3*time.Second))
		}
		reached(ctx, four)
		Expect(cluster.Lab.Heal(ctx, nodeName(0))).To(Succeed())
		expectHops(ctx, four, addresses4())
		expectSession(ctx, name, nodeName(0), And(established(), up))
	})

	It("uses the intervals and the multiplier of the profile", func(ctx SpecContext) {
		profile(ctx, func(s *v1beta1.BFDProfileSpec) {
			s.TransmitInterval, s.ReceiveInterval, s.DetectMultiplier = ptr.To(uint32(70)), ptr.To(uint32(450)), ptr.To(uint32(5))
		})
		peer(ctx, on(routerAt(name, cluster.Lab.Router().Addr4()), nodeName(0)))
		seen(ctx, And(HaveField("Status", "up"), HaveField("RemoteTransmit", 70), HaveField("RemoteReceive", 450), HaveField("RemoteMultiplier", 5)))
		// FRR sends at 300 ms and receives at 300 ms at most, here: both sides take the slower of what they are told (RFC 5880 6.8.2, 6.8.4).
		expectSession(ctx, name, nodeName(0), And(established(), HaveField("BFD", And(
			HaveField("TransmitInterval.Duration", 300*time.Millisecond), HaveField("DetectionTime.Duration", 3*450*time.Millisecond)))))
	})

	It("waits for the router when it is passive", func(ctx SpecContext) {
		profile(ctx, func(s *v1beta1.BFDProfileSpec) { s.PassiveMode = ptr.To(true) })
		Expect(cluster.Lab.FRR().Configure(ctx, "bfd", "profile waiting", "passive-mode", "exit", "exit")).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			Expect(cluster.Lab.FRR().Configure(ctx, "bfd", "no profile waiting")).To(Succeed())
		})
		neighbour(ctx, own.String(), "remote-as external", "bfd", "bfd profile waiting")
		peer(ctx, on(routerAt(name, cluster.Lab.Router().Addr4()), nodeName(0)))
		expectHops(ctx, four, []netip.Addr{own})
		Consistently(cluster.Lab.FRR().BFD).WithContext(ctx).WithTimeout(2*time.Second).Should(HaveKeyWithValue(own.String(), HaveField("Status", Not(Equal("up")))), "both wait")
		expectSession(ctx, name, nodeName(0), And(established(), HaveField("BFD.State", "Down")))
		By("letting the router begin")
		Expect(cluster.Lab.FRR().Configure(ctx, "bfd", "profile waiting", "no passive-mode", "exit", "exit")).To(Succeed())
		seen(ctx, HaveField("Status", "up"))
		expectSession(ctx, name, nodeName(0), And(established(), up, HaveField("DroppedCount", int64(0))))
	})

	It("sends echo packets, and gives the router's back", func(ctx SpecContext) {
		profile(ctx, func(s *v1beta1.BFDProfileSpec) { s.EchoMode, s.EchoInterval = ptr.To(true), ptr.To(uint32(60)) })
		Expect(cluster.Lab.FRR().Configure(ctx, "bfd", "profile echoing", "echo-mode", "echo transmit-interval 60", "echo receive-interval 60", "exit", "exit")).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			Expect(cluster.Lab.FRR().Configure(ctx, "bfd", "no profile echoing")).To(Succeed())
		})
		neighbour(ctx, own.String(), "remote-as external", "bfd", "bfd profile echoing")
		peer(ctx, on(routerAt(name, cluster.Lab.Router().Addr4()), nodeName(0)))
		expectSession(ctx, name, nodeName(0), And(established(), up, HaveField("BFD.Reason", BeEmpty())))
		seen(ctx, And(HaveField("Status", "up"), HaveField("RemoteEcho", 60)))
		echoes := func() [2]int {
			sent, received, err := cluster.Lab.FRR().Echoes(ctx, own.String())
			Expect(err).NotTo(HaveOccurred())
			return [2]int{sent, received}
		}
		expectHops(ctx, four, []netip.Addr{own})
		before := echoes()
		Eventually(echoes).Should(HaveExactElements(BeNumerically(">", before[0]+10), BeNumerically(">", before[1]+10)))
		expectHops(ctx, four, []netip.Addr{own})
		// FRR makes its BFD session anew when it learns its own address, and ends BGP if the old one was up by then.
		expectSession(ctx, name, nodeName(0), And(established(), up, HaveField("DroppedCount", int64(0))))
		Eventually(events).WithArguments("BGPPeer", name).WithContext(ctx).Should(ContainElement(string(reason.SessionEstablished)))
	})
})
