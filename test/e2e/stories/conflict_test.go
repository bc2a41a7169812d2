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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

// family is one of the two, with addresses that belong to one story.
type family struct {
	name  corev1.IPFamily
	pool  func(first, last int) string
	first func(n int) netip.Addr
}

var families = []family{
	{corev1.IPv4Protocol, rangeOf, addressOf},
	{corev1.IPv6Protocol, func(first, last int) string { return six(first).String() + "-" + six(last).String() }, six},
}

// service returns a Service of the family.
func (f family) service(name string) *corev1.Service {
	s := suite.HelloService(namespace, name, app)
	s.Spec.IPFamilyPolicy, s.Spec.IPFamilies = ptr.To(corev1.IPFamilyPolicySingleStack), []corev1.IPFamily{f.name}
	return s
}

// sighted matches what speakers tell of an address.
func sighted(why reason.Reason, mac string, withdrawn bool) OmegaMatcher {
	return And(HaveField("Reason", string(why)), HaveField("HardwareAddress", mac), HaveField("Withdrawn", withdrawn))
}

// conflicted matches the condition of a Service whose address something else uses.
func conflicted(why reason.Reason, message string) OmegaMatcher {
	return And(Not(BeNil()), HaveField("Status", metav1.ConditionTrue), HaveField("Reason", string(why)), HaveField("Message", ContainSubstring(message)))
}

var _ = Describe("An address that a stranger uses", func() {
	for i, f := range families {
		Context("in "+string(f.name), Ordered, func() {
			name := []string{"strange4", "strange6"}[i]
			var (
				address netip.Addr
				mac     string
			)

			BeforeAll(func(ctx SpecContext) {
				address = f.first(0x400)
				hardware, err := cluster.Lab.Stranger().MAC(lab.Segment)
				Expect(err).NotTo(HaveOccurred())
				mac = hardware.String()
				uses(ctx, cluster.Lab.Stranger(), lab.Segment, address)
				serve(ctx, suite.Pool(name, f.pool(0x400, 0x400+39)))
				apply(ctx, f.service(name))
				Eventually(addressesOf).WithArguments(ctx, name).Should(HaveExactElements(address.String()))
			})

			It("is left to the stranger, and the Service says so", func(ctx SpecContext) {
				Eventually(answering).WithArguments(lab.Segment, address).WithContext(ctx).Should(HaveExactElements(mac))
				Eventually(conflicts).WithArguments(address).WithContext(ctx).Should(HaveExactElements(
					And(sighted(reason.AddressConflict, mac, true), HaveField("Interface", lab.Segment))))
				Eventually(conflicting).WithArguments(ctx, name).Should(conflicted(reason.AddressConflict, mac))
				Eventually(eventsOf).WithArguments(name).WithContext(ctx).Should(ContainElement(And(
					HavePrefix(string(reason.AddressConflict)+": "), ContainSubstring(mac))))
				Eventually(statusNodes).WithArguments(name).WithContext(ctx).Should(BeEmpty())
				Consistently(answering).WithArguments(lab.Segment, address).WithContext(ctx).WithTimeout(time.Second).Should(HaveExactElements(mac))
			})

			It("is announced when the stranger has gone", func(ctx SpecContext) {
				begin := time.Now()
				Expect(cluster.Lab.Stranger().Leave(ctx, lab.Segment, address)).To(Succeed())
				owner := expectOwner(ctx, lab.Segment, address, HaveExactElements(BeElementOf(otherNodes(""))))
				GinkgoWriter.Printf("%s is announced %s after the stranger left\n", address, time.Since(begin))
				Expect(time.Since(begin)).To(BeNumerically("<", 15*time.Second))
				answers(ctx, address, 80)
				Eventually(statusNodes).WithArguments(name).WithContext(ctx).Should(ConsistOf(owner))
				Eventually(conflicts).WithArguments(address).WithContext(ctx).Should(HaveEach(sighted(reason.AddressConflict, mac, false)))
			})

			It("is granted to nobody else meanwhile", func(ctx SpecContext) {
				Expect(cluster.Gone(ctx, f.service(name), patience)).To(Succeed())
				expectNobody(ctx, lab.Segment, address)
				apply(ctx, f.service(name+"-next"))
				Eventually(addressesOf).WithArguments(ctx, name+"-next").Should(HaveExactElements(address.Next().String()))
				expectOwner(ctx, lab.Segment, address.Next(), HaveLen(1))
			})
		})
	}
})

var _ = Describe("A forged claim of an address in use", func() {
	for i, f := range families {
		It("is met by the owner, which keeps the address, in "+string(f.name), func(ctx SpecContext) {
			name, address := []string{"forged4", "forged6"}[i], f.first(0x440)
			forged := net.HardwareAddr{2, 0, 0, 0x66, 0x66, byte(i)}
			watch, err := cluster.Lab.Client().Watch(ctx, lab.Segment, address, 10*time.Millisecond)
			Expect(err).NotTo(HaveOccurred())
			claims := func(mac string) func() []time.Time {
				return func() []time.Time { return watch.Report().Claimed(mac) }
			}
			serve(ctx, suite.Pool(name, f.pool(0x440, 0x440+19)))
			apply(ctx, f.service(name))
			Eventually(addressesOf).WithArguments(ctx, name).Should(HaveExactElements(address.String()))
			expectOwner(ctx, lab.Segment, address, HaveLen(1))
			answers(ctx, address, 80)
			By("waiting for the last claim that nobody asked for")
			var owner string // on a machine that stalls, the first one may have lost the address to another one meanwhile
			Eventually(func() int {
				owner = watch.Report().Owner()
				return len(claims(owner)())
			}).Should(BeNumerically(">=", []int{10, 5}[i]))
			node := expectOwner(ctx, lab.Segment, address, HaveLen(1))
			known, changes := len(claims(owner)()), len(watch.Report().Changes)

			begin := time.Now()
			Expect(cluster.Lab.Stranger().Claim(ctx, lab.Segment, address, forged)).To(Succeed())
			Eventually(claims(forged.String())).Should(HaveLen(1))
			Eventually(func() int { return len(claims(owner)()) }).Should(BeNumerically(">", known))
			GinkgoWriter.Printf("the owner claimed %s, and ", claims(owner)()[known].Sub(claims(forged.String())()[0]))
			answers(ctx, address, 80)
			GinkgoWriter.Printf("the client got a page %s after the forged claim\n", time.Since(begin))
			Expect(time.Since(begin)).To(BeNumerically("<", 3*time.Second))
			Eventually(conflicts).WithArguments(address).WithContext(ctx).Should(ContainElement(sighted(reason.AddressConflict, forged.String(), false)))
			Eventually(conflicting).WithArguments(ctx, name).Should(conflicted(reason.AddressConflict, forged.String()))
			Expect(addressesOf(ctx, name)).To(HaveExactElements(address.String()))
			Expect(statusNodes(ctx, name)).To(ConsistOf(node))
			report, err := watch.Stop()
			Expect(err).NotTo(HaveOccurred())
			Expect(report.Changes).To(HaveLen(changes), "of the host that answers")
			Expect(report.LongestSilence).To(BeNumerically("<", time.Second))
		})
	}
})

var _ = Describe("A claim in the name of another speaker", func() {
	It("is no conflict, and is met by the owner", func(ctx SpecContext) {
		const name = "ally"
		addresses := []netip.Addr{addressOf(0x460), six(0x460)}
		serve(ctx, suite.Pool(name, rangeOf(0x460, 0x460), addresses[1].String()+"/128"))
		apply(ctx, dualStack(suite.HelloService(namespace, name, app)))
		Eventually(addressesOf).WithArguments(ctx, name).Should(HaveLen(2))
		for _, address := range addresses {
			watch, err := cluster.Lab.Client().Watch(ctx, lab.Segment, address, 10*time.Millisecond)
			Expect(err).NotTo(HaveOccurred())
			node := expectOwner(ctx, lab.Segment, address, HaveLen(1))
			owner := watch.Report().Owner()
			answers(ctx, address, 80)
			By("waiting until nobody claims unasked")
			quiet := 0
			Eventually(func() int {
				before := quiet
				quiet = len(watch.Report().Claims)
				return quiet - before
			}).WithPolling(2 * time.Second).Should(BeZero())
			other, err := cluster.Lab.Node(otherNodes(node)[0]).MAC(lab.Segment)
			Expect(err).NotTo(HaveOccurred())
			begin := time.Now()
			Expect(cluster.Lab.Stranger().Claim(ctx, lab.Segment, address, other)).To(Succeed())
			Eventually(func() []lab.Claim { return watch.Report().Claims[quiet:] }).Should(ContainElement(HaveField("MAC", owner)))
			answers(ctx, address, 80)
			GinkgoWriter.Printf("the client got a page %s after the claim\n", time.Since(begin))
			Expect(time.Since(begin)).To(BeNumerically("<", 3*time.Second))
			report, err := watch.Stop()
			Expect(err).NotTo(HaveOccurred())
			Expect(report.Owners()).To(HaveExactElements(owner))
			Expect(conflicts(ctx, address)).To(BeEmpty())
		}
	})
})

var _ = Describe("An address that a node uses itself", func() {
	It("is not announced while routes lead through it", func(ctx SpecContext) {
		const name = "gateway"
		address := addressOf(0x480)
		route := func(ctx context.Context, verb string) {
			for _, node := range cluster.Lab.Nodes() {
				Expect(node.Configure(ctx, "route "+verb+" 198.51.100.0/24 via "+address.String())).To(Succeed())
			}
		}
		serve(ctx, suite.Pool(name, rangeOf(0x480, 0x480+9)))
		s := suite.HelloService(namespace, name, app)
		// A Service that requests none gets another one.
		s.Annotations = map[string]string{v1beta1.AnnotationLoadBalancerIPs: address.String()}
		apply(ctx, s)
		expectOwner(ctx, lab.Segment, address, HaveLen(1))
		route(ctx, "replace")
		DeferCleanup(func(ctx SpecContext) {
			for _, node := range cluster.Lab.Nodes() {
				_ = node.Configure(ctx, "route del 198.51.100.0/24")
			}
		})
		Eventually(conflicting).WithArguments(ctx, name).Should(conflicted(reason.NextHopAddress, address.String()))
		expectNobody(ctx, lab.Segment, address)
		Eventually(conflicts).WithArguments(address).WithContext(ctx).Should(HaveLen(len(cluster.Lab.Nodes())))
		Expect(conflicts(ctx, address)).To(HaveEach(sighted(reason.NextHopAddress, "", true)))
		Eventually(events).WithArguments("Service", name).WithContext(ctx).Should(ContainElement(string(reason.NextHopAddress)))
		Consistently(answering).WithArguments(lab.Segment, address).WithContext(ctx).Should(BeEmpty())

		By("taking the routes away")
		route(ctx, "del")
		expectOwner(ctx, lab.Segment, address, HaveLen(1))
		answers(ctx, address, 80)
	})

	It("is not announced while it is on an interface", func(ctx SpecContext) {
		const name = "configured"
		address, node := addressOf(0x4a0), cluster.Lab.Nodes()[2]
		// Its kernel answers on every link for every address that it has, so the client can tell it from a speaker by its link alone.
		Expect(node.Sysctl("net/ipv4/conf/eth0/arp_ignore", "1")).To(Succeed())
		DeferCleanup(func() { Expect(node.Sysctl("net/ipv4/conf/eth0/arp_ignore", "0")).To(Succeed()) })
		serve(ctx, suite.Pool(name, rangeOf(0x4a0, 0x4a0+19)))
		apply(ctx, suite.HelloService(namespace, name, app))
		expectOwner(ctx, lab.Segment, address, HaveLen(1))

		By("configuring it on another link of a node")
		Expect(node.Use(ctx, lab.SecondSegment, address)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { _ = node.Leave(ctx, lab.SecondSegment, address) })
		expectNobody(ctx, lab.Segment, address)
		Eventually(conflicting).WithArguments(ctx, name).Should(conflicted(reason.LocalAddress, node.Name))
		Eventually(conflicts).WithArguments(address).WithContext(ctx).Should(HaveExactElements(
			And(sighted(reason.LocalAddress, "", true), HaveField("Node", node.Name), HaveField("Message", ContainSubstring(lab.SecondSegment)))))
		Eventually(events).WithArguments("Service", name).WithContext(ctx).Should(ContainElement(string(reason.LocalAddress)))

		By("removing it")
		Expect(node.Leave(ctx, lab.SecondSegment, address)).To(Succeed())
		expectOwner(ctx, lab.Segment, address, HaveLen(1))
		answers(ctx, address, 80)
	})
})

// The MetalLB resource is edited twice here, since each edit restarts the speakers.
var _ = Describe("A setting of the module l2", Ordered, func() {
	const name = "settings"
	var address netip.Addr

	BeforeAll(func(ctx SpecContext) {
		address = addressOf(0x4c0)
		serve(ctx, suite.Pool(name, rangeOf(0x4c0, 0x4c0)))
		apply(ctx, suite.HelloService(namespace, name, app))
		configure(ctx, func(s *v1beta1.MetalLBSpec) {
			s.IgnoreExcludeLB = ptr.To(true)
			s.Announcers = []v1beta1.Announcer{{Name: "l2", L2: &v1beta1.L2Announcer{
				ExcludeInterfaces: []string{"^eth1$", "^lo$", "^veth.*"}, RefreshInterval: &metav1.Duration{Duration: time.Second},
			}}}
		})
		DeferCleanup(func(ctx SpecContext) { configure(ctx, func(*v1beta1.MetalLBSpec) {}) })
	})

	It("keeps addresses from an interface", func(ctx SpecContext) {
		expectOwner(ctx, lab.Segment, address, HaveLen(1))
		expectNobody(ctx, lab.SecondSegment, address)
		ad := suite.L2Advertisement(name, name)
		ad.Spec.Interfaces = []string{lab.SecondSegment}
		Expect(cluster.Apply(ctx, ad)).To(Succeed())
		expectNobody(ctx, lab.Segment, address)
		expectNobody(ctx, lab.SecondSegment, address)
		Eventually(eventsOf).WithArguments(name).WithContext(ctx).Should(ContainElement(And(
			HavePrefix("announceFailed: "), ContainSubstring(string(reason.NoUsableInterface)))))
		Expect(cluster.Apply(ctx, suite.L2Advertisement(name, name))).To(Succeed())
		expectOwner(ctx, lab.Segment, address, HaveLen(1))
	})

	It("lets nodes announce that are excluded from load balancers", func(ctx SpecContext) {
		for _, node := range cluster.Lab.Nodes() {
			label(ctx, node.Name, corev1.LabelNodeExcludeBalancers, "true")
			DeferCleanup(func(ctx SpecContext) { label(ctx, node.Name, corev1.LabelNodeExcludeBalancers, "") })
		}
		was := expectOwner(ctx, lab.Segment, address, HaveLen(1))
		Consistently(answering).WithArguments(lab.Segment, address).WithContext(ctx).WithTimeout(time.Second).Should(HaveExactElements(was))
	})

	It("repeats claims", func(ctx SpecContext) {
		watch, err := cluster.Lab.Client().Watch(ctx, lab.Segment, address, time.Second)
		Expect(err).NotTo(HaveOccurred())
		// More than the ten frames that follow a change of the owner.
		Eventually(func() int { return len(watch.Report().Claims) }).Should(BeNumerically(">", 14))
		_, err = watch.Stop()
		Expect(err).NotTo(HaveOccurred())
	})
})
