// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// IPv4 prefixes go to a router with an IPv6 address with a next hop that it takes (RFC 8950 4), or not at all.
func TestIPv4OverIPv6HasANextHopThatTheRouterTakes(t *testing.T) {
	own4, own6 := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
	both := announcers.PeerSettings{Address: netip.MustParseAddr("2001:db8::1"), BothFamilies: true}
	plain := Path{Remote: both.Address, Interface: "eth0", Local: own6, OnLink: true, Global4: own4, Global6: own6}
	only6 := plain
	only6.Global4 = netip.Addr{}
	unnumbered := announcers.PeerSettings{Interface: "eth1"}
	link := Path{Remote: netip.MustParseAddr("fe80::1%eth1"), Interface: "eth1", Local: netip.MustParseAddr("fe80::7"), OnLink: true}
	v4 := netip.MustParsePrefix("198.51.100.1/32")
	for name, row := range map[string]struct {
		settings announcers.PeerSettings
		path     Path
		opened   *Opened
		carried  bool
		next4    netip.Addr
		problem  reason.Reason
	}{
		"before the session":                          {both, plain, nil, true, own4, ""},
		"with RFC 8950":                               {both, plain, &Opened{IPv4: true, IPv6: true, ExtendedNextHop: true}, true, own4, ""},
		"without RFC 8950":                            {both, plain, &Opened{IPv4: true, IPv6: true}, true, own4, ""},
		"with RFC 8950 and no IPv4 address":           {both, only6, &Opened{IPv4: true, IPv6: true, ExtendedNextHop: true}, true, netip.Addr{}, ""},
		"without RFC 8950 and no IPv4 address":        {both, only6, &Opened{IPv4: true, IPv6: true}, false, netip.Addr{}, reason.NoNextHop},
		"without the family, which is told otherwise": {both, only6, &Opened{IPv6: true}, true, netip.Addr{}, ""},
		"unnumbered":                                  {unnumbered, link, &Opened{IPv4: true, IPv6: true, ExtendedNextHop: true}, true, netip.Addr{}, ""},
		"unnumbered, without RFC 8950":                {unnumbered, link, &Opened{IPv4: true, IPv6: true}, false, netip.Addr{}, reason.NoNextHop},
	} {
		t.Run(name, func(t *testing.T) {
			e := endpointOf("tor", row.settings, row.path).agreed(row.opened)
			if e.carries(v4) != row.carried || e.plain(v4) != row.next4 || e.nextHop(v4).IsValid() {
				t.Errorf("carries %v, next hops %v and %v; want %v, ours on the session and %v", e.carries(v4), e.nextHop(v4), e.plain(v4), row.carried, row.next4)
			}
			if problem := e.shortfall(announcers.Established); (problem == nil) != (row.problem == "") || problem != nil && problem.Reason != row.problem {
				t.Errorf("problem = %v, want %q", problem, row.problem)
			}
		})
	}
}

func TestSessionOverIPv6CarriesIPv4OnlyWhenAskedFor(t *testing.T) {
	e := endpointOf("tor", announcers.PeerSettings{}, Path{Remote: netip.MustParseAddr("2001:db8::1"), Global4: netip.MustParseAddr("192.0.2.7")})
	if e.carries(netip.MustParsePrefix("198.51.100.1/32")) || !e.carries(netip.MustParsePrefix("2001:db8:1::1/128")) {
		t.Errorf("the carriage is %+v, want IPv6 alone", e.carriage)
	}
}

func TestRouterThatSendsManyRoutesIsWarnedOfAndKeepsItsSession(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply(peer("tor", tor, first))
		synctest.Wait()
		w.expectPhase(t, "tor", announcers.Established, "")
		w.engine.dropped(manyRoutes - 1)
		pass(2 * statsInterval)
		w.expectPhase(t, "tor", announcers.Established, "")
		w.engine.dropped(manyRoutes)
		pass(2 * statsInterval)
		w.expectPhase(t, "tor", announcers.Established, reason.TooManyRoutes)
		w.expectHistory(t, "tor connect")
	})
}

func TestProcessOutOfMemoryIsToldApartFromACrash(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply(peer("tor", tor, first))
		synctest.Wait()
		w.engine.refuse(ErrOutOfMemory)
		w.engine.session("tor").crashFor(ErrOutOfMemory)
		synctest.Wait()
		w.expectPhase(t, "tor", announcers.Idle, reason.EngineOutOfMemory)
	})
}
