// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"metalsuite.io/announcers"
)

// capabilityNextHop6 is that of a router that takes IPv6 next hops for IPv4 prefixes (RFC 8950 4).
var capabilityNextHop6 = []byte{5, 6, 0, 1, 0, 1, 0, 2}

// patient gives an OPEN a hold time of 90 s: the machine may be busy.
func patient(open []byte) []byte {
	open[4] = 90
	return open
}

// nextHopOnTheWire returns the next hop in the first UPDATE that has a route, and whether it is in an MP_REACH_NLRI attribute.
func (p *puppet) nextHopOnTheWire() (netip.Addr, bool) {
	p.t.Helper()
	for {
		body := p.read(messageUpdate)
		attributes := body[4:]
		for len(attributes) > 0 {
			kind, value := attributes[1], attributes[3:3+int(attributes[2])]
			switch kind {
			case 3:
				return netip.AddrFrom4([4]byte(value)), false
			case 14:
				a, _ := netip.AddrFromSlice(value[4 : 4+int(value[3])])
				return a, true
			}
			attributes = attributes[3+len(value):]
			if len(attributes) < 3 {
				break
			}
		}
	}
}

func TestIPv4OverIPv6GoesOutWithANextHopThatThePeerHasOffered(t *testing.T) {
	t.Parallel()
	own4 := netip.MustParseAddr("192.0.2.7")
	for name, row := range map[string]struct {
		capabilities []byte
		own4         netip.Addr
		want         netip.Addr
		extended     bool
	}{
		"a router without RFC 8950 gets our IPv4 address":          {bothFamilies, own4, own4, false},
		"a router with RFC 8950 gets our address on the session":   {append(append([]byte{}, bothFamilies...), capabilityNextHop6...), own4, netip.IPv6Loopback(), true},
		"a router with RFC 8950 and a node without IPv4 addresses": {append(append([]byte{}, bothFamilies...), capabilityNextHop6...), netip.Addr{}, netip.IPv6Loopback(), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPuppet(t, "::1")
			settings := p.settings()
			settings.IPv4 = true
			s := startEngine(t, 2).open(t, settings)
			a := route("198.51.100.1/32")
			a.NextHop4 = row.own4
			s.announce(a)
			s.connect()
			p.accept()
			p.send(messageOpen, patient(openOf(row.capabilities...)))
			p.send(messageKeepalive, nil)
			s.Expect(s.phase(announcers.Established).Opened.ExtendedNextHop).To(Equal(row.extended))
			got, reach := p.nextHopOnTheWire()
			s.Expect([]any{got, reach}).To(Equal([]any{row.want, row.extended}))
		})
	}
}

func TestIPv4OverIPv6IsNotSentWithoutANextHopThatThePeerTakes(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, "::1")
	settings := p.settings()
	settings.IPv4 = true
	s := startEngine(t, 2).open(t, settings)
	s.announce(route("198.51.100.1/32"), route("2001:db8::1/128"))
	s.connect()
	p.accept()
	p.send(messageOpen, patient(openOf(bothFamilies...)))
	p.send(messageKeepalive, nil)
	s.phase(announcers.Established)
	got, reach := p.nextHopOnTheWire()
	s.Expect([]any{got, reach}).To(Equal([]any{netip.IPv6Loopback(), true}), "the IPv6 route, and that alone")
	ours := &remote{server: s.Session.(*session).server, t: t}
	s.Expect(ours.routes(familyIPv4)).To(BeEmpty())
}

// A router that marks the end of its routes does so for a helper too (RFC 4724 2), and its UPDATE counts.
func TestHelperForGracefulRestartIsOfferedForNoFamily(t *testing.T) {
	t.Parallel()
	r := newRemote(t, remoteOptions{asn: 64512, ourASN: 64512, restart: true})
	s := startEngine(t, 2).open(t, r.settings(64512))
	s.announce(route("198.51.100.1/32"))
	s.connect()
	s.Expect(s.phase(announcers.Established).Opened.GracefulRestart).To(BeFalse(), "nothing of ours is kept")
	s.Eventually(func() uint64 { return s.stats().Messages.UpdatesReceived }, patience).Should(BeEquivalentTo(1))
	s.Eventually(func() int { return len(r.routes(familyIPv4)) }, patience).Should(Equal(1))
	crash(s)
	s.Expect(s.ended()).To(HaveOccurred())
	s.Eventually(func() map[string]seen { return r.routes(familyIPv4) }, patience).Should(BeEmpty())
}
