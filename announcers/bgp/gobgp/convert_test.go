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
	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/log"
	packet "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
)

func TestTimers(t *testing.T) {
	for name, row := range map[string]struct {
		settings                 announcers.PeerSettings
		hold, keepalive, connect uint64
	}{
		"defaults": {hold: 90, keepalive: 30, connect: 5},
		"given": {
			settings: announcers.PeerSettings{Timers: true, HoldTime: 9 * time.Second, KeepaliveTime: 3 * time.Second, ConnectTime: time.Second},
			hold:     9, keepalive: 3, connect: 1,
		},
		"without keepalives": {settings: announcers.PeerSettings{Timers: true}, hold: 65535, keepalive: 0, connect: 5},
	} {
		t.Run(name, func(t *testing.T) {
			got := timersOf(row.settings)
			NewWithT(t).Expect([]uint64{got.HoldTime, got.KeepaliveInterval, got.ConnectRetry}).To(Equal([]uint64{row.hold, row.keepalive, row.connect}))
		})
	}
}

func TestTransport(t *testing.T) {
	numbered := bgp.Settings{Remote: netip.MustParseAddr("192.0.2.9")}
	numbered.Port, numbered.Source, numbered.VRF = 1179, netip.MustParseAddr("192.0.2.1"), "red"
	unnumbered := bgp.Settings{Remote: netip.MustParseAddr("fe80::9%eth1"), LinkLocal: netip.MustParseAddr("fe80::1")}
	unnumbered.Port, unnumbered.VRF, unnumbered.Interface = 179, "red", "eth1"
	for name, row := range map[string]struct {
		settings bgp.Settings
		address  string
		want     *api.Transport
	}{
		"numbered":   {numbered, "192.0.2.9", &api.Transport{RemotePort: 1179, LocalAddress: "192.0.2.1", BindInterface: "red"}},
		"unnumbered": {unnumbered, "fe80::9", &api.Transport{RemotePort: 179, LocalAddress: "fe80::1", BindInterface: "eth1"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(neighbour(row.settings)).To(Equal(row.address))
			g.Expect(transportOf(row.settings)).To(Equal(row.want))
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
