// SPDX-License-Identifier: Apache-2.0

package smoke

import (
	"context"
	"net"
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"metalsuite.io/test/lab"
)

var _ = Describe("The lab's stranger", func() {
	for family, last := range map[string]func() netip.Addr{
		"IPv4": func() netip.Addr { return last(running.Pool4()) },
		"IPv6": func() netip.Addr { return last(running.Pool6()) },
	} {
		It("answers for an "+family+" address that it uses, however it is asked, and for no other", func(ctx SpecContext) {
			address, stranger := last(), running.Stranger()
			mac, err := stranger.MAC(lab.Segment)
			Expect(err).NotTo(HaveOccurred())
			asked := func(question lab.Question) func(context.Context) []string {
				return func(ctx context.Context) []string {
					report, err := running.Client().Ask(ctx, lab.Segment, address, question, 100*time.Millisecond)
					Expect(err).NotTo(HaveOccurred())
					return report.Heard() // in IPv6, who probes is answered like everybody else, which looks like a claim
				}
			}
			Expect(asked(lab.Question{})(ctx)).To(BeEmpty())
			Expect(stranger.Use(ctx, lab.Segment, address)).To(Succeed())
			for _, question := range []lab.Question{{}, {To: mac}, {Probe: true}} {
				Eventually(asked(question)).WithContext(ctx).Should(HaveExactElements(mac.String()), "%+v", question)
			}
			Expect(stranger.Leave(ctx, lab.Segment, address)).To(Succeed())
			Eventually(asked(lab.Question{})).WithContext(ctx).Should(BeEmpty())
		})

		It("hears who claims an "+family+" address unasked", func(ctx SpecContext) {
			address, invented := last(), net.HardwareAddr{2, 0, 0, 0x99, 0, 1}
			watch, err := running.Stranger().Watch(ctx, lab.Segment, address, time.Second)
			Expect(err).NotTo(HaveOccurred())
			Expect(running.Client().Claim(ctx, lab.Segment, address, invented)).To(Succeed())
			Eventually(func() []time.Time { return watch.Report().Claimed(invented.String()) }).Should(HaveLen(1))
			report, err := watch.Stop()
			Expect(err).NotTo(HaveOccurred())
			Expect(report.Answers).To(BeZero())
		})
	}
})

// last is the last address of a pool, which nobody else uses.
func last(pool netip.Prefix) netip.Addr {
	bytes := pool.Masked().Addr().AsSlice()
	for i := range bytes {
		bytes[i] |= byte(0xff) >> min(8, max(0, pool.Bits()-8*i))
	}
	bytes[len(bytes)-1]--
	a, _ := netip.AddrFromSlice(bytes)
	return a
}
