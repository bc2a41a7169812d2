// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"net/netip"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

// reported matches the conflicts of an address that no Service has. One node writes, but a node that sees the pool before the others writes too.
func reported(each OmegaMatcher) OmegaMatcher { return And(Not(BeEmpty()), HaveEach(each)) }

var _ = Describe("The address of a router in a pool", func() {
	It("is granted to no Service while a route leads through it", func(ctx SpecContext) {
		const name = "routed-pool"
		address, nodes := addressOf(0x490), cluster.Lab.Nodes()
		for _, node := range nodes {
			Expect(node.Configure(ctx, "route replace 198.51.100.0/24 via "+address.String())).To(Succeed())
			DeferCleanup(func(ctx SpecContext) { _ = node.Configure(ctx, "route del 198.51.100.0/24") })
		}
		serve(ctx, suite.Pool(name, rangeOf(0x490, 0x490+9)))
		Eventually(conflicts).WithArguments(address).WithContext(ctx).Should(reported(sighted(reason.NextHopAddress, "", true)))

		apply(ctx, suite.HelloService(namespace, name, app))
		Eventually(addressesOf).WithArguments(ctx, name).Should(HaveExactElements(address.Next().String()))
		expectOwner(ctx, lab.Segment, address.Next(), HaveLen(1))
		wants := suite.HelloService(namespace, name+"-wants", app)
		wants.Annotations = map[string]string{v1beta1.AnnotationLoadBalancerIPs: address.String()}
		apply(ctx, wants)
		Eventually(allocated).WithArguments(ctx, wants.Name).Should(refusedFor(reason.NextHopAddress))

		By("taking the routes away")
		for _, node := range nodes {
			Expect(node.Configure(ctx, "route del 198.51.100.0/24")).To(Succeed())
		}
		Eventually(conflicts).WithArguments(address).WithContext(ctx).Should(BeEmpty())
		Eventually(addressesOf).WithArguments(ctx, wants.Name).Should(HaveExactElements(address.String()))
		expectOwner(ctx, lab.Segment, address, HaveLen(1))
	})
})

var _ = Describe("A pool that begins with the subnet-router anycast address", func() {
	It("grants the second address first", func(ctx SpecContext) {
		const name = "anycast-pool"
		f := families[1]
		subnet := netip.PrefixFrom(six(0x4a0), 125).Masked()
		for i, node := range cluster.Lab.Nodes() {
			own := netip.PrefixFrom(six(0x4a0+4+i), 125).String()
			Expect(node.Configure(ctx, "addr replace "+own+" dev eth0 nodad")).To(Succeed())
			DeferCleanup(func(ctx SpecContext) { _ = node.Configure(ctx, "addr del "+own+" dev eth0") })
		}
		serve(ctx, suite.Pool(name, subnet.String()))
		Eventually(conflicts).WithArguments(subnet.Addr()).WithContext(ctx).Should(reported(
			And(sighted(reason.SubnetRouterAnycast, "", true), HaveField("Message", ContainSubstring(subnet.String())))))
		apply(ctx, f.service(name))
		second := subnet.Addr().Next()
		Eventually(addressesOf).WithArguments(ctx, name).Should(HaveExactElements(second.String()))
		expectOwner(ctx, lab.Segment, second, HaveLen(1))

		wants := f.service(name + "-wants")
		wants.Annotations = map[string]string{v1beta1.AnnotationLoadBalancerIPs: subnet.Addr().String()}
		apply(ctx, wants)
		Eventually(allocated).WithArguments(ctx, wants.Name).Should(refusedFor(reason.SubnetRouterAnycast))
	})
})
