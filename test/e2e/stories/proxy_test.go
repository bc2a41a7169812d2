// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

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

// expectNoConflict expects that for a while no node reports a conflict on an address.
func expectNoConflict(ctx context.Context, address netip.Addr) {
	GinkgoHelper()
	Consistently(conflicts).WithArguments(address).WithContext(ctx).WithTimeout(3 * time.Second).Should(BeEmpty())
}

var _ = Describe("An address on a dummy", func() {
	It("of every node is a service proxy's: one node answers, and the client reaches the Service", func(ctx SpecContext) {
		const name = "proxied"
		four, six := addressOf(0x4e0), six(0x4e0)
		serve(ctx, suite.Pool(name, rangeOf(0x4e0, 0x4e0), whole(six).String()))
		// The dummies come first, so that the speakers know them when they decide on the Service.
		dummies(ctx, cluster.Lab.Nodes(), four, six)
		apply(ctx, dualStack(suite.HelloService(namespace, name, app)))
		for _, a := range []netip.Addr{four, six} {
			expectOwner(ctx, lab.Segment, a, HaveLen(1))
			answers(ctx, a, 80)
			expectNoConflict(ctx, a)
			expectOwner(ctx, lab.Segment, a, HaveLen(1))
		}
		Eventually(statusNodes).WithArguments(name).WithContext(ctx).Should(HaveLen(1))
	})

	It("of every node is told to routers, and they reach it", func(ctx SpecContext) {
		const name = "proxied-bgp"
		four, six := routed(0x340), routed6(0x340)
		routable(ctx, name, whole(four).String(), whole(six).String())
		dummies(ctx, cluster.Lab.Nodes(), four, six)
		apply(ctx, asking(name, four, six))
		apply(ctx, routerAt("tor4", cluster.Lab.Router().Addr4()))
		apply(ctx, routerAt("tor6", cluster.Lab.Router().Addr6()))
		expectHops(ctx, four, addresses4())
		expectHops(ctx, six, addresses6())
		reached(ctx, four)
		reached(ctx, six)
		expectNoConflict(ctx, four)
		expectHops(ctx, four, addresses4())
	})

	It("of one node alone, beside a cluster IP of another Service, is that of a service proxy which stands still: it stays announced", func(ctx SpecContext) {
		const name = "stale-proxy"
		address := addressOf(0x4e8)
		other := suite.HelloService(namespace, name+"-other", "nobody")
		other.Spec.Type = corev1.ServiceTypeClusterIP
		apply(ctx, other)
		clusterIP := netip.MustParseAddr(serviceOf(ctx, other.Name).Spec.ClusterIP)
		serve(ctx, suite.Pool(name, rangeOf(0x4e8, 0x4e8)))
		dummies(ctx, cluster.Lab.Nodes()[1:2], address, clusterIP)
		apply(ctx, suite.HelloService(namespace, name, app))
		expectOwner(ctx, lab.Segment, address, HaveLen(1))
		answers(ctx, address, 80)
		expectNoConflict(ctx, address)
		expectOwner(ctx, lab.Segment, address, HaveLen(1))
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
