// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/api/reason"
)

// disputesOn are the specs on strangers, for a family.
func disputesOn(fresh func(testing.TB) segment, f family) {
	var n *node
	BeforeEach(func() {
		n = newNode(fresh(GinkgoTB()))
		n.start()
	})

	apply := func(fresh bool) func() announcers.State {
		return func() announcers.State {
			d := announcers.Desired{
				Addresses: []announcers.Address{{Addr: f.first, Fresh: fresh}}, Allies: []string{allyMAC.String()},
			}
			return n.Apply(context.Background(), d).States[f.first]
		}
	}
	established := func() {
		Eventually(apply(false)).Should(isEffective)
		n.settle()
		Eventually(n.asks(f.first)).Should(Equal([]link.MAC{nodeMAC}))
	}

	It("answers for a fresh address at once and claims it when nobody else answers", func() {
		Eventually(apply(true)).Should(isEffective)
		Eventually(n.asks(f.first)).Should(Equal([]link.MAC{nodeMAC}))
		for i, pause := range []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond} {
			n.clock.step(pause)
			Eventually(n.probesOf(f.first)).Should(HaveLen(i + 1))
		}
		Expect(n.claimsOf(f.first, nodeMAC)()).To(BeEmpty())
		n.clock.step(answerWithin)
		Eventually(n.claimsOf(f.first, nodeMAC)).Should(HaveLen(f.frames))
		n.settle()
		Expect(n.probesOf(f.first)()).To(HaveLen(len(probesAfter)))
		Expect(n.Conflicts()).To(BeEmpty())
	})

	It("leaves a fresh address to a stranger that answers, and takes it once the stranger is gone", func() {
		Eventually(apply(true)).Should(isEffective)
		Eventually(n.probesOf(f.first)).Should(HaveLen(1))
		n.send(claimBy(strangerMAC, f.first))
		Eventually(apply(false)).Should(isRefused(reason.AddressConflict))
		Expect(n.ask(f.first)).To(BeEmpty())
		Expect(n.claimsOf(f.first, nodeMAC)()).To(BeEmpty())
		Expect(n.Conflicts()).To(ConsistOf(And(
			HaveField("Addr", f.first), HaveField("Interface", lan), HaveField("HardwareAddress", strangerMAC.String()), HaveField("Withdrawn", true),
		)))
		Eventually(func() float64 { return testutil.ToFloat64(n.metrics.conflicts.WithLabelValues(f.first.String())) }).Should(BeEquivalentTo(1))

		for i, pause := range []time.Duration{retryTrial, 100 * time.Millisecond, 200 * time.Millisecond} {
			n.clock.step(pause)
			Eventually(n.probesOf(f.first)).Should(HaveLen(i + 2))
			Expect(n.claimsOf(f.first, nodeMAC)()).To(BeEmpty())
		}
		n.clock.step(answerWithin)
		Eventually(apply(false)).Should(isEffective)
		Eventually(n.claimsOf(f.first, nodeMAC)).Should(HaveLen(f.frames))
		Expect(n.Conflicts()).To(ConsistOf(HaveField("Withdrawn", false)))
	})

	It("defends an address that it announces and never yields it", func() {
		established()
		sent := len(n.claimsOf(f.first, nodeMAC)())
		for range 3 {
			n.send(claimBy(strangerMAC, f.first))
		}
		Eventually(n.claimsOf(f.first, nodeMAC)).Should(HaveLen(sent+f.frames), "defended once")
		Eventually(n.Conflicts).Should(ConsistOf(And(HaveField("HardwareAddress", strangerMAC.String()), HaveField("Withdrawn", false))))
		Expect(apply(false)()).To(isEffective)
		Expect(n.ask(f.first)).To(Equal([]link.MAC{nodeMAC}))
		n.settle()
		Expect(n.claimsOf(f.first, nodeMAC)()).To(HaveLen(sent + f.frames))
		n.clock.step(defendAfter)
		n.send(claimBy(strangerMAC, f.first))
		Eventually(n.claimsOf(f.first, nodeMAC)).Should(HaveLen(sent + 2*f.frames))
	})

	It("lets another speaker's claim pass, and claims again a second later if the address is still its own", func() {
		established()
		sent := len(n.claimsOf(f.first, nodeMAC)())
		n.send(claimBy(allyMAC, f.first))
		Eventually(func() int { n.mu.Lock(); defer n.mu.Unlock(); return n.schedule.bursting() }).Should(Equal(1))
		n.clock.step(allyPatience - time.Millisecond)
		Consistently(n.claimsOf(f.first, nodeMAC)).WithTimeout(20 * time.Millisecond).Should(HaveLen(sent))
		n.clock.step(time.Millisecond)
		Eventually(n.claimsOf(f.first, nodeMAC)).Should(HaveLen(sent + f.frames))
		Expect(n.Conflicts()).To(BeEmpty())
	})

	It("says nothing to another speaker's claim once the address is not its own", func() {
		established()
		sent := len(n.claimsOf(f.first, nodeMAC)())
		n.send(claimBy(allyMAC, f.first))
		n.apply()
		n.settle()
		Expect(n.claimsOf(f.first, nodeMAC)()).To(HaveLen(sent))
	})

	It("tells another station that wants the address that it is taken", func() {
		established()
		sent := len(n.claimsOf(f.first, nodeMAC)())
		n.send(probeBy(peerMAC, f.first))
		// ARP tells the one who asked, neighbour discovery everybody.
		Eventually(func() int { return len(n.answers(f.first)) + len(n.claimsOf(f.first, nodeMAC)()) - sent }).Should(Equal(1))
		Expect(n.Conflicts()).To(BeEmpty())
	})
}
