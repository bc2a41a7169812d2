// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"net/netip"
	"slices"
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
	// with this the peer's own hold time counts. A peer that asks for one has it: the relay sees to that.
	longestHold = 65535 * time.Second
	// restartTime is how long the peer is to keep the routes while this side is away; there are 12 bits for it, in seconds (RFC 4724 3).
	// deferral is how long GoBGP waits for the peer's routes before it sends its own after a restart (RFC 4724 4.1).
	restartTime = 120 * time.Second
	deferral    = 3 * time.Second
)

var (
	familyIPv4 = &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	familyIPv6 = &api.Family{Afi: api.Family_AFI_IP6, Safi: api.Family_SAFI_UNICAST}
)

// neighbour is the peer's address as GoBGP knows it: that of the relay, which has the connection to the peer.
const neighbour = "127.0.0.1"

// relayMSS is that of an Ethernet in place of the loopback interface's 64 KiB, from which the kernel would make a buffer of megabytes: GoBGP
// is to notice early that a peer takes nothing.
const relayMSS = 1460

// peerOf returns what GoBGP is to know of the peer, whose relay is at a port.
func peerOf(s bgp.Settings, restarting bool, port uint16) *api.Peer {
	return &api.Peer{
		Conf:            &api.PeerConf{NeighborAddress: neighbour, PeerAsn: s.RemoteASN, LocalAsn: s.LocalASN},
		Timers:          &api.Timers{Config: timersOf(s.PeerSettings)},
		Transport:       &api.Transport{RemotePort: uint32(port), TcpMss: relayMSS},
		GracefulRestart: restartOf(s, restarting),
		AfiSafis:        familiesOf(s),
	}
}

// timesOf returns the hold time that is sent to the peer, and the time between two KEEPALIVE messages; 0 is that GoBGP chooses.
func timesOf(s announcers.PeerSettings) (hold, keepalive time.Duration) {
	switch {
	case !s.Timers:
		return defaultHold, defaultKeepalive
	case s.HoldTime == 0:
		return longestHold, 0
	}
	return s.HoldTime, s.KeepaliveTime
}

func timersOf(s announcers.PeerSettings) *api.TimersConfig {
	hold, keepalive := timesOf(s)
	// The relay is near: GoBGP looks every one to two seconds whether it has a connection.
	return &api.TimersConfig{
		ConnectRetry: 1, HoldTime: seconds(hold), KeepaliveInterval: seconds(keepalive), IdleHoldTimeAfterReset: 1,
	}
}

func seconds(d time.Duration) uint64 { return uint64(d / time.Second) }

// restartOf asks for graceful restart without the extension of RFC 8538: with it a peer would keep the routes of a node that died, beyond
// the hold time. Without graceful restart the capability is offered all the same, as a helper and for no family, as FRR does: the peer then
// says when its routes are complete, and keeps nothing of ours (RFC 4724 3). The restart time means nothing then, but it must be given: GoBGP
// would take the hold time, whose upper bits would become flags.
func restartOf(s bgp.Settings, restarting bool) *api.GracefulRestart {
	out := &api.GracefulRestart{Enabled: true, RestartTime: uint32(seconds(restartTime))}
	if !s.GracefulRestart {
		out.HelperOnly = true
		return out
	}
	out.DeferralTime, out.LocalRestarting = uint32(seconds(deferral)), restarting
	return out
}

func familiesOf(s bgp.Settings) []*api.AfiSafi {
	var out []*api.AfiSafi
	if s.IPv4 {
		out = append(out, familyOf(familyIPv4, s.GracefulRestart))
	}
	if s.IPv6 {
		out = append(out, familyOf(familyIPv6, s.GracefulRestart))
	}
	return out
}

func familyOf(f *api.Family, restart bool) *api.AfiSafi {
	return &api.AfiSafi{
		Config:            &api.AfiSafiConfig{Family: f, Enabled: true},
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
		case *api.ExtendedNexthopCapability:
			o.ExtendedNextHop = o.ExtendedNextHop || slices.ContainsFunc(c.GetTuples(), func(t *api.ExtendedNexthopCapabilityTuple) bool {
				return sameFamily(t.GetNlriFamily(), familyIPv4) && t.GetNexthopFamily().GetAfi() == api.Family_AFI_IP6
			})
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
