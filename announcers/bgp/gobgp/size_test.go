// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
	routing "metalsuite.io/internal/route"
)

// fullest returns routes of both families whose message is as long as BGP allows, by their large communities. The large communities are one
// too many when over is set.
func fullest(over bool, change func(*announcers.Attributes)) []bgp.Announcement {
	var a announcers.Attributes
	change(&a)
	for a.LargeCommunities == nil || routing.Attributes(a).Fits() {
		a.LargeCommunities = append(a.LargeCommunities, [3]uint32{64512, 1, uint32(len(a.LargeCommunities))})
	}
	if !over {
		a.LargeCommunities = a.LargeCommunities[:len(a.LargeCommunities)-1]
	}
	a4, a6 := route("198.51.100.1/32"), route("2001:db8::1/128")
	a4.Attributes, a6.Attributes = a, a
	a4.NextHop, a6.NextHop = netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8:7::7")
	return []bgp.Announcement{a4, a6}
}

// GoBGP panics on attributes that leave no room for a prefix, and drops a message that is too long without a word.
func TestTheFullestMessageReachesThePeerAndALongerOneNeverGetsToGoBGP(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		asn    uint32
		change func(*announcers.Attributes)
	}{
		"large communities":               {asn: 64999, change: func(*announcers.Attributes) {}},
		"both kinds to an internal peer":  {asn: 64512, change: func(a *announcers.Attributes) { a.Communities, a.LocalPref = numbers(63), 200 }},
		"all attributes, longest prepend": {asn: 64999, change: func(a *announcers.Attributes) { a.Communities, a.HasMED, a.Prepend = numbers(63), true, 10 }},
		"prepend over several segments":   {asn: 64999, change: func(a *announcers.Attributes) { a.Prepend = 255 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRemote(t, remoteOptions{asn: c.asn, ourASN: 64512, both: true})
			settings := r.settings(64512)
			settings.IPv6 = true
			s := startEngine(t, 2).open(t, settings)
			s.connect()
			s.phase(announcers.Established)
			full := fullest(false, c.change)
			s.announce(full...)
			s.Eventually(func() int { return len(r.routes(familyIPv4)) + len(r.routes(familyIPv6)) }, patience).Should(Equal(2))
			s.Expect(r.routes(familyIPv4)["198.51.100.1/32"].largeCommunities).To(Equal(full[0].LargeCommunities))
			s.Expect(r.routes(familyIPv6)["2001:db8::1/128"].largeCommunities).To(Equal(full[1].LargeCommunities))
			s.announce(fullest(true, c.change)...)
			s.Eventually(func() int { return len(r.routes(familyIPv4)) + len(r.routes(familyIPv6)) }, patience).Should(BeZero(), "they are left out")
			s.Expect(s.stats().Announced).To(BeZero())
		})
	}
}

func numbers(n uint32) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = 64512<<16 | uint32(i)
	}
	return out
}
