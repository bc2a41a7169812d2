// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"net/netip"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

var _ = Describe("A router that sends rubbish", func() {
	It("harms neither the other sessions nor BFD nor layer 2", func(ctx SpecContext) {
		const name = "hostile"
		four, other, node := routed(0x310), addressOf(0x500), nodeName(0)
		own := cluster.Lab.Node(node).Addr4()
		routable(ctx, name, whole(four).String())
		apply(ctx, asking(name, four))
		serve(ctx, suite.Pool(name+"-l2", rangeOf(0x500, 0x500)))
		l2 := suite.L2Advertisement(name+"-l2", name+"-l2")
		l2.Spec.NodeSelectors = append(l2.Spec.NodeSelectors, onNode(node))
		Expect(cluster.Apply(ctx, l2)).To(Succeed())
		apply(ctx, asking(name+"-l2", other))
		apply(ctx, suite.BFDProfile(name, 100, 3))
		good := on(routerAt("good", cluster.Lab.Router().Addr4()), node)
		good.Spec.BFDProfile = name
		apply(ctx, good)
		expectHops(ctx, four, []netip.Addr{own})
		expectSession(ctx, "good", node, HaveField("BFD.State", "Up"))
		expectOwner(ctx, lab.Segment, other, HaveExactElements(node))
		before, pod := steady(ctx), speakerOf(ctx, node)
		ups, err := cluster.Lab.FRR().Ups(ctx, own.String())
		Expect(err).NotTo(HaveOccurred())
		watch, err := cluster.Lab.Client().Watch(ctx, lab.Segment, other, 10*time.Millisecond)
		Expect(err).NotTo(HaveOccurred())
		gaps := followHops(ctx, whole(four))

		By("attacking whoever connects")
		stranger := cluster.Lab.Stranger()
		var bad []*lab.Hostile
		attacks := lab.Attacks(lab.RouterASN, stranger.Addr4())
		// One listener for each message that is known to end GoBGP, and one for all the others.
		for i, group := range append(slices.Collect(slices.Chunk(attacks[:6], 1)), attacks[6:]) {
			port := uint16(1800 + i)
			h, err := stranger.Hostile(ctx, port, lab.RouterASN, group...)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func() { Expect(h.Stop()).To(Succeed()) })
			bad = append(bad, h)
			p := on(suite.BGPPeer("bad-"+string(rune('a'+i)), lab.RouterASN, stranger.Addr4()), node)
			p.Spec.PeerPort = port
			apply(ctx, p)
		}
		for _, port := range []uint16{3784, 4784, 3785} {
			for range 20 {
				Expect(stranger.GarbageBFD(ctx, netip.AddrPortFrom(own, port))).To(Succeed())
			}
		}
		for i, h := range bad {
			enough := 2
			if i == len(bad)-1 {
				enough = 1
			}
			Eventually(h.Sent).WithTimeout(time.Minute).Should(And(Not(BeEmpty()), HaveEach(BeNumerically(">=", enough))))
			expectSession(ctx, "bad-"+string(rune('a'+i)), node, And(HaveField("Reason", Not(BeEmpty())), HaveField("LastError", Not(BeEmpty()))))
			GinkgoWriter.Printf("sent: %v\n", h.Sent())
		}

		By("looking at everything else")
		Expect(gaps()).To(BeZero(), "times without the route")
		expectSteady(ctx, before, "a session that has nothing to do with it")
		Expect(cluster.Lab.FRR().Ups(ctx, own.String())).To(Equal(ups))
		report, err := watch.Stop()
		Expect(err).NotTo(HaveOccurred())
		Expect(report.Owners()).To(HaveLen(1))
		Expect(report.LongestSilence).To(BeNumerically("<", time.Second))
		now := speakerOf(ctx, node)
		Expect(now.UID).To(Equal(pod.UID))
		Expect(now.Status.ContainerStatuses[0].RestartCount).To(Equal(pod.Status.ContainerStatuses[0].RestartCount))
		reached(ctx, four)
	})
})
