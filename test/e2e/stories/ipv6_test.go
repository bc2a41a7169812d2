// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"net"
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

var _ = Describe("A Service with an IPv6 address", Ordered, func() {
	const name = "six"
	var (
		four, address netip.Addr
		owner         string
	)

	// ask asks for one of the addresses and returns what was heard meanwhile.
	ask := func(ctx context.Context, address netip.Addr, question lab.Question) lab.Report {
		GinkgoHelper()
		report, err := cluster.Lab.Client().Ask(ctx, lab.Segment, address, question, 300*time.Millisecond)
		Expect(err).NotTo(HaveOccurred())
		return report
	}
	macOf := func(node string) net.HardwareAddr {
		GinkgoHelper()
		mac, err := cluster.Lab.Node(node).MAC(lab.Segment)
		Expect(err).NotTo(HaveOccurred())
		return mac
	}
	reachable := func(ctx context.Context) {
		GinkgoHelper()
		for _, host := range []lab.Host{cluster.Lab.Client(), cluster.Lab.RoutedClient()} {
			for _, a := range []netip.Addr{four, address} {
				line, err := cluster.Get(ctx, host, a, 80, patience)
				Expect(err).NotTo(HaveOccurred())
				Expect(line).To(ContainSubstring("Hello"))
			}
		}
	}

	BeforeAll(func(ctx SpecContext) {
		four, address = addressOf(210), six(0x210)
		serve(ctx, suite.Pool(name, rangeOf(210, 210), netip.PrefixFrom(address, 128).String()))
		apply(ctx, dualStack(suite.HelloService(namespace, name, app)))
		Eventually(addressesOf).WithArguments(ctx, name).Should(HaveExactElements(four.String(), address.String()))
	})

	It("has one owner for both families", func(ctx SpecContext) {
		owner = expectOwner(ctx, lab.Segment, address, HaveLen(1))
		Expect(expectOwner(ctx, lab.Segment, four, HaveLen(1))).To(Equal(owner))
		Eventually(statusNodes).WithArguments(name).WithContext(ctx).Should(ConsistOf(owner))
	})

	It("is confirmed to a client that asks its owner alone", func(ctx SpecContext) {
		// A late answer of the owner must not be taken for one of the other node: the owner is asked last, and was asked for this address first
		// the longest ago.
		for _, a := range []netip.Addr{address, four} {
			By("asking a node that does not own it")
			Expect(ask(ctx, a, lab.Question{To: macOf(otherNodes(owner)[0])}).Owners()).To(BeEmpty())
			By("asking the owner")
			report := ask(ctx, a, lab.Question{To: macOf(owner)})
			Expect(report.Owners()).To(HaveExactElements(macOf(owner).String()))
			Expect(report.Answers).To(BeNumerically(">", 10))
		}
	})

	It("is defended against a host that is about to take it", func(ctx SpecContext) {
		Expect(ask(ctx, four, lab.Question{Probe: true}).Owners()).To(HaveExactElements(macOf(owner).String()))
		report := ask(ctx, address, lab.Question{Probe: true})
		Expect(report.Heard()).To(HaveExactElements(macOf(owner).String()))
		Expect(len(report.Claimed(macOf(owner).String()))).To(BeNumerically(">", 10), "every probe is answered, to all nodes")

		By("giving it to a host whose kernel checks")
		stranger := cluster.Lab.Stranger()
		Expect(stranger.Sysctl("net/ipv6/conf/eth0/accept_dad", "1")).To(Succeed())
		DeferCleanup(func() { Expect(stranger.Sysctl("net/ipv6/conf/eth0/accept_dad", "0")).To(Succeed()) })
		Expect(stranger.Configure(ctx, "addr add "+address.String()+"/128 dev eth0")).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(cluster.Lab.Pacify(ctx)).To(Succeed()) })
		Eventually(func(ctx context.Context) (string, error) {
			out, err := stranger.Command(ctx, "ip", "-6", "address", "show", "dev", "eth0", "dadfailed").Output()
			return string(out), err
		}).WithContext(ctx).Should(ContainSubstring(address.String()))
	})

	It("is reachable in both families, from the segment and from behind the router", func(ctx SpecContext) {
		reachable(ctx)
	})

	It("moves within a second when its owner is cut off, with both addresses, and tells the neighbours", func(ctx SpecContext) {
		reachable(ctx) // so that the clients' kernels remember where it was
		others, err := cluster.Lab.Client().Watch(ctx, lab.Segment, four, 10*time.Millisecond)
		Expect(err).NotTo(HaveOccurred())
		hearing, err := cluster.Lab.Client().Watch(ctx, lab.Segment, address, time.Hour)
		Expect(err).NotTo(HaveOccurred())
		move, err := cluster.Watch(ctx, address, patience, func(ctx context.Context) error { return cluster.Lab.Cut(ctx, owner) })
		Expect(err).NotTo(HaveOccurred())
		Expect(move.From).To(Equal(owner))
		GinkgoWriter.Printf("%s moved from %s to %s after a silence of %s\n", address, move.From, move.To, move.Silence)
		Expect(move.Silence).To(BeNumerically("<", time.Second))
		Eventually(func() []time.Time { return hearing.Report().Claimed(macOf(move.To).String()) }).Should(Not(BeEmpty()))
		Eventually(func() ([]string, error) { return named(others.Report().Owners()) }).Should(HaveExactElements(owner, move.To))
		reachable(ctx)
		for _, watch := range []*lab.Watch{others, hearing} {
			_, err := watch.Stop()
			Expect(err).NotTo(HaveOccurred())
		}
	})

	It("goes home when the link is back", func(ctx SpecContext) {
		Expect(cluster.Lab.Heal(ctx, owner)).To(Succeed())
		for _, a := range []netip.Addr{address, four} {
			expectOwner(ctx, lab.Segment, a, HaveExactElements(owner))
		}
		Expect(cluster.AwaitNodesReady(ctx, 2*time.Minute)).To(Succeed())
	})

	It("falls silent after it was deleted", func(ctx SpecContext) {
		Expect(cluster.Gone(ctx, suite.HelloService(namespace, name, app), patience)).To(Succeed())
		expectNobody(ctx, lab.Segment, address)
		expectNobody(ctx, lab.Segment, four)
		Expect(ask(ctx, address, lab.Question{Probe: true}).Heard()).To(BeEmpty())
		Expect(ask(ctx, address, lab.Question{To: macOf(owner)}).Heard()).To(BeEmpty())
	})

	It("needs no IPv4 address", func(ctx SpecContext) {
		alone := suite.HelloService(namespace, "six-alone", app)
		alone.Spec.IPFamilyPolicy, alone.Spec.IPFamilies = ptr.To(corev1.IPFamilyPolicySingleStack), []corev1.IPFamily{corev1.IPv6Protocol}
		apply(ctx, alone)
		Eventually(addressesOf).WithArguments(ctx, "six-alone").Should(HaveExactElements(address.String()))
		expectOwner(ctx, lab.Segment, address, HaveLen(1))
		answers(ctx, address, 80)
	})
})
