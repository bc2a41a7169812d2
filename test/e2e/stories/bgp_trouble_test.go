// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"metalsuite.io/api/reason"
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

var _ = Describe("A router that sends a full table", func() {
	It("keeps its session, costs no memory, and is warned of", func(ctx SpecContext) {
		const name, port = "full-table", uint16(1850)
		address, node := routed(0x320), nodeName(0)
		routable(ctx, name, whole(address).String())
		apply(ctx, asking(name, address))
		apply(ctx, on(routerAt("good", cluster.Lab.Router().Addr4()), node))
		expectHops(ctx, address, []netip.Addr{cluster.Lab.Node(node).Addr4()})
		before, pod := steady(ctx), speakerOf(ctx, node)
		container, err := suite.ContainerOf(&pod)
		Expect(err).NotTo(HaveOccurred())
		unlimited, err := container.LimitMemory(512)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(unlimited()).To(Succeed()) })
		memory, err := container.Memory()
		Expect(err).NotTo(HaveOccurred())
		gaps := followHops(ctx, whole(address))

		By("sending 200,000 routes with long AS paths")
		stranger := cluster.Lab.Stranger()
		flood, err := stranger.Hostile(ctx, port, lab.RouterASN, lab.FullTable(200_000, 2*time.Minute))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(flood.Stop()).To(Succeed()) })
		p := on(suite.BGPPeer(name, lab.RouterASN, stranger.Addr4()), node)
		p.Spec.PeerPort = port
		apply(ctx, p)
		seen := expectSession(ctx, name, node, And(HaveField("State", "Established"), HaveField("Reason", string(reason.TooManyRoutes))))
		Consistently(session(name, node)).WithContext(ctx).WithTimeout(30 * time.Second).WithPolling(time.Second).
			Should(And(HaveField("State", "Established"), HaveField("DroppedCount", seen.DroppedCount)))

		By("looking at the speaker")
		Expect(container.Memory()).To(BeNumerically("<", memory+64), "MiB; a child of its own needs some 10")
		Expect(gaps()).To(BeZero(), "times without the route")
		expectSteady(ctx, before, "a session that has nothing to do with it")
		now := speakerOf(ctx, node)
		Expect(now.UID).To(Equal(pod.UID))
		Expect(now.Status.ContainerStatuses[0].RestartCount).To(Equal(pod.Status.ContainerStatuses[0].RestartCount))
	})

	It("does not end the speaker when the kernel ends its process", func(ctx SpecContext) {
		const name = "killed"
		address, node := routed(0x321), nodeName(0)
		routable(ctx, name, whole(address).String())
		apply(ctx, asking(name, address))
		apply(ctx, on(routerAt(name, cluster.Lab.Router().Addr4()), node))
		expectSession(ctx, name, node, established())
		pod := speakerOf(ctx, node)
		container, err := suite.ContainerOf(&pod)
		Expect(err).NotTo(HaveOccurred())
		processes, err := container.Processes()
		Expect(err).NotTo(HaveOccurred())
		first := 0
		for _, id := range processes {
			if adjusted, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", id)); err == nil && string(adjusted) == "1000\n" {
				Expect(syscall.Kill(id, syscall.SIGKILL)).To(Succeed())
				first++
			}
		}
		Expect(first).NotTo(BeZero(), "the kernel would end the processes of sessions first")
		expectSession(ctx, name, node, And(established(), HaveField("LastError", ContainSubstring("signal: killed"))))
		now := speakerOf(ctx, node)
		Expect(now.UID).To(Equal(pod.UID))
		Expect(now.Status.ContainerStatuses[0].RestartCount).To(Equal(pod.Status.ContainerStatuses[0].RestartCount))
	})
})

var _ = Describe("IPv4 prefixes over a session of IPv6", func() {
	It("have the node's IPv4 address as next hop when the router does not offer another", func(ctx SpecContext) {
		const name = "six"
		address := routed(0x322)
		routable(ctx, name, whole(address).String())
		apply(ctx, asking(name, address))
		apply(ctx, routerAt(name+"-4", cluster.Lab.Router().Addr4()))
		both := routerAt(name+"-6", cluster.Lab.Router().Addr6())
		both.Spec.DualStackAddressFamily = true
		apply(ctx, both)
		var own []netip.Addr
		var next []string
		for _, node := range cluster.Lab.Nodes() {
			expectSession(ctx, name+"-4", node.Name, established())
			expectSession(ctx, name+"-6", node.Name, established())
			own, next = append(own, node.Addr4()), append(next, node.Addr4().String())
		}
		Eventually(paths(whole(address))).WithContext(ctx).Should(And(HaveLen(2*len(own)), HaveEach(HaveField("NextHops", HaveEach(BeElementOf(next))))))
		expectHops(ctx, address, own)
	})
})
