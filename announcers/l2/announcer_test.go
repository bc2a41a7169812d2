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

// family is one of the two that every spec is about.
type family struct {
	name                 string
	first, second, third netip.Addr
	// frames are those of one unasked claim.
	frames int
}

var families = []family{
	{"IPv4", first, second, third, 2},
	{"IPv6", six, six2, third6, 1},
}

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
		return n.schedule.bursting() + len(n.disputes.trials)
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
			if claimed, mac, ok := f.claims(); ok && claimed == a && mac == m {
				out = append(out, f)
			}
		}
		return out
	}
}

// probesOf returns the frames that asked whether an address is free.
func (n *node) probesOf(a netip.Addr) func() []seen {
	return func() []seen {
		var out []seen
		for _, f := range n.unasked() {
			if probed, ok := f.probes(); ok && probed == a {
				out = append(out, f)
			}
		}
		return out
	}
}

// ask lets the peer ask all stations for an address and returns who answers.
func (n *node) ask(a netip.Addr) []link.MAC {
	n.send(who(a))
	return n.answers(a)
}

// asks does so again and again.
func (n *node) asks(a netip.Addr) func() []link.MAC { return func() []link.MAC { return n.ask(a) } }

func (n *node) subject() announcertest.Subject {
	addresses, plugged := []netip.Addr{first, second, third, six}, true
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

// announces are the specs of this announcer that hold on every segment, for a family.
func announces(fresh func(testing.TB) segment, f family) {
	var n *node
	BeforeEach(func() {
		n = newNode(fresh(GinkgoTB()))
		n.start()
	})

	state := func(a netip.Addr) func() announcers.State {
		return func() announcers.State { return n.apply(f.first, f.second).States[a] }
	}

	It("answers with the hardware address of the interface", func() {
		Eventually(state(f.first)).Should(isEffective)
		Eventually(n.asks(f.first)).Should(Equal([]link.MAC{nodeMAC}))
		Expect(n.ask(f.third)).To(BeEmpty())
	})

	It("claims a new address five times", func() {
		Eventually(state(f.first)).Should(isEffective)
		Eventually(n.claimsOf(f.first, nodeMAC)).Should(HaveLen(f.frames), "at once")
		for round := 2; round <= burstRounds; round++ {
			n.clock.step(burstInterval - time.Millisecond)
			Consistently(n.claimsOf(f.first, nodeMAC)).WithTimeout(20 * time.Millisecond).Should(HaveLen(f.frames * (round - 1)))
			n.clock.step(time.Millisecond)
			Eventually(n.claimsOf(f.first, nodeMAC)).Should(HaveLen(f.frames * round))
		}
		n.settle()
		Expect(n.claimsOf(f.first, nodeMAC)()).To(HaveLen(f.frames * burstRounds))
	})

	It("claims a withdrawn address no more", func() {
		Eventually(state(f.first)).Should(isEffective)
		Eventually(n.unasked).Should(HaveLen(2 * f.frames))
		n.apply(f.second)
		n.settle()
		Expect(n.claimsOf(f.first, nodeMAC)()).To(HaveLen(f.frames))
		Expect(n.claimsOf(f.second, nodeMAC)()).To(HaveLen(f.frames * burstRounds))
	})

	It("sends every claim once more when told to", func() {
		Eventually(state(f.second)).Should(isEffective)
		n.settle()
		sent := len(n.unasked())
		n.Reannounce()
		n.settle()
		Expect(n.unasked()).To(HaveLen(sent + 2*f.frames))
	})

	It("notices another hardware address and claims again with it", func() {
		Eventually(state(f.first)).Should(isEffective)
		n.setMAC(newMAC)
		Eventually(n.claimsOf(f.first, newMAC)).Should(HaveLen(f.frames))
		Eventually(n.asks(f.first)).Should(Equal([]link.MAC{newMAC}))
		Expect(n.LinkAddresses()).To(Equal(map[string]string{lan: newMAC.String()}))
	})

	It("waits without carrier and claims again when it is back", func() {
		Eventually(state(f.first)).Should(isEffective)
		n.settle()
		sent := len(n.unasked())
		n.setCarrier(false)
		Eventually(state(f.first)).Should(waitsFor(reason.NoCarrier))
		Expect(n.unfitBecause()).To(Equal(reason.NoCarrier))
		n.setCarrier(true)
		Eventually(state(f.first)).Should(isEffective)
		Expect(n.Fit()).To(BeNil())
		Eventually(n.unasked).Should(HaveLen(sent+2*f.frames), "both addresses")
		Eventually(n.asks(f.first)).Should(Equal([]link.MAC{nodeMAC}))
	})

	It("uses an interface that comes later", func() {
		Eventually(state(f.first)).Should(isEffective)
		n.remove()
		Eventually(state(f.first)).Should(waitsFor(reason.NoUsableInterface))
		Expect(n.unfitBecause()).To(Equal(reason.NoUsableInterface))
		sent := len(n.unasked())
		n.add()
		Eventually(state(f.first)).Should(isEffective)
		Eventually(n.unasked).Should(HaveLen(sent + 2*f.frames))
		Eventually(n.asks(f.first)).Should(Equal([]link.MAC{nodeMAC}))
	})

	It("never announces an address of the node itself", func() {
		Eventually(state(f.first)).Should(isEffective)
		n.configure(f.first)
		Eventually(state(f.first)).Should(isRefused(reason.LocalAddress))
		Eventually(state(f.second)).Should(isEffective)
		Expect(n.Uses(f.first)).To(HaveField("Reason", reason.LocalAddress))
		Expect(n.Uses(f.second)).To(Equal(announcers.Use{}))
		Expect(n.Unsuitable()).To(HaveKeyWithValue(f.first, HaveField("Reason", reason.LocalAddress)))
		Expect(n.Unsuitable()).NotTo(HaveKey(f.second))
	})

	It("announces an address that a dummy of the node holds, and tells of it", func() {
		n.proxy(f.first)
		Eventually(func() announcers.Use { return n.Uses(f.first) }).Should(Equal(
			announcers.Use{Reason: reason.LocalAddress, Interfaces: []string{"kube-dummy-if"}, Internal: true}))
		Eventually(state(f.first)).Should(isEffective)
		Eventually(n.claimsOf(f.first, nodeMAC)).ShouldNot(BeEmpty())
		Eventually(n.asks(f.first)).Should(Equal([]link.MAC{nodeMAC}))
		Expect(n.Unsuitable()).NotTo(HaveKey(f.first))
	})

	It("never announces an address that a route leads through", func() {
		Eventually(state(f.first)).Should(isEffective)
		n.route(f.first)
		Eventually(state(f.first)).Should(isRefused(reason.NextHopAddress))
		Eventually(n.ask).WithArguments(f.first).Should(BeEmpty())
		Expect(n.Uses(f.first)).To(HaveField("Reason", reason.NextHopAddress))
		Expect(n.Unsuitable()).To(HaveKeyWithValue(f.first, HaveField("Reason", reason.NextHopAddress)))
	})

	It("tells of the edges of its subnets, and announces none that all routers of the subnet answer for", func() {
		Eventually(state(f.first)).Should(isEffective)
		n.configure(f.second)
		edge := netip.PrefixFrom(f.second, map[bool]int{true: 24, false: 64}[f.second.Is4()]).Masked().Addr()
		Eventually(n.Unsuitable).Should(HaveKey(edge))
		report := n.Apply(context.Background(), announcers.Desired{Addresses: []announcers.Address{{Addr: edge}}}).States[edge]
		if edge.Is4() {
			Expect(n.Unsuitable()[edge].Reason).To(Equal(reason.NetworkAddress))
			Expect(report).To(isEffective)
		} else {
			Expect(n.Unsuitable()[edge].Reason).To(Equal(reason.SubnetRouterAnycast))
			Expect(report).To(isRefused(reason.SubnetRouterAnycast))
		}
	})

	It("announces on the named interfaces only", func() {
		on := func(names ...string) func() announcers.State {
			return func() announcers.State {
				d := announcers.Desired{Addresses: []announcers.Address{{Addr: f.first, Interfaces: names}}}
				return n.Apply(context.Background(), d).States[f.first]
			}
		}
		Eventually(on(lan, "lan9")).Should(isEffective)
		Eventually(n.asks(f.first)).Should(Equal([]link.MAC{nodeMAC}))
		Eventually(on("lan9")).Should(waitsFor(reason.InterfaceMissing))
		Expect(n.ask(f.first)).To(BeEmpty())
	})

	It("counts per address and removes the series with it", func() {
		Eventually(state(f.first)).Should(isEffective)
		n.settle()
		Eventually(n.asks(f.first)).Should(Equal([]link.MAC{nodeMAC}))
		count := func(v *prometheus.CounterVec) float64 { return testutil.ToFloat64(v.WithLabelValues(f.first.String())) }
		Eventually(count).WithArguments(n.metrics.sent).Should(BeNumerically(">=", 1))
		Expect(count(n.metrics.received)).To(BeNumerically(">=", 1))
		Expect(count(n.metrics.gratuitous)).To(BeEquivalentTo(f.frames * burstRounds))
		n.apply()
		Expect(testutil.GatherAndCount(n.registry)).To(BeZero())
	})

	It("hears what prefixes leave out no more, and what they let in at once", func() {
		wish := func(prefixes ...string) func() announcers.State {
			d := announcers.Desired{Addresses: []announcers.Address{{Addr: f.first}}}
			for _, p := range prefixes {
				d.Prefixes = append(d.Prefixes, netip.MustParsePrefix(p))
			}
			return func() announcers.State { return n.Apply(context.Background(), d).States[f.first] }
		}
		for _, prefixes := range [][]string{{"192.0.2.0/30", "2001:db8::/126"}, {"198.51.100.0/24"}, {"203.0.113.0/24", "2001:db8:1::/64"}, nil} {
			Eventually(wish(prefixes...)).Should(isEffective)
			Eventually(n.asks(f.first)).Should(Equal([]link.MAC{nodeMAC}), "an address that no prefix covers counts all the same")
		}
	})
}

var _ = Describe("On a simulated link", func() {
	fresh := func(testing.TB) segment { return newSimulated() }
	keepsContract(fresh)
	for _, f := range families {
		Context("with "+f.name, func() { announces(fresh, f) })
		Context("with strangers and "+f.name, func() { disputesOn(fresh, f) })
	}
})

var _ = Describe("On a veth pair", func() {
	fresh := func(tb testing.TB) segment { return newVeth(tb) }
	keepsContract(fresh)
	for _, f := range families {
		Context("with "+f.name, func() { announces(fresh, f) })
		Context("with strangers and "+f.name, func() { disputesOn(fresh, f) })
	}
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
		Eventually(func() announcers.State { return n.apply(first).States[first] }).Should(isEffective)
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
		Expect(n.ask(first)).To(Equal([]link.MAC{nodeMAC}))
	})
})
