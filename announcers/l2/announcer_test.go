// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mdlayher/arp"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/api/reason"
)

var (
	first  = netip.MustParseAddr("192.0.2.1")
	second = netip.MustParseAddr("192.0.2.2")
	third  = netip.MustParseAddr("198.51.100.3")
)

// node is an announcer on a segment.
type node struct {
	*Announcer
	segment
	clock    *fakeClock
	registry *prometheus.Registry
}

func newNode(s segment) *node {
	n := &node{segment: s, clock: newFakeClock(), registry: prometheus.NewRegistry()}
	var err error
	n.Announcer, err = New(Options{Links: s.links(), Clock: n.clock, Registerer: n.registry, ExcludeInterfaces: DefaultExcludedInterfaces})
	Expect(err).NotTo(HaveOccurred())
	return n
}

// start runs the announcer until the spec ends.
func (n *node) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	DeferCleanup(func() {
		cancel()
		Eventually(done).Should(Receive(Succeed()))
	})
	Eventually(n.unfitBecause).ShouldNot(BeElementOf(reason.AnnouncerNotRunning, reason.RawSocketDenied))
}

// unfitBecause returns the reason of Fit; empty when the node is fit.
func (n *node) unfitBecause() reason.Reason {
	if p := n.Fit(); p != nil {
		return p.Reason
	}
	return ""
}

func (n *node) apply(addresses ...netip.Addr) announcers.Report {
	var d announcers.Desired
	for _, a := range addresses {
		d.Addresses = append(d.Addresses, announcers.Address{Addr: a})
	}
	return n.Apply(context.Background(), d)
}

// settle lets time pass until no burst is left.
func (n *node) settle() {
	Eventually(func() int {
		n.clock.step(burstInterval)
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.schedule)
	}).WithPolling(5 * time.Millisecond).Should(BeZero())
	// The last frames may still be on their way: they are there when the wire has been quiet for a while.
	count, quiet := -1, 0
	Eventually(func() int {
		was := count
		if count = len(n.unasked()); was != count {
			quiet = 0
		}
		quiet++
		return quiet
	}).WithPolling(20 * time.Millisecond).Should(BeNumerically(">", 5))
}

// claimsOf returns the frames that claimed an address from a hardware address, unasked.
func (n *node) claimsOf(a netip.Addr, m link.MAC) func() []seen {
	return func() []seen {
		var out []seen
		for _, f := range n.unasked() {
			if f.packet.SenderIP == a && f.from == m {
				out = append(out, f)
			}
		}
		return out
	}
}

// asks returns who answers for an address.
func (n *node) asks(a netip.Addr) func() []link.MAC { return func() []link.MAC { return n.ask(a) } }

func (n *node) subject() announcertest.Subject {
	addresses, plugged := []netip.Addr{first, second, third}, true
	return announcertest.Subject{
		Announcer: n.Announcer,
		Addresses: addresses,
		Announced: func() []netip.Addr {
			var out []netip.Addr
			for _, a := range addresses {
				if len(n.ask(a)) > 0 {
					out = append(out, a)
				}
			}
			return out
		},
		Frames:  func() int { return len(n.unasked()) },
		Settle:  n.settle,
		Disturb: func() { plugged = !plugged; n.setCarrier(plugged) },
	}
}

func isRefused(r reason.Reason) OmegaMatcher { return inPhase(announcers.Refused, r) }
func waitsFor(r reason.Reason) OmegaMatcher  { return inPhase(announcers.Waiting, r) }

func inPhase(p announcers.Phase, r reason.Reason) OmegaMatcher {
	because := func(s announcers.State) reason.Reason {
		if s.Problem == nil {
			return ""
		}
		return s.Problem.Reason
	}
	return And(HaveField("Phase", p), WithTransform(because, Equal(r)))
}

var isEffective = And(HaveField("Phase", announcers.Effective), HaveField("Interfaces", []string{lan}), HaveField("Problem", BeNil()))

// keepsContract are the specs that every module passes.
func keepsContract(fresh func(testing.TB) segment) {
	for _, spec := range append(announcertest.Contract(), announcertest.Wire()...) {
		It("keeps the contract: "+spec.Name, func() {
			spec.Check(GinkgoTB(), newNode(fresh(GinkgoTB())).subject())
		})
	}
}

// announces are the specs of this announcer that hold on every segment.
func announces(fresh func(testing.TB) segment) {
	var n *node
	BeforeEach(func() {
		n = newNode(fresh(GinkgoTB()))
		n.start()
	})

	state := func(a netip.Addr) func() announcers.State {
		return func() announcers.State { return n.apply(first, second).States[a] }
	}

	It("answers with the hardware address of the interface", func() {
		Eventually(state(first)).Should(isEffective)
		Eventually(n.asks(first)).Should(Equal([]link.MAC{nodeMAC}))
		Expect(n.ask(third)).To(BeEmpty())
	})

	It("claims a new address five times, with a request and a reply each", func() {
		Eventually(state(first)).Should(isEffective)
		Eventually(n.claimsOf(first, nodeMAC)).Should(HaveLen(2), "at once")
		for round := 2; round <= burstRounds; round++ {
			n.clock.step(burstInterval - time.Millisecond)
			Consistently(n.claimsOf(first, nodeMAC)).WithTimeout(20 * time.Millisecond).Should(HaveLen(2 * (round - 1)))
			n.clock.step(time.Millisecond)
			Eventually(n.claimsOf(first, nodeMAC)).Should(HaveLen(2 * round))
		}
		n.settle()
		frames := n.claimsOf(first, nodeMAC)()
		Expect(frames).To(HaveLen(2 * burstRounds))
		for i, f := range frames {
			Expect(f.to).To(Equal(link.Broadcast))
			Expect(f.packet.SenderIP).To(Equal(f.packet.TargetIP))
			Expect(link.MAC(f.packet.SenderHardwareAddr)).To(Equal(nodeMAC))
			if i%2 == 1 {
				Expect(f.packet.Operation).To(Equal(arp.OperationReply))
				Expect(f.packet.TargetHardwareAddr).To(Equal(f.packet.SenderHardwareAddr), "Linux ignores a gratuitous reply of another form")
			} else {
				Expect(f.packet.Operation).To(Equal(arp.OperationRequest))
			}
		}
	})

	It("claims a withdrawn address no more", func() {
		Eventually(state(first)).Should(isEffective)
		Eventually(n.unasked).Should(HaveLen(4))
		n.apply(second)
		n.settle()
		Expect(n.claimsOf(first, nodeMAC)()).To(HaveLen(2))
		Expect(n.claimsOf(second, nodeMAC)()).To(HaveLen(2 * burstRounds))
	})

	It("sends every claim once more when told to", func() {
		Eventually(state(second)).Should(isEffective)
		n.settle()
		sent := len(n.unasked())
		n.Reannounce()
		n.settle()
		Expect(n.unasked()).To(HaveLen(sent + 4))
	})

	It("notices another hardware address and claims again with it", func() {
		Eventually(state(first)).Should(isEffective)
		n.setMAC(newMAC)
		Eventually(n.claimsOf(first, newMAC)).Should(HaveLen(2))
		Eventually(n.asks(first)).Should(Equal([]link.MAC{newMAC}))
		Expect(n.LinkAddresses()).To(Equal(map[string]string{lan: newMAC.String()}))
	})

	It("waits without carrier and claims again when it is back", func() {
		Eventually(state(first)).Should(isEffective)
		n.settle()
		sent := len(n.unasked())
		n.setCarrier(false)
		Eventually(state(first)).Should(waitsFor(reason.NoCarrier))
		Expect(n.unfitBecause()).To(Equal(reason.NoCarrier))
		n.setCarrier(true)
		Eventually(state(first)).Should(isEffective)
		Expect(n.Fit()).To(BeNil())
		Eventually(n.unasked).Should(HaveLen(sent+4), "two addresses, two frames each")
		Eventually(n.asks(first)).Should(Equal([]link.MAC{nodeMAC}))
	})

	It("uses an interface that comes later", func() {
		n.remove()
		Eventually(state(first)).Should(waitsFor(reason.NoUsableInterface))
		Expect(n.unfitBecause()).To(Equal(reason.NoUsableInterface))
		sent := len(n.unasked())
		n.add()
		Eventually(state(first)).Should(isEffective)
		Eventually(n.unasked).Should(HaveLen(sent + 4))
		Eventually(n.asks(first)).Should(Equal([]link.MAC{nodeMAC}))
	})

	It("never announces an address of the node itself", func() {
		Eventually(state(first)).Should(isEffective)
		n.configure(first)
		Eventually(state(first)).Should(isRefused(reason.LocalAddress))
		Eventually(state(second)).Should(isEffective)
	})

	It("announces on the named interfaces only", func() {
		on := func(names ...string) func() announcers.State {
			return func() announcers.State {
				d := announcers.Desired{Addresses: []announcers.Address{{Addr: first, Interfaces: names}}}
				return n.Apply(context.Background(), d).States[first]
			}
		}
		Eventually(on(lan, "lan9")).Should(isEffective)
		Eventually(n.asks(first)).Should(Equal([]link.MAC{nodeMAC}))
		Eventually(on("lan9")).Should(waitsFor(reason.InterfaceMissing))
		Expect(n.ask(first)).To(BeEmpty())
	})

	It("refuses addresses of another family", func() {
		six := netip.MustParseAddr("2001:db8::1")
		Eventually(state(first)).Should(isEffective)
		Expect(n.apply(first, six).States[six]).To(isRefused(reason.FamilyNotServed))
		Expect(n.apply(first, six).States[first]).To(isEffective)
	})

	It("counts per address and removes the series with it", func() {
		Eventually(state(first)).Should(isEffective)
		n.settle()
		Eventually(n.asks(first)).Should(Equal([]link.MAC{nodeMAC}))
		Eventually(func() float64 { return testutil.ToFloat64(n.metrics.sent.WithLabelValues(first.String())) }).Should(BeNumerically(">=", 1))
		Expect(testutil.ToFloat64(n.metrics.received.WithLabelValues(first.String()))).To(BeNumerically(">=", 1))
		Expect(testutil.ToFloat64(n.metrics.gratuitous.WithLabelValues(first.String()))).To(BeEquivalentTo(2 * burstRounds))
		n.apply()
		Expect(testutil.GatherAndCount(n.registry)).To(BeZero())
	})
}

var _ = Describe("On a simulated link", func() {
	fresh := func(testing.TB) segment { return newSimulated() }
	keepsContract(fresh)
	Context("running", func() { announces(fresh) })
})

var _ = Describe("On a veth pair", func() {
	fresh := func(tb testing.TB) segment { return newVeth(tb) }
	keepsContract(fresh)
	Context("running", func() { announces(fresh) })
})

var _ = Describe("Without permission", func() {
	It("ends with an error that says so and reports it", func() {
		s := newSimulated()
		s.openErr = os.NewSyscallError("socket", syscall.EPERM)
		n := newNode(s)
		err := n.Run(context.Background())
		var problem *reason.Problem
		Expect(errors.As(err, &problem)).To(BeTrue())
		Expect(problem.Reason).To(Equal(reason.RawSocketDenied))
		Expect(err).To(MatchError(ContainSubstring("NET_RAW")))

		report := n.apply(first)
		Expect(report.Problem).To(HaveValue(HaveField("Reason", reason.RawSocketDenied)))
		Expect(report.States[first]).To(waitsFor(reason.RawSocketDenied))
		Expect(n.unfitBecause()).To(Equal(reason.RawSocketDenied))
	})

	It("works when it is run again with permission", func() {
		s := newSimulated()
		s.openErr = os.NewSyscallError("socket", syscall.EPERM)
		n := newNode(s)
		Expect(n.Run(context.Background())).NotTo(Succeed())
		s.openErr = nil
		n.start()
		Expect(n.apply(first).States[first]).To(isEffective)
	})
})

var _ = Describe("A socket that fails", func() {
	It("is opened again, and the claims are repeated", func() {
		s := newSimulated()
		n := newNode(s)
		n.start()
		n.apply(first)
		n.settle()
		sent := len(s.unasked())
		Expect(s.sockets[0].Close()).To(Succeed())
		Eventually(func() announcers.State { return n.apply(first).States[first] }).Should(waitsFor(reason.NoUsableInterface))
		n.clock.step(reopenAfter)
		Eventually(func() announcers.State { return n.apply(first).States[first] }).Should(isEffective)
		Eventually(s.unasked).Should(HaveLen(sent + 2))
		Expect(s.ask(first)).To(Equal([]link.MAC{nodeMAC}))
	})
})
