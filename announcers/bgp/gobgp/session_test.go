// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"

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
		HoldTime: 90 * time.Second, KeepaliveTime: 30 * time.Second, IPv4: true,
	}))
	s.Expect(e.Opened.Local.Addr()).To(Equal(netip.MustParseAddr("127.0.0.1")))
	s.Expect(e.Opened.Local.Port()).NotTo(BeZero())
	s.Eventually(func() map[string]seen { return r.routes(familyIPv4) }, patience).Should(Equal(map[string]seen{
		"198.51.100.1/32": {next: "127.0.0.1", path: []uint32{64512}, med: -1, pref: -1},
	}))
	s.Expect(s.stats().Announced).To(Equal(1))
}
