// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/osrg/gobgp/v3/pkg/log"
	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
)

func TestTimers(t *testing.T) {
	for name, row := range map[string]struct {
		settings        announcers.PeerSettings
		hold, keepalive uint64
		connect         time.Duration
	}{
		"defaults": {hold: 90, keepalive: 30, connect: 5 * time.Second},
		"given": {
			settings: announcers.PeerSettings{Timers: true, HoldTime: 9 * time.Second, KeepaliveTime: 3 * time.Second, ConnectTime: time.Second},
			hold:     9, keepalive: 3, connect: time.Second,
		},
		"without keepalives": {settings: announcers.PeerSettings{Timers: true}, hold: 65535, keepalive: 0, connect: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			got := timersOf(row.settings)
			NewWithT(t).Expect([]uint64{got.HoldTime, got.KeepaliveInterval}).To(Equal([]uint64{row.hold, row.keepalive}))
			way := wayOf(bgp.Settings{PeerSettings: row.settings})
			NewWithT(t).Expect([]time.Duration{way.Retry, way.Hold}).To(Equal([]time.Duration{row.connect, time.Duration(row.hold) * time.Second}))
		})
	}
}

func TestWayToThePeer(t *testing.T) {
	numbered := bgp.Settings{Remote: netip.MustParseAddr("192.0.2.9"), IPv4: true}
	numbered.Port, numbered.Source, numbered.VRF, numbered.Password = 1179, netip.MustParseAddr("192.0.2.1"), "red", "secret"
	numbered.LocalASN, numbered.RemoteASN = 64512, 64999
	internal, far, unknown := numbered, numbered, numbered
	internal.RemoteASN, far.MultiHop, unknown.RemoteASN = 64512, true, 0
	unnumbered := bgp.Settings{Remote: netip.MustParseAddr("fe80::9%eth1"), LinkLocal: netip.MustParseAddr("fe80::1"), IPv4: true, IPv6: true}
	unnumbered.Port, unnumbered.VRF, unnumbered.Interface = 179, "red", "eth1"
	want := way{
		Remote: netip.MustParseAddrPort("192.0.2.9:1179"), Source: netip.MustParseAddr("192.0.2.1"), Device: "red", TTL: 1, Password: "secret",
		Retry: defaultConnect, Hold: defaultHold, IPv4: true,
	}
	ttl := func(n int) way { w := want; w.TTL = n; return w }
	for name, row := range map[string]struct {
		settings bgp.Settings
		want     way
	}{
		"an external peer is one hop away": {numbered, want},
		"a multihop peer":                  {far, ttl(255)},
		"an internal peer":                 {internal, ttl(0)},
		"a peer whose ASN is not known":    {unknown, ttl(0)},
		"an unnumbered session": {unnumbered, way{
			Remote: netip.MustParseAddrPort("[fe80::9%eth1]:179"), Source: netip.MustParseAddr("fe80::1%eth1"), Device: "eth1", Retry: defaultConnect,
			Hold: defaultHold, IPv4: true, IPv6: true,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(wayOf(row.settings)).To(Equal(row.want))
		})
	}
}

func TestNextHopIsOneThatThePeerTakes(t *testing.T) {
	v4, v6, own4, own6 := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1")
	none := netip.Addr{}
	for name, row := range map[string]struct {
		session     agreed
		prefix      string
		next, next4 netip.Addr
		want        netip.Addr
	}{
		"IPv4 over IPv4":                                           {agreed{local: own4}, "198.51.100.1/32", none, none, own4},
		"IPv4 over IPv4, before the session":                       {agreed{}, "198.51.100.1/32", none, none, none},
		"IPv6 over IPv6":                                           {agreed{over6: true, local: own6}, "2001:db8::1/128", none, none, own6},
		"IPv6 over IPv4":                                           {agreed{local: own4}, "2001:db8::1/128", v6, none, v6},
		"IPv4 over IPv6 with RFC 8950":                             {agreed{over6: true, extended: true, local: own6}, "198.51.100.1/32", none, v4, own6},
		"IPv4 over IPv6 with RFC 8950 and no IPv4 address":         {agreed{over6: true, extended: true, local: own6}, "198.51.100.1/32", none, none, own6},
		"IPv4 over IPv6 without RFC 8950":                          {agreed{over6: true, local: own6}, "198.51.100.1/32", none, v4, v4},
		"IPv4 over IPv6 without RFC 8950, before the session":      {agreed{over6: true}, "198.51.100.1/32", none, v4, v4},
		"IPv4 over IPv6 without RFC 8950 and without IPv4 address": {agreed{over6: true, local: own6}, "198.51.100.1/32", none, none, none},
		"an IPv6 next hop for IPv4 without RFC 8950":               {agreed{over6: true, local: own6}, "198.51.100.1/32", v6, v4, v4},
		"an IPv4 next hop over IPv6":                               {agreed{over6: true, local: own6}, "198.51.100.1/32", v4, none, v4},
	} {
		t.Run(name, func(t *testing.T) {
			a := route(row.prefix)
			a.NextHop, a.NextHop4 = row.next, row.next4
			NewWithT(t).Expect(row.session.nextHop(a)).To(Equal(row.want))
		})
	}
}

func TestRoutesThatGoBGPMustNotGet(t *testing.T) {
	over4 := bgp.Settings{Remote: netip.MustParseAddr("192.0.2.9"), IPv4: true, IPv6: true}
	only4 := bgp.Settings{Remote: netip.MustParseAddr("192.0.2.9"), IPv4: true}
	over6 := bgp.Settings{Remote: netip.MustParseAddr("2001:db8::9"), IPv4: true, IPv6: true}
	for name, row := range map[string]struct {
		settings     bgp.Settings
		prefix, next string
		refused      bool
	}{
		"plain":                        {settings: only4, prefix: "198.51.100.1/32"},
		"host bits":                    {settings: only4, prefix: "198.51.100.1/24", refused: true},
		"mapped":                       {settings: over6, prefix: "::ffff:198.51.100.1/128", refused: true},
		"another family":               {settings: only4, prefix: "2001:db8::1/128", next: "2001:db8::7", refused: true},
		"IPv6 over IPv4":               {settings: over4, prefix: "2001:db8::1/128", refused: true},
		"IPv6 over IPv4 and next hop":  {settings: over4, prefix: "2001:db8::1/128", next: "2001:db8::7"},
		"IPv6 with IPv4 next hop":      {settings: over6, prefix: "2001:db8::1/128", next: "192.0.2.7", refused: true},
		"IPv4 over IPv6":               {settings: over6, prefix: "198.51.100.1/32"},
		"IPv4 over IPv6 and a v6 next": {settings: over6, prefix: "198.51.100.1/32", next: "2001:db8::7"},
	} {
		t.Run(name, func(t *testing.T) {
			a := route(row.prefix)
			if row.next != "" {
				a.NextHop = netip.MustParseAddr(row.next)
			}
			NewWithT(t).Expect(refusal(row.settings, a) != "").To(Equal(row.refused))
		})
	}
	NewWithT(t).Expect(refusal(only4, bgp.Announcement{})).NotTo(BeEmpty())
}

func TestTheLogIsBounded(t *testing.T) {
	g := NewWithT(t)
	var out bytes.Buffer
	now := time.Unix(0, 0)
	code := -1
	l := serverLogger{output: newOutput(&out, func() time.Time { return now }, func(c int) { code = c }), server: 3}
	lines := func() int { defer out.Reset(); return strings.Count(out.String(), "\n") }

	for range 1000 {
		l.Warn("the peer sends rubbish", nil)
		l.Warn(textNothingToRemove+", may be path was not installed into table", log.Fields{"Key": "192.0.2.0/24"})
		l.Debug("received update", nil)
	}
	g.Expect(lines()).To(Equal(linesBurst))
	now = now.Add(2 * time.Second)
	for range 1000 {
		l.Error("the peer sends rubbish", nil)
	}
	g.Expect(lines()).To(Equal(2 * linesPerSecond))
	for range 3 {
		l.Debug(textState, log.Fields{"new": stateIdle})
	}
	g.Expect(lines()).To(Equal(3), "what the parent needs always comes")
	g.Expect(l.GetLevel()).To(Equal(log.DebugLevel))

	l.Warn(textNotifySent, log.Fields{"Topic": "Peer", "Data": &packet.MessageError{TypeCode: 3, SubTypeCode: 5, Message: strings.Repeat("x", 9999)}})
	got, ok := decode(bytes.TrimSpace(out.Bytes()))
	g.Expect(ok).To(BeTrue())
	g.Expect(got).To(Equal(line{Server: 3, Level: levelWarning, Message: textNotifySent, Fields: map[string]string{
		"Code": "3", "Subcode": "5", "Data": strings.Repeat("x", longestField),
	}}))

	g.Expect(code).To(Equal(-1))
	l.Fatal("unknown msg type", log.Fields{"Error": errors.New("why")})
	g.Expect(code).To(Equal(1))
	code = -1
	l.Panic("code logic bug", log.Fields{"Data": fmt.Stringer(nil)})
	g.Expect(code).To(Equal(1))
}

func TestOrders(t *testing.T) {
	g := NewWithT(t)
	out := newOutput(&bytes.Buffer{}, time.Now, func(int) {})
	g.Expect(obey(strings.NewReader("dance\n"), out)).To(MatchError(errOrder))
	g.Expect(obey(strings.NewReader(""), out)).To(Succeed())
}
