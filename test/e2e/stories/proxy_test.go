// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"metalsuite.io/api/reason"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

// dummies configures addresses on a dummy of some nodes and asks for a strict ARP there, as kube-router does. The name means nothing to a
// speaker, so it is none that a service proxy uses.
func dummies(ctx context.Context, nodes []lab.Host, addresses ...netip.Addr) {
	GinkgoHelper()
	const nic = "svc0"
	for _, node := range nodes {
		Expect(node.Sysctl("net/ipv4/conf/all/arp_ignore", "1")).To(Succeed())
		if node.Configure(ctx, "link add "+nic+" type dummy") != nil {
			// A kernel without dummies: an ifb does not use ARP either, and drops frames.
			Expect(node.Configure(ctx, "link add "+nic+" type ifb")).To(Succeed())
		}
		Expect(node.Configure(ctx, "link set "+nic+" up")).To(Succeed())
		DeferCleanup(func(ctx SpecContext) {
			_ = node.Configure(ctx, "link del "+nic)
			Expect(node.Sysctl("net/ipv4/conf/all/arp_ignore", "0")).To(Succeed())
		})
		for _, a := range addresses {
			Expect(node.Configure(ctx, "address add "+whole(a).String()+" dev "+nic)).To(Succeed())
		}
	}
}

var _ = Describe("An address on a dummy", func() {
	It("of every node is a service proxy's: one node answers, and the client reaches the Service", func(ctx SpecContext) {
		const name = "proxied"
		four, six := addressOf(0x4e0), six(0x4e0)
		serve(ctx, suite.Pool(name, rangeOf(0x4e0, 0x4e0), whole(six).String()))
		apply(ctx, dualStack(suite.HelloService(namespace, name, app)))
		for _, a := range []netip.Addr{four, six} {
			expectOwner(ctx, lab.Segment, a, HaveLen(1))
		}

		dummies(ctx, cluster.Lab.Nodes(), four, six)
		for _, a := range []netip.Addr{four, six} {
			expectOwner(ctx, lab.Segment, a, HaveLen(1))
			answers(ctx, a, 80)
			Eventually(conflicts).WithArguments(a).WithContext(ctx).Should(BeEmpty())
		}
		Eventually(statusNodes).WithArguments(name).WithContext(ctx).Should(HaveLen(1))
	})

	It("of every node is told to routers, and they reach it", func(ctx SpecContext) {
		const name = "proxied-bgp"
		four, six := routed(0x340), routed6(0x340)
		routable(ctx, name, whole(four).String(), whole(six).String())
		apply(ctx, asking(name, four, six))
		apply(ctx, routerAt("tor4", cluster.Lab.Router().Addr4()))
		apply(ctx, routerAt("tor6", cluster.Lab.Router().Addr6()))
		dummies(ctx, cluster.Lab.Nodes(), four, six)
		expectHops(ctx, four, addresses4())
		expectHops(ctx, six, addresses6())
		reached(ctx, four)
		reached(ctx, six)
		Eventually(conflicts).WithArguments(four).WithContext(ctx).Should(BeEmpty())
	})

	It("of one node alone is that node's own, and nobody announces it", func(ctx SpecContext) {
		const name = "loopback"
		address, node := addressOf(0x4f0), cluster.Lab.Nodes()[1]
		serve(ctx, suite.Pool(name, rangeOf(0x4f0, 0x4f0)))
		apply(ctx, suite.HelloService(namespace, name, app))
		expectOwner(ctx, lab.Segment, address, HaveLen(1))

		dummies(ctx, []lab.Host{node}, address)
		expectNobody(ctx, lab.Segment, address)
		Eventually(conflicting).WithArguments(ctx, name).Should(conflicted(reason.LocalAddress, node.Name))
		Eventually(conflicts).WithArguments(address).WithContext(ctx).Should(HaveExactElements(
			And(sighted(reason.LocalAddress, "", true), HaveField("Node", node.Name))))

		By("removing the dummy")
		Expect(node.Configure(ctx, "link del svc0")).To(Succeed())
		expectOwner(ctx, lab.Segment, address, HaveLen(1))
		answers(ctx, address, 80)
	})
})
