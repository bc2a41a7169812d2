// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

// second4 and second6 return address number n of the second segment's pools.
func second4(n int) netip.Addr { return nth(cluster.Lab.SecondPool4(), n) }
func second6(n int) netip.Addr { return nth(cluster.Lab.SecondPool6(), n) }

// segment is the host that holds the bridges.
func segment() lab.Host { return cluster.Lab.Node(cluster.Lab.Variable("LAB_SEGMENT")) }

// restricted is an advertisement for one node.
func restricted(name, node string, interfaces ...string) *v1beta1.L2Advertisement {
	ad := suite.L2Advertisement(name, name)
	ad.Spec.NodeSelectors = []metav1.LabelSelector{onNode(node)}
	ad.Spec.Interfaces = interfaces
	return ad
}

var _ = Describe("An interface that comes, changes and goes", Ordered, func() {
	const (
		name = "late"
		link = "late0"
		port = "x-late"
	)
	var (
		node      lab.Host
		addresses []netip.Addr
	)

	// plug gives the node one more leg on the second segment. Its kernel answers there for no address of another interface.
	plug := func(ctx context.Context, mac string) {
		GinkgoHelper()
		Expect(segment().Configure(ctx, fmt.Sprintf("link add %s type veth peer name %s address %s netns %s", port, link, mac, node.Name))).To(Succeed())
		Expect(node.Sysctl("net/ipv4/conf/"+link+"/arp_ignore", "1")).To(Succeed())
		Expect(node.Configure(ctx, "link set "+link+" up")).To(Succeed())
		Expect(segment().Configure(ctx, "link set "+port+" master br1 up")).To(Succeed())
	}
	unplug := func(ctx context.Context) {
		GinkgoHelper()
		Expect(segment().Configure(ctx, "link del "+port)).To(Succeed())
	}
	expectAnswers := func(ctx context.Context, macs ...string) {
		GinkgoHelper()
		for _, a := range addresses {
			Eventually(answering).WithArguments(lab.SecondSegment, a).WithContext(ctx).Should(Equal(macs), "for %s", a)
		}
	}

	BeforeAll(func(ctx SpecContext) {
		node, addresses = cluster.Lab.Nodes()[0], []netip.Addr{second4(1), second6(1)}
		apply(ctx, suite.Pool(name, addresses[0].String()+"/32", addresses[1].String()+"/128"))
		apply(ctx, restricted(name, node.Name, link))
		apply(ctx, dualStack(suite.HelloService(namespace, name, app)))
		DeferCleanup(func(ctx SpecContext) { _ = segment().Configure(ctx, "link del "+port) })
	})

	It("is waited for", func(ctx SpecContext) {
		Eventually(eventsOf).WithArguments(name).WithContext(ctx).Should(ContainElement(And(
			HavePrefix("announceFailed: "), ContainSubstring(string(reason.InterfaceMissing)), ContainSubstring(link))))
		expectAnswers(ctx)
	})

	It("is announced on as soon as it is there, in both families", func(ctx SpecContext) {
		var hearing []*lab.Watch
		for _, a := range addresses {
			watch, err := cluster.Lab.Client().Watch(ctx, lab.SecondSegment, a, time.Hour)
			Expect(err).NotTo(HaveOccurred())
			hearing = append(hearing, watch)
		}
		plug(ctx, "02:00:00:89:77:01")
		expectAnswers(ctx, "02:00:00:89:77:01")
		for _, watch := range hearing {
			Eventually(func() []time.Time { return watch.Report().Claimed("02:00:00:89:77:01") }).Should(Not(BeEmpty()))
			_, err := watch.Stop()
			Expect(err).NotTo(HaveOccurred())
		}
	})

	It("is announced with its new hardware address when that changes", func(ctx SpecContext) {
		Expect(node.Configure(ctx, "link set "+link+" address 02:00:00:89:77:02")).To(Succeed())
		expectAnswers(ctx, "02:00:00:89:77:02")
	})

	It("is announced on in IPv4 alone while it has no link-local address", func(ctx SpecContext) {
		Expect(node.Configure(ctx, "addr flush dev "+link+" scope link")).To(Succeed())
		Eventually(answering).WithArguments(lab.SecondSegment, addresses[1]).WithContext(ctx).Should(BeEmpty())
		Eventually(eventsOf).WithArguments(name).WithContext(ctx).Should(ContainElement(And(
			HavePrefix("announceFailed: "), ContainSubstring(addresses[1].String()), ContainSubstring(string(reason.NoLinkLocalAddress)))))
		Expect(answering(ctx, lab.SecondSegment, addresses[0])).To(HaveExactElements("02:00:00:89:77:02"))
		Expect(node.Configure(ctx, "addr add fe80::77/64 dev "+link+" nodad")).To(Succeed())
		expectAnswers(ctx, "02:00:00:89:77:02")
	})

	It("is left while it is switched off", func(ctx SpecContext) {
		Expect(node.Configure(ctx, "link set "+link+" down")).To(Succeed())
		expectAnswers(ctx)
		Expect(node.Configure(ctx, "link set "+link+" up")).To(Succeed())
		expectAnswers(ctx, "02:00:00:89:77:02")
	})

	It("may go and come back as another one", func(ctx SpecContext) {
		unplug(ctx)
		expectAnswers(ctx)
		plug(ctx, "02:00:00:89:77:03")
		expectAnswers(ctx, "02:00:00:89:77:03")
	})
})

var _ = Describe("A node whose hardware address changes", func() {
	It("tells the clients, and keeps its addresses", func(ctx SpecContext) {
		const name = "replaced"
		node := cluster.Lab.Nodes()[1]
		serve(ctx, suite.Pool(name, rangeOf(220, 220), six(0x220).String()+"/128"))
		apply(ctx, dualStack(suite.HelloService(namespace, name, app)))
		ad := restricted(name, node.Name)
		Expect(cluster.Apply(ctx, ad)).To(Succeed())
		for _, a := range []netip.Addr{addressOf(220), six(0x220)} {
			expectOwner(ctx, lab.Segment, a, HaveExactElements(node.Name))
			answers(ctx, a, 80)
		}
		before, err := node.MAC(lab.Segment)
		Expect(err).NotTo(HaveOccurred())
		replaced := net.HardwareAddr{2, 0, 0, 0x89, 0x77, 0x10}

		// A card that is replaced behind a bond: the kernel tells the neighbours of the node's own addresses too.
		for _, key := range []string{"net/ipv4/conf/eth0/arp_notify", "net/ipv6/conf/eth0/ndisc_notify"} {
			Expect(node.Sysctl(key, "1")).To(Succeed())
			DeferCleanup(func() { Expect(node.Sysctl(key, "0")).To(Succeed()) })
		}
		change := func(ctx context.Context, mac net.HardwareAddr) {
			GinkgoHelper()
			Expect(node.Configure(ctx, "link set eth0 address "+mac.String())).To(Succeed())
		}
		DeferCleanup(func(ctx SpecContext) { change(ctx, before) })
		watches := map[netip.Addr]*lab.Watch{}
		for _, a := range []netip.Addr{addressOf(220), six(0x220)} {
			watches[a], err = cluster.Lab.Client().Watch(ctx, lab.Segment, a, 10*time.Millisecond)
			Expect(err).NotTo(HaveOccurred())
			Eventually(func() string { return watches[a].Report().Owner() }).Should(Equal(before.String()))
		}
		change(ctx, replaced)
		for a, watch := range watches {
			Eventually(func() string { return watch.Report().Owner() }).Should(Equal(replaced.String()))
			Eventually(func() []time.Time { return watch.Report().Claimed(replaced.String()) }).Should(Not(BeEmpty()))
			answers(ctx, a, 80)
			report, err := watch.Stop()
			Expect(err).NotTo(HaveOccurred())
			Expect(report.Owners()).To(HaveExactElements(before.String(), replaced.String()))
			Expect(report.LongestSilence).To(BeNumerically("<", time.Second))
		}
	})
})

var _ = Describe("An address of the second segment", Ordered, func() {
	const name = "second"
	var (
		address netip.Addr
		home    string
	)

	BeforeAll(func(ctx SpecContext) {
		address = second4(10)
		serve(ctx, suite.Pool(name, address.String()+"/32"))
		apply(ctx, suite.HelloService(namespace, name, app))
	})

	It("is announced there, and works", func(ctx SpecContext) {
		home = expectOwner(ctx, lab.SecondSegment, address, HaveLen(1))
		answers(ctx, address, 80)
	})

	It("is announced by the node that is there when the others are not", func(ctx SpecContext) {
		away := func(ctx context.Context, node lab.Host) {
			GinkgoHelper()
			own, err := node.Addresses(lab.SecondSegment)
			Expect(err).NotTo(HaveOccurred())
			for _, a := range own {
				bits := 16
				if a.Is6() {
					bits = 64
				}
				prefix := netip.PrefixFrom(a, bits)
				Expect(node.Configure(ctx, "addr del "+prefix.String()+" dev "+lab.SecondSegment)).To(Succeed())
				DeferCleanup(func(ctx SpecContext) {
					Expect(node.Configure(ctx, "addr replace "+prefix.String()+" dev "+lab.SecondSegment)).To(Succeed())
				})
			}
		}
		away(ctx, cluster.Lab.Node(home))
		now := expectOwner(ctx, lab.SecondSegment, address, Not(HaveExactElements(home)))
		away(ctx, cluster.Lab.Node(now))
		expectOwner(ctx, lab.SecondSegment, address, HaveExactElements(Not(BeElementOf(home, now))))
		answers(ctx, address, 80)
	})

	It("is announced by its first owner when that is there again", func(ctx SpecContext) {
		expectOwner(ctx, lab.SecondSegment, address, HaveExactElements(home))
		answers(ctx, address, 80)
	})
})
