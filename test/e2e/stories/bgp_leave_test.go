// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"net/netip"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/test/suite"
)

// expectParting expects that soon the router has no path to an address from these speakers any more, and that it had each of them marked as
// about to go before (RFC 8326). It waits for less than the two minutes that the router keeps routes over a restart.
func expectParting(ctx context.Context, address netip.Addr, speakers ...netip.Addr) {
	GinkgoHelper()
	marked := map[string]bool{}
	Eventually(func(ctx context.Context) ([]string, error) {
		all, err := paths(whole(address))(ctx)
		var from []string
		for _, path := range all {
			if !slices.ContainsFunc(speakers, func(a netip.Addr) bool { return a.String() == path.Peer }) {
				continue
			}
			from = append(from, path.Peer)
			if slices.Contains(path.Communities, "graceful-shutdown") {
				marked[path.Peer] = true
			}
		}
		return from, err
	}).WithContext(ctx).WithTimeout(3 * patience).WithPolling(5 * time.Millisecond).Should(BeEmpty())
	Expect(marked).To(HaveLen(len(speakers)), "marked before they went")
}

// keeping returns a peer for the router that keeps routes over a restart.
func keeping(ctx context.Context, name string) *v1beta2.BGPPeer {
	GinkgoHelper()
	for _, own := range addresses4() {
		neighbour(ctx, own.String(), "remote-as external")
	}
	p := routerAt(name, cluster.Lab.Router().Addr4())
	p.Spec.EnableGracefulRestart = true
	return p
}

// expectKept expects that all speakers have agreed with the router that it keeps routes over a restart.
func expectKept(ctx context.Context, peer string) {
	GinkgoHelper()
	for _, node := range otherNodes("") {
		expectSession(ctx, peer, node, And(established(), HaveField("GracefulRestart", true)))
	}
}

// drained tells the story of a node that is drained, and is not any more.
func drained(ctx context.Context, name string, address netip.Addr, drain func(ctx context.Context, node string, on bool)) {
	GinkgoHelper()
	node := nodeName(0)
	routable(ctx, name, whole(address).String())
	apply(ctx, asking(name, address))
	apply(ctx, routerAt(name, cluster.Lab.Router().Addr4()))
	expectHops(ctx, address, addresses4())
	before := steady(ctx)
	drain(ctx, node, true)
	DeferCleanup(func(ctx SpecContext) { drain(ctx, node, false) })
	expectParting(ctx, address, addresses4(node)...)
	expectHops(ctx, address, addresses4(otherNodes(node)...))
	reached(ctx, address)
	Eventually(toldPeers(name)).WithContext(ctx).Should(Not(HaveKey(node)))
	drain(ctx, node, false)
	expectHops(ctx, address, addresses4())
	expectSteady(ctx, before, "the session stays")
}

var _ = Describe("A node that is drained", func() {
	It("tells routers first that it goes, and is back when it is not drained any more", func(ctx SpecContext) {
		drained(ctx, "drained", routed(0x320), func(ctx context.Context, node string, on bool) {
			label(ctx, node, v1beta1.LabelDrain, map[bool]string{true: "true"}[on])
		})
	})
})

// The MetalLB resource is edited three times here, since each edit restarts the speakers.
var _ = Describe("A MetalLB resource that chooses where and how BGP is spoken", Ordered, func() {
	const chosen = "story/chosen"
	BeforeAll(func(ctx SpecContext) {
		for _, node := range otherNodes("") {
			label(ctx, node, chosen, "yes")
			DeferCleanup(func(ctx SpecContext) { label(ctx, node, chosen, "") })
		}
		DeferCleanup(func(ctx SpecContext) { configure(ctx, func(*v1beta1.MetalLBSpec) {}) })
		configure(ctx, func(s *v1beta1.MetalLBSpec) {
			s.NodeSelector = map[string]string{chosen: "yes"}
			s.Announcers = []v1beta1.Announcer{{Name: "l2"}, {Name: "bgp", BGP: &v1beta1.BGPAnnouncer{DrainOnCordon: ptr.To(true)}}}
		})
	})

	It("drains a node that is cordoned if it says so", func(ctx SpecContext) {
		drained(ctx, "cordoned", routed(0x321), cordon)
	})

	It("lets a node that is not chosen any more, and then all speakers without BGP, take leave of routers that would keep their routes", func(ctx SpecContext) {
		const name = "unchosen"
		four, node := routed(0x322), nodeName(0)
		routable(ctx, name, whole(four).String())
		apply(ctx, asking(name, four))
		apply(ctx, keeping(ctx, name))
		expectHops(ctx, four, addresses4())
		expectKept(ctx, name)
		label(ctx, node, chosen, "")
		expectParting(ctx, four, addresses4(node)...)
		expectHops(ctx, four, addresses4(otherNodes(node)...))
		reached(ctx, four)

		m := suite.MetalLB()
		m.Spec.NodeSelector, m.Spec.Announcers = map[string]string{chosen: "yes"}, []v1beta1.Announcer{{Name: "l2"}}
		Expect(cluster.Apply(ctx, m)).To(Succeed())
		expectParting(ctx, four, addresses4(otherNodes(node)...)...)
		expectNoRoute(ctx, whole(four))
		Expect(cluster.AwaitAvailable(ctx, 2*time.Minute)).To(Succeed())
	})
})

var _ = Describe("Speakers that are removed", func() {
	It("take leave of the routers, which forget them at once, also those that would keep routes over a restart", func(ctx SpecContext) {
		const name = "leaving"
		four := routed(0x330)
		routable(ctx, name, whole(four).String())
		apply(ctx, asking(name, four))
		apply(ctx, keeping(ctx, name))
		expectHops(ctx, four, addresses4())
		expectKept(ctx, name)
		DeferCleanup(func(ctx SpecContext) { configure(ctx, func(*v1beta1.MetalLBSpec) {}) })
		Expect(cluster.Client.Delete(ctx, suite.MetalLB())).To(Succeed())
		expectParting(ctx, four, addresses4()...)
		expectNoRoute(ctx, whole(four))
	})
})
