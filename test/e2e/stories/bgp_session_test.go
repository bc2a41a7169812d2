// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"net/netip"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

// One node speaks with a router in each of these; each story says how.
var _ = Describe("A session with a router", Ordered, ContinueOnFailure, func() {
	const name = "session"
	var (
		node      string
		own, own6 netip.Addr
		tor       netip.Addr
		four, six netip.Addr
	)
	// speak makes a peer for the length of a story that only the one node speaks with.
	speak := func(ctx context.Context, address netip.Addr, change func(*v1beta2.BGPPeerSpec)) *v1beta2.BGPPeer {
		GinkgoHelper()
		p := on(routerAt(name, address), node)
		change(&p.Spec)
		apply(ctx, p.DeepCopy())
		return p
	}
	expectPath := func(ctx context.Context, address netip.Addr, matcher OmegaMatcher) {
		GinkgoHelper()
		Eventually(paths(whole(address))).WithContext(ctx).Should(And(HaveLen(1), HaveEach(matcher)))
	}
	plain := func(*v1beta2.BGPPeerSpec) {}

	BeforeAll(func(ctx SpecContext) {
		node, tor = nodeName(0), cluster.Lab.Router().Addr4()
		own, own6 = cluster.Lab.Node(node).Addr4(), cluster.Lab.Node(node).Addr6()
		four, six = routed(0x200), routed6(0x200)
		routable(ctx, name, whole(four).String(), whole(six).String())
		apply(ctx, asking(name, four, six))
	})

	// What is deferred here comes after what the stories defer.
	BeforeEach(func() {
		DeferCleanup(func(ctx SpecContext) {
			Eventually(cluster.Sessions).WithArguments(name).WithContext(ctx).Should(BeEmpty())
			expectNoRoute(ctx, whole(four))
			expectNoRoute(ctx, whole(six))
		})
	})

	It("within one autonomous system carries the local preference, or takes the router's", func(ctx SpecContext) {
		neighbour(ctx, own.String(), "remote-as 64999")
		DeferCleanup(func(ctx SpecContext) { advertise(ctx, name, func(*v1beta1.BGPAdvertisementSpec) {}) })
		speak(ctx, tor, func(s *v1beta2.BGPPeerSpec) { s.MyASN = lab.RouterASN })
		expectPath(ctx, four, And(HaveField("Internal", true), HaveField("ASPath", ""), HaveField("LocalPref", uint32(100))))
		advertise(ctx, name, func(s *v1beta1.BGPAdvertisementSpec) { s.LocalPref = 200 })
		expectPath(ctx, four, HaveField("LocalPref", uint32(200)))
		expectHops(ctx, four, []netip.Addr{own})
		reached(ctx, four)
	})

	It("shows the router the ASN that is meant for it", func(ctx SpecContext) {
		speak(ctx, tor, func(s *v1beta2.BGPPeerSpec) { s.LocalASN = 64600 })
		expectPath(ctx, four, HaveField("ASPath", "64600"))
		Expect(cluster.Lab.FRR().Sessions(ctx)).To(HaveKeyWithValue(own.String(), HaveField("RemoteASN", uint32(64600))))
	})

	It("takes the ASN from the router, of the right kind alone", func(ctx SpecContext) {
		p := speak(ctx, tor, func(s *v1beta2.BGPPeerSpec) { s.PeerASN, s.DynamicASN = 0, v1beta2.DynamicASNExternal })
		expectPath(ctx, four, HaveField("ASPath", "64512"))
		expectSession(ctx, name, node, And(established(), HaveField("RemoteASN", uint32(lab.RouterASN))))
		p.Spec.DynamicASN = v1beta2.DynamicASNInternal
		Expect(cluster.Apply(ctx, p.DeepCopy())).To(Succeed())
		expectSession(ctx, name, node, because(reason.PeerASNMismatch))
		expectNoRoute(ctx, whole(four))
		By("joining the router's autonomous system")
		neighbour(ctx, own.String(), "remote-as 64999")
		p.Spec.MyASN = lab.RouterASN
		Expect(cluster.Apply(ctx, p.DeepCopy())).To(Succeed())
		expectPath(ctx, four, HaveField("Internal", true))
	})

	It("carries both families when that is asked for", func(ctx SpecContext) {
		p := speak(ctx, tor, func(s *v1beta2.BGPPeerSpec) { s.DualStackAddressFamily = true })
		expectPath(ctx, four, HaveField("Peer", own.String()))
		expectPath(ctx, six, HaveField("Peer", own.String()))
		expectHops(ctx, six, []netip.Addr{own6})
		reached(ctx, six)
		expectSession(ctx, name, node, HaveField("Families", ConsistOf(v1beta1.BGPFamilyIPv4, v1beta1.BGPFamilyIPv6)))
		Expect(cluster.Gone(ctx, p.DeepCopy(), patience)).To(Succeed())
		expectNoRoute(ctx, whole(six))

		By("turning to IPv6")
		neighbour(ctx, own6.String(), "remote-as external", "capability extended-nexthop")
		speak(ctx, cluster.Lab.Router().Addr6(), func(s *v1beta2.BGPPeerSpec) { s.DualStackAddressFamily = true })
		expectPath(ctx, six, HaveField("Peer", own6.String()))
		expectPath(ctx, four, HaveField("Peer", own6.String()))
		Eventually(hops(whole(four))).WithContext(ctx).Should(HaveLen(1))
		reached(ctx, four)
	})

	It("needs no address but those that links have", func(ctx SpecContext) {
		link := lab.Downlink(node)
		neighbour(ctx, link, "interface remote-as external")
		p := on(routerAt(name, tor), node)
		p.Spec.PeerAddress, p.Spec.Interface = "", lab.Uplink
		apply(ctx, p)
		expectSession(ctx, name, node, established())
		for _, address := range []netip.Addr{four, six} {
			expectPath(ctx, address, HaveField("ASPath", "64512"))
			Eventually(hops(whole(address))).WithContext(ctx).Should(And(HaveLen(1), HaveEach(Satisfy(netip.Addr.IsLinkLocalUnicast))))
			reached(ctx, address)
		}
	})

	It("goes over several hops, with BFD", func(ctx SpecContext) {
		loop4, loop6 := lab.Loopbacks()
		apply(ctx, suite.BFDProfile("far", 100, 3))
		for _, way := range []struct{ own, loop, address netip.Addr }{{own, loop4, four}, {own6, loop6, six}} {
			neighbour(ctx, way.own.String(), "remote-as external", "ebgp-multihop 5", "update-source "+way.loop.String(), "bfd")
			p := on(routerAt(name, way.loop), node)
			p.Spec.EBGPMultiHop, p.Spec.BFDProfile = true, "far"
			Expect(cluster.Apply(ctx, p)).To(Succeed())
			DeferCleanup(func(ctx SpecContext) { Expect(cluster.Gone(ctx, p, patience)).To(Succeed()) })
			expectHops(ctx, way.address, []netip.Addr{way.own})
			reached(ctx, way.address)
			Eventually(cluster.Lab.FRR().BFD).WithContext(ctx).Should(HaveKeyWithValue(way.own.String(), And(HaveField("Multihop", true), HaveField("Status", "up"))))
			expectSession(ctx, name, node, And(established(), HaveField("BFD", HaveField("State", "Up"))))
			Expect(cluster.Gone(ctx, p.DeepCopy(), patience)).To(Succeed())
			expectNoRoute(ctx, whole(way.address))
		}
	})

	It("is signed, and takes a new password while it goes on", func(ctx SpecContext) {
		secret := func(password string) *corev1.Secret {
			return &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: suite.Namespace},
				Type:       corev1.SecretTypeBasicAuth, StringData: map[string]string{"username": "", "password": password},
			}
		}
		neighbour(ctx, own.String(), "remote-as external", "password first")
		speak(ctx, tor, func(s *v1beta2.BGPPeerSpec) { s.PasswordSecret.Name = name })
		expectSession(ctx, name, node, because(reason.PasswordSecretMissing))
		apply(ctx, secret("first"))
		expectHops(ctx, four, []netip.Addr{own})
		By("rotating the password on both sides")
		retype(ctx, own.String(), "password second")
		expectNoRoute(ctx, whole(four))
		begin := time.Now()
		Expect(cluster.Apply(ctx, secret("second"))).To(Succeed())
		expectHops(ctx, four, []netip.Addr{own})
		GinkgoWriter.Printf("the new password is used after %s\n", time.Since(begin))
		reached(ctx, four)
		By("setting a wrong one")
		Expect(cluster.Apply(ctx, secret("third"))).To(Succeed())
		expectSession(ctx, name, node, because(reason.PasswordMismatchSuspected))
		expectNoRoute(ctx, whole(four))
	})

	DescribeTable("that cannot be says why", func(ctx SpecContext, change func(*v1beta2.BGPPeerSpec), why reason.Reason) {
		speak(ctx, tor, change)
		s := expectSession(ctx, name, node, because(why))
		Expect(s.Node).To(Equal(node))
		Consistently(hops(whole(four))).WithContext(ctx).WithTimeout(500 * time.Millisecond).Should(BeEmpty())
	},
		Entry("the ASN is another's", func(s *v1beta2.BGPPeerSpec) { s.PeerASN = 65001 }, reason.PeerASNMismatch),
		Entry("nobody is there", func(s *v1beta2.BGPPeerSpec) { s.PeerAddress = "10.89.0.99" }, reason.PeerUnreachable),
		Entry("no router is there", func(s *v1beta2.BGPPeerSpec) { s.PeerAddress = "10.89.0.100" }, reason.ConnectionRefused),
		Entry("the source address is nowhere", func(s *v1beta2.BGPPeerSpec) { s.SourceAddress = "10.89.0.98" }, reason.NoSourceAddress),
		Entry("the VRF is missing, as it is on a kernel without VRF devices", func(s *v1beta2.BGPPeerSpec) { s.VRF = "red" }, reason.VRFMissing),
		Entry("no router advertises itself on the link", func(s *v1beta2.BGPPeerSpec) { s.PeerAddress, s.Interface = "", lab.SecondSegment }, reason.NoRouterAdvertisement),
	)

	It("needs another router ID than the router's within one autonomous system", func(ctx SpecContext) {
		neighbour(ctx, own.String(), "remote-as 64999")
		p := speak(ctx, tor, func(s *v1beta2.BGPPeerSpec) { s.MyASN, s.RouterID = lab.RouterASN, tor.String() })
		expectSession(ctx, name, node, because(reason.RouterIDConflict))
		p.Spec.RouterID = "10.0.0.1"
		Expect(cluster.Apply(ctx, p)).To(Succeed())
		expectHops(ctx, four, []netip.Addr{own})
	})

	It("begins anew when the router does", func(ctx SpecContext) {
		frr := cluster.Lab.FRR()
		DeferCleanup(func(ctx SpecContext) {
			Expect(frr.Start("bgpd")).To(Succeed())
			Expect(frr.Restore(ctx)).To(Succeed())
		})
		speak(ctx, tor, plain)
		expectHops(ctx, four, []netip.Addr{own})
		_, err := frr.Run(ctx, "clear bgp *")
		Expect(err).NotTo(HaveOccurred())
		expectSession(ctx, name, node, And(established(), HaveField("DroppedCount", int64(1)), HaveField("LastError", Not(BeEmpty()))))
		expectHops(ctx, four, []netip.Addr{own})
		By("killing it")
		Expect(frr.Stop(ctx, "bgpd")).To(Succeed())
		expectSession(ctx, name, node, HaveField("State", Not(Equal("Established"))))
		Expect(frr.Start("bgpd")).To(Succeed())
		begin := time.Now()
		expectSession(ctx, name, node, established())
		expectHops(ctx, four, []netip.Addr{own})
		GinkgoWriter.Printf("the session is back %s after the router\n", time.Since(begin))
		reached(ctx, four)
	})

	It("leaves its routes at the router while the speaker restarts, when both sides agree on that", func(ctx SpecContext) {
		neighbour(ctx, own.String(), "remote-as external")
		speak(ctx, tor, func(s *v1beta2.BGPPeerSpec) { s.EnableGracefulRestart = true })
		expectSession(ctx, name, node, And(established(), HaveField("GracefulRestart", true)))
		expectHops(ctx, four, []netip.Addr{own})
		before := speakerOf(ctx, node)
		count := func() int {
			s, err := cluster.Lab.FRR().Sessions(ctx)
			Expect(err).NotTo(HaveOccurred())
			return s[own.String()].Established
		}
		known := count()
		gaps := followHops(ctx, whole(four))
		Expect(cluster.Client.Delete(ctx, &before)).To(Succeed())
		Eventually(func() bool {
			pods, err := cluster.Speakers(ctx)
			Expect(err).NotTo(HaveOccurred())
			return slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName == node && p.UID != before.UID })
		}).Should(BeTrue())
		Eventually(count).Should(BeNumerically(">", known))
		expectSession(ctx, name, node, established())
		Eventually(paths(whole(four))).WithContext(ctx).Should(HaveEach(HaveField("Stale", false)))
		Expect(gaps()).To(BeZero(), "times without the route")
		reached(ctx, four)
	})
})

// followHops reads the router's kernel every few milliseconds until it is asked how often the prefix was without a next hop.
func followHops(ctx context.Context, prefix netip.Prefix) (gaps func() int) {
	GinkgoHelper()
	routes, err := cluster.Lab.Router().Routes()
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(ctx)
	found := make(chan int, 1)
	go func() {
		defer routes.Close()
		missing := 0
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				found <- missing
				return
			case <-tick.C:
				if all, err := routes.NextHops(prefix); err != nil || len(all) == 0 {
					missing++
				}
			}
		}
	}()
	DeferCleanup(cancel)
	return func() int {
		cancel()
		return <-found
	}
}
