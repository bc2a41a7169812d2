// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"net/netip"
	"time"

	api "github.com/osrg/gobgp/v3/api"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
)

const (
	defaultHold      = 90 * time.Second
	defaultKeepalive = 30 * time.Second
	defaultConnect   = 5 * time.Second
	// longestHold is what an OPEN message can carry. GoBGP takes 0 for "not given", so a session without keepalives cannot be asked for;
	// with this the peer's own hold time counts.
	longestHold = 65535 * time.Second
	// restartTime is how long the peer is to keep the routes while this side is away, deferral how long GoBGP waits for the peer's routes
	// before it sends its own after a restart (RFC 4724 4.1).
	restartTime = 120 * time.Second
	deferral    = 3 * time.Second
	// manyHops is the TTL of a session over several hops.
	manyHops = 255
)

var (
	familyIPv4 = &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	familyIPv6 = &api.Family{Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST}
)

// neighbour is the peer's address as GoBGP knows it. It has no zone: with one, GoBGP would neither find its own next hop nor set the key of
// a signed session. The interface is bound to instead.
func neighbour(s bgp.Settings) string { return s.Remote.WithZone("").String() }

// peerOf returns what GoBGP is to know of the peer.
//
// A peer that sends more than most routes is left: they are not wanted, and GoBGP keeps them all the same. 0 is no limit.
func peerOf(s bgp.Settings, restarting bool, most uint32) *api.Peer {
	return &api.Peer{
		Conf: &api.PeerConf{
			NeighborAddress: neighbour(s), PeerAsn: s.RemoteASN, LocalAsn: s.LocalASN, AuthPassword: string(s.Password),
		},
		Timers:          &api.Timers{Config: timersOf(s.PeerSettings)},
		Transport:       transportOf(s),
		EbgpMultihop:    &api.EbgpMultihop{Enabled: s.MultiHop, MultihopTtl: manyHops},
		GracefulRestart: restartOf(s, restarting),
		AfiSafis:        familiesOf(s, most),
	}
}

func timersOf(s announcers.PeerSettings) *api.TimersConfig {
	hold, keepalive := defaultHold, defaultKeepalive
	if s.Timers {
		hold, keepalive = s.HoldTime, s.KeepaliveTime
	}
	if hold == 0 {
		hold, keepalive = longestHold, 0
	}
	connect := s.ConnectTime
	if connect == 0 {
		connect = defaultConnect
	}
	return &api.TimersConfig{
		ConnectRetry: seconds(connect), HoldTime: seconds(hold), KeepaliveInterval: seconds(keepalive), IdleHoldTimeAfterReset: 1,
	}
}

func seconds(d time.Duration) uint64 { return uint64(d / time.Second) }

// transportOf says where the session starts. On a link-local session GoBGP has to be told our address, or it announces no next hop.
func transportOf(s bgp.Settings) *api.Transport {
	t := &api.Transport{RemotePort: uint32(s.Port), BindInterface: s.VRF}
	if s.Source.IsValid() {
		t.LocalAddress = s.Source.WithZone("").String()
	}
	if s.LinkLocal.IsValid() {
		t.LocalAddress = s.LinkLocal.WithZone("").String()
	}
	if zone := s.Remote.Zone(); zone != "" {
		t.BindInterface = zone
	}
	return t
}

// restartOf asks for graceful restart without the extension of RFC 8538: with it a peer would keep the routes of a node that died, beyond
// the hold time.
func restartOf(s bgp.Settings, restarting bool) *api.GracefulRestart {
	if !s.GracefulRestart {
		return nil
	}
	return &api.GracefulRestart{
		Enabled: true, RestartTime: uint32(seconds(restartTime)), DeferralTime: uint32(seconds(deferral)), LocalRestarting: restarting,
	}
}

func familiesOf(s bgp.Settings, most uint32) []*api.AfiSafi {
	var out []*api.AfiSafi
	if s.IPv4 {
		out = append(out, familyOf(familyIPv4, s.GracefulRestart, most))
	}
	if s.IPv6 {
		out = append(out, familyOf(familyIPv6, s.GracefulRestart, most))
	}
	return out
}

func familyOf(f *api.Family, restart bool, most uint32) *api.AfiSafi {
	return &api.AfiSafi{
		Config:            &api.AfiSafiConfig{Family: f, Enabled: true},
		PrefixLimits:      &api.PrefixLimit{Family: f, MaxPrefixes: most, ShutdownThresholdPct: 100},
		MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: restart}},
	}
}

// openedOf returns what was agreed. What GoBGP does not tell before the session is established comes from the event.
func openedOf(s bgp.Settings, p, event *api.Peer) *bgp.Opened {
	o := &bgp.Opened{
		RemoteASN:     event.GetState().GetPeerAsn(),
		HoldTime:      time.Duration(p.GetTimers().GetState().GetNegotiatedHoldTime()) * time.Second,
		KeepaliveTime: time.Duration(p.GetTimers().GetState().GetKeepaliveInterval()) * time.Second,
		Remote:        netip.AddrPortFrom(s.Remote, s.Port),
	}
	o.RemoteID, _ = netip.ParseAddr(event.GetState().GetRouterId()) // not valid when it is not told
	local, err := netip.ParseAddr(event.GetTransport().GetLocalAddress())
	if err != nil {
		local = s.LinkLocal // GoBGP loses an address with a zone
	}
	o.Local = netip.AddrPortFrom(local.Unmap(), uint16(event.GetTransport().GetLocalPort()))
	agree(o, s, p.GetState())
	return o
}

// agree notes the capabilities that both sides have (RFC 5492).
func agree(o *bgp.Opened, s bgp.Settings, state *api.PeerState) {
	for _, packed := range state.GetRemoteCap() {
		message, err := packed.UnmarshalNew()
		if err != nil {
			continue // a capability that GoBGP passes on and that has no type of its own is none of ours
		}
		switch c := message.(type) {
		case *api.MultiProtocolCapability:
			o.IPv4 = o.IPv4 || s.IPv4 && sameFamily(c.GetFamily(), familyIPv4)
			o.IPv6 = o.IPv6 || s.IPv6 && sameFamily(c.GetFamily(), familyIPv6)
		case *api.GracefulRestartCapability:
			o.GracefulRestart = s.GracefulRestart
		}
	}
}

func sameFamily(a, b *api.Family) bool { return a.GetAfi() == b.GetAfi() && a.GetSafi() == b.GetSafi() }

// countsOf returns the message counters of a peer.
func countsOf(p *api.Peer) announcers.MessageCounts {
	sent, got := p.GetState().GetMessages().GetSent(), p.GetState().GetMessages().GetReceived()
	return announcers.MessageCounts{
		OpensSent: sent.GetOpen(), OpensReceived: got.GetOpen(),
		UpdatesSent: sent.GetUpdate(), UpdatesReceived: got.GetUpdate(),
		KeepalivesSent: sent.GetKeepalive(), KeepalivesReceived: got.GetKeepalive(),
		NotificationsSent: sent.GetNotification(), NotificationsReceived: got.GetNotification(),
		RefreshesSent: sent.GetRefresh(), RefreshesReceived: got.GetRefresh(),
		TotalSent: sent.GetTotal(), TotalReceived: got.GetTotal(),
	}
}
