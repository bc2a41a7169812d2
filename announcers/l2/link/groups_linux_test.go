// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/announcers/l2/link/linktest"
)

func fromHex(t *testing.T, text string) netip.Addr {
	t.Helper()
	b, err := hex.DecodeString(text)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return netip.AddrFrom16([16]byte(b))
}

// joined are those groups of solicited that the namespace is in on lan0.
func (p *pair) joined(t *testing.T) []netip.Addr {
	t.Helper()
	var found []netip.Addr
	err := linktest.Inside(p.nodeNS, func() error {
		text, err := os.ReadFile("/proc/thread-self/net/igmp6")
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) > 2 && f[1] == "lan0" && strings.HasPrefix(f[2], "ff0200000000000000000001ff77") {
				found = append(found, fromHex(t, f[2]))
			}
		}
		return err
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	slices.SortFunc(found, netip.Addr.Compare)
	return found
}

// solicited are the solicited-node groups of some addresses.
func solicited(from, to int) []netip.Addr {
	var all []netip.Addr
	for i := from; i < to; i++ {
		b := netip.MustParseAddr("ff02::1:ff00:0").As16()
		b[13], b[14], b[15] = 0x77, byte(i>>8), byte(i)
		all = append(all, netip.AddrFrom16(b))
	}
	return all
}

func TestGroupsAreTheCompleteSet(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	limitOptions(t, p.nodeNS)
	conn := p.open(t, link.NDP)
	for _, wanted := range [][]netip.Addr{solicited(0, 2000), solicited(0, 2000), solicited(500, 2500), solicited(3, 4), nil, solicited(0, 3)} {
		g.Expect(conn.Groups(wanted)).To(Succeed())
		g.Expect(slices.Equal(p.joined(t), wanted)).To(BeTrue(), "%d groups", len(wanted))
	}
	g.Expect(conn.Close()).To(Succeed())
	g.Expect(p.joined(t)).To(BeEmpty())
}

func TestGroupsJoinsWhatItCan(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	conn := p.open(t, link.NDP)
	wrong := netip.MustParseAddr("2001:db8::1")
	g.Expect(conn.Groups(append([]netip.Addr{wrong}, solicited(0, 2)...))).To(MatchError(ContainSubstring(wrong.String())))
	g.Expect(p.joined(t)).To(Equal(solicited(0, 2)))
}

func TestGroupsNeedIPv6(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	// IPv6 needs links of 1,280 bytes (RFC 8200 5), so Linux takes it from this one.
	g.Expect(p.inNode.LinkSetMTU(p.node, 1000)).To(Succeed())
	conn := p.open(t, link.NDP)
	g.Expect(conn.Groups(solicited(0, 1))).NotTo(Succeed())
	g.Expect(conn.Groups(nil)).To(Succeed())
	g.Expect(p.inNode.LinkSetMTU(p.node, 1500)).To(Succeed())
	g.Expect(conn.Groups(solicited(0, 1))).To(Succeed())
}

func TestGroupsAreOfNDP(t *testing.T) {
	g := NewWithT(t)
	conn := newPair(t).open(t, link.ARP)
	g.Expect(conn.Groups(nil)).To(Succeed())
	g.Expect(conn.Groups(solicited(0, 1))).NotTo(Succeed())
}
