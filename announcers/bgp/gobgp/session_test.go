// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	api "github.com/osrg/gobgp/v3/api"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
)

func TestExternalSession(t *testing.T) {
	t.Parallel()
	r := newRemote(t, remoteOptions{asn: 64999, ourASN: 64512})
	s := startEngine(t, 2).open(t, r.settings(64512))
	s.announce(route("198.51.100.1/32"))
	s.connect()
	e := s.phase(announcers.Established)
	s.Expect(e.Problem).To(BeNil())
	s.Expect(*e.Opened).To(Equal(bgp.Opened{
		Local: e.Opened.Local, Remote: r.addr, RemoteASN: 64999, RemoteID: netip.MustParseAddr("192.0.2.9"),
		HoldTime: 90 * time.Second, KeepaliveTime: 30 * time.Second, IPv4: true, ExtendedNextHop: true,
	}))
	s.Expect(e.Opened.Local.Addr()).To(Equal(netip.MustParseAddr("127.0.0.1")))
	s.Expect(e.Opened.Local.Port()).NotTo(BeZero())
	s.Eventually(func() map[string]seen { return r.routes(familyIPv4) }, patience).Should(Equal(map[string]seen{
		"198.51.100.1/32": {next: "127.0.0.1", path: []uint32{64512}, med: -1, pref: -1},
	}))
	s.Expect(s.stats().Announced).To(Equal(1))
}

func TestInternalSession(t *testing.T) {
	t.Parallel()
	r := newRemote(t, remoteOptions{asn: 64512, ourASN: 64512})
	s := startEngine(t, 2).open(t, r.settings(64512))
	plain, preferred := route("198.51.100.1/32"), route("198.51.100.2/32")
	preferred.LocalPref, preferred.Prepend = 200, 3
	s.announce(plain, preferred)
	s.connect()
	s.Expect(s.phase(announcers.Established).Opened.RemoteASN).To(BeEquivalentTo(64512))
	s.Eventually(func() map[string]seen { return r.routes(familyIPv4) }, patience).Should(Equal(map[string]seen{
		"198.51.100.1/32": {next: "127.0.0.1", med: -1, pref: 100},
		"198.51.100.2/32": {next: "127.0.0.1", med: -1, pref: 200}, // prepended, the remote would take it for a loop
	}))
}

func TestASNIsTakenFromThePeer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		remote uint32
		path   []uint32
	}{
		"external": {remote: 4200000001, path: []uint32{64512, 64512, 64512}},
		"internal": {remote: 64512},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRemote(t, remoteOptions{asn: c.remote, ourASN: 64512})
			settings := r.settings(64512)
			settings.RemoteASN = 0
			s := startEngine(t, 2).open(t, settings)
			a := route("198.51.100.1/32")
			a.Prepend = 2
			s.announce(a)
			s.connect()
			s.Expect(s.phase(announcers.OpenConfirm).Opened.RemoteASN).To(Equal(c.remote))
			s.Expect(s.phase(announcers.Established).Opened.RemoteASN).To(Equal(c.remote))
			s.Eventually(func() []uint32 {
				found, ok := r.routes(familyIPv4)["198.51.100.1/32"]
				if !ok {
					return []uint32{1}
				}
				return found.path
			}, patience).Should(Equal(c.path))
		})
	}
}

func TestIPv6Session(t *testing.T) {
	t.Parallel()
	r := newRemote(t, remoteOptions{asn: 64999, ourASN: 64512, addr: "::1", our: "::1"})
	s := startEngine(t, 2).open(t, r.settings(64512))
	s.announce(route("2001:db8::1/128"))
	s.connect()
	e := s.phase(announcers.Established)
	s.Expect(e.Opened.Local.Addr()).To(Equal(netip.IPv6Loopback()))
	s.Expect([]bool{e.Opened.IPv4, e.Opened.IPv6}).To(Equal([]bool{false, true}))
	s.Eventually(func() map[string]seen { return r.routes(familyIPv6) }, patience).Should(Equal(map[string]seen{
		"2001:db8::1/128": {next: "::1", path: []uint32{64512}, med: -1, pref: -1},
	}))
}

func TestBothFamiliesOverOneSession(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{"over IPv4": "127.0.0.1", "over IPv6": "::1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRemote(t, remoteOptions{asn: 64999, ourASN: 64512, addr: address, our: address, both: true})
			settings := r.settings(64512)
			settings.IPv4, settings.IPv6 = true, true
			s := startEngine(t, 2).open(t, settings)
			a4, a6 := route("198.51.100.1/32"), route("2001:db8::1/128")
			a4.NextHop, a6.NextHop = netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8:7::7")
			s.announce(a4, a6)
			s.connect()
			e := s.phase(announcers.Established)
			s.Expect([]bool{e.Opened.IPv4, e.Opened.IPv6}).To(Equal([]bool{true, true}))
			s.Eventually(func() string { return r.routes(familyIPv4)["198.51.100.1/32"].next }, patience).Should(Equal("192.0.2.7"))
			s.Eventually(func() string { return r.routes(familyIPv6)["2001:db8::1/128"].next }, patience).Should(Equal("2001:db8:7::7"))
			s.Expect(s.stats().Announced).To(Equal(2))
		})
	}
}

func TestFamilyThatThePeerDoesNotTake(t *testing.T) {
	t.Parallel()
	r := newRemote(t, remoteOptions{asn: 64999, ourASN: 64512})
	settings := r.settings(64512)
	settings.IPv6 = true
	s := startEngine(t, 2).open(t, settings)
	a6 := route("2001:db8::1/128")
	a6.NextHop = netip.MustParseAddr("2001:db8:7::7")
	s.announce(route("198.51.100.1/32"), a6)
	s.connect()
	e := s.phase(announcers.Established)
	s.Expect([]bool{e.Opened.IPv4, e.Opened.IPv6}).To(Equal([]bool{true, false}))
	s.Expect(s.stats().Announced).To(Equal(1))
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	r := newRemote(t, remoteOptions{asn: 64999, ourASN: 64512})
	s := startEngine(t, 2).open(t, r.settings(64512))
	s.connect()
	s.phase(announcers.Established)
	full := route("198.51.100.0/24")
	full.Attributes = announcers.Attributes{
		LocalPref: 300, MED: 0, HasMED: true, Prepend: 2,
		Communities: []uint32{64512<<16 | 7, 0xffffff01}, LargeCommunities: [][3]uint32{{64512, 1, 2}, {4200000000, 3, 4}},
	}
	s.announce(full, route("198.51.100.7/32"))
	want := seen{
		next: "127.0.0.1", path: []uint32{64512, 64512, 64512}, med: 0, pref: -1,
		communities: full.Communities, largeCommunities: full.LargeCommunities,
	}
	s.Eventually(func() map[string]seen { return r.routes(familyIPv4) }, patience).Should(And(HaveLen(2), HaveKeyWithValue("198.51.100.0/24", want)))

	full.Attributes = announcers.Attributes{MED: 9, HasMED: true}
	s.announce(full)
	s.Expect(s.Update(t.Context(), []netip.Prefix{netip.MustParsePrefix("198.51.100.7/32"), netip.MustParsePrefix("203.0.113.0/24")}, nil)).To(Succeed())
	s.Eventually(func() map[string]seen { return r.routes(familyIPv4) }, patience).Should(Equal(map[string]seen{
		"198.51.100.0/24": {next: "127.0.0.1", path: []uint32{64512}, med: 9, pref: -1},
	}))
	s.Expect(s.stats().Announced).To(Equal(1))
}

func TestWhatTheRemoteSendsIsNotUsed(t *testing.T) {
	t.Parallel()
	r := newRemote(t, remoteOptions{asn: 64999, ourASN: 64512})
	p := painter{session: agreed{local: r.addr.Addr()}}
	path, err := p.announce(route("203.0.113.0/24"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(r.update(t.Context(), []*api.Path{path})).To(Succeed())
	e := startEngine(t, 2)
	s := e.open(t, r.settings(64512))
	s.connect()
	s.phase(announcers.Established)
	s.announce(route("198.51.100.1/32"))
	s.Eventually(func() uint64 { return s.stats().Messages.UpdatesReceived }, patience).ShouldNot(BeZero())
	ours := &remote{server: s.Session.(*session).server, t: t}
	s.Expect(ours.routes(familyIPv4)).To(HaveLen(1))
	s.Expect(ours.received(familyIPv4)).To(BeZero(), "it is not even kept")
	s.Expect(r.routes(familyIPv4)).To(HaveLen(2))
}

func TestManyRoutes(t *testing.T) {
	t.Parallel()
	const n = 10000
	r := newRemote(t, remoteOptions{asn: 64999, ourASN: 64512})
	settings := r.settings(64512)
	settings.Local = r.addr.Addr() // as the announcer knows it, so that nothing is told twice
	s := startEngine(t, 2).open(t, settings)
	routes := make([]bgp.Announcement, n)
	gone := make([]netip.Prefix, n)
	for i := range routes {
		routes[i] = bgp.Announcement{Route: announcers.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)}}
		gone[i] = routes[i].Prefix
	}
	s.announce(routes...)
	s.connect()
	s.phase(announcers.Established)
	// Reading so many routes is work too: asked for every 10 ms, it would take most of a busy machine from the session.
	s.Eventually(func() int { return len(r.routes(familyIPv4)) }, 4*patience, time.Second/4).Should(Equal(n))
	s.Expect(s.stats().Announced).To(Equal(n))
	s.Expect(s.Update(t.Context(), gone[1:], nil)).To(Succeed())
	s.Eventually(func() int { return len(r.routes(familyIPv4)) }, 4*patience, time.Second/4).Should(Equal(1))
	s.Expect(s.stats().Announced).To(Equal(1))
}
