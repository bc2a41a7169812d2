// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"metalsuite.io/announcers"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/policy"
)

func TestWhatABGPPeerMeans(t *testing.T) {
	plain := announcers.PeerSettings{LocalASN: 64512, RemoteASN: 64999, Address: netip.MustParseAddr("198.51.100.1"), Port: 179}
	for _, row := range []struct {
		name   string
		change func(*v1beta2.BGPPeerSpec)
		want   func(*announcers.PeerSettings)
	}{
		{"no more than is needed", func(*v1beta2.BGPPeerSpec) {}, func(*announcers.PeerSettings) {}},
		{"another ASN for this peer", func(s *v1beta2.BGPPeerSpec) { s.LocalASN = 65001 }, func(p *announcers.PeerSettings) { p.LocalASN = 65001 }},
		{"any external ASN", func(s *v1beta2.BGPPeerSpec) { s.PeerASN, s.DynamicASN = 0, v1beta2.DynamicASNExternal },
			func(p *announcers.PeerSettings) { p.RemoteASN, p.Accept = 0, announcers.ExternalASN }},
		{"the internal ASN", func(s *v1beta2.BGPPeerSpec) { s.PeerASN, s.DynamicASN = 0, v1beta2.DynamicASNInternal },
			func(p *announcers.PeerSettings) { p.RemoteASN, p.Accept = 0, announcers.InternalASN }},
		{"unnumbered", func(s *v1beta2.BGPPeerSpec) { s.PeerAddress, s.Interface = "", "eth3" },
			func(p *announcers.PeerSettings) { p.Address, p.Interface = netip.Addr{}, "eth3" }},
		{"where it starts and ends", func(s *v1beta2.BGPPeerSpec) {
			s.SourceAddress, s.PeerPort, s.RouterID, s.VRF = "198.51.100.9", 1179, "10.0.0.1", "red"
		},
			func(p *announcers.PeerSettings) {
				p.Source, p.Port, p.RouterID, p.VRF = netip.MustParseAddr("198.51.100.9"), 1179, netip.MustParseAddr("10.0.0.1"), "red"
			}},
		{"timers", func(s *v1beta2.BGPPeerSpec) {
			s.HoldTime, s.ConnectTime = &metav1.Duration{Duration: 9 * time.Second}, &metav1.Duration{Duration: 2 * time.Second}
		}, func(p *announcers.PeerSettings) {
			p.Timers, p.HoldTime, p.KeepaliveTime, p.ConnectTime = true, 9*time.Second, 3*time.Second, 2*time.Second
		}},
		{"no timers at all", func(s *v1beta2.BGPPeerSpec) { s.HoldTime = &metav1.Duration{} }, func(p *announcers.PeerSettings) { p.Timers = true }},
		{"modes", func(s *v1beta2.BGPPeerSpec) {
			s.Password, s.EnableGracefulRestart, s.EBGPMultiHop, s.DualStackAddressFamily = "hush", true, true, true
		}, func(p *announcers.PeerSettings) {
			p.Password, p.GracefulRestart, p.MultiHop, p.BothFamilies = "hush", true, true, true
		}},
		{"BFD as it is unless said otherwise", func(s *v1beta2.BGPPeerSpec) { s.BFDProfile = "plain" }, func(p *announcers.PeerSettings) {
			p.BFD = announcers.BFD{Enabled: true, Transmit: 300 * time.Millisecond, Receive: 300 * time.Millisecond, Multiplier: 3}
		}},
		{"BFD over several hops", func(s *v1beta2.BGPPeerSpec) { s.BFDProfile, s.EBGPMultiHop = "plain", true }, func(p *announcers.PeerSettings) {
			p.MultiHop = true
			p.BFD = announcers.BFD{Enabled: true, Transmit: 300 * time.Millisecond, Receive: 300 * time.Millisecond, Multiplier: 3, MinimumTTL: 254}
		}},
		{"BFD with an internal peer, which may be far away", func(s *v1beta2.BGPPeerSpec) { s.BFDProfile, s.PeerASN = "plain", 64512 }, func(p *announcers.PeerSettings) {
			p.RemoteASN = 64512
			p.BFD = announcers.BFD{Enabled: true, Transmit: 300 * time.Millisecond, Receive: 300 * time.Millisecond, Multiplier: 3, MinimumTTL: 254}
		}},
		{"BFD on an unnumbered internal session", func(s *v1beta2.BGPPeerSpec) {
			s.BFDProfile, s.PeerASN, s.DynamicASN, s.PeerAddress, s.Interface = "plain", 0, v1beta2.DynamicASNInternal, "", "eth3"
		}, func(p *announcers.PeerSettings) {
			p.RemoteASN, p.Accept, p.Address, p.Interface = 0, announcers.InternalASN, netip.Addr{}, "eth3"
			p.BFD = announcers.BFD{Enabled: true, Transmit: 300 * time.Millisecond, Receive: 300 * time.Millisecond, Multiplier: 3}
		}},
		{"BFD with echo", func(s *v1beta2.BGPPeerSpec) { s.BFDProfile = "echo" }, func(p *announcers.PeerSettings) {
			p.BFD = announcers.BFD{Enabled: true, Transmit: 300 * time.Millisecond, Receive: 300 * time.Millisecond, Multiplier: 3, Echo: 50 * time.Millisecond}
		}},
		{"BFD with echo, which IPv6 has not", func(s *v1beta2.BGPPeerSpec) { s.BFDProfile, s.PeerAddress = "echo", "2001:db8::1" }, func(p *announcers.PeerSettings) {
			p.Address = netip.MustParseAddr("2001:db8::1")
			p.BFD = announcers.BFD{Enabled: true, Transmit: 300 * time.Millisecond, Receive: 300 * time.Millisecond, Multiplier: 3}
		}},
		{"BFD with everything", func(s *v1beta2.BGPPeerSpec) { s.BFDProfile, s.EBGPMultiHop = "full", true }, func(p *announcers.PeerSettings) {
			p.MultiHop = true
			p.BFD = announcers.BFD{
				Enabled: true, Transmit: 10 * time.Millisecond, Receive: 20 * time.Millisecond, Multiplier: 5, Passive: true, MinimumTTL: 250,
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			peer := bgpPeer("tor", "198.51.100.1")
			row.change(&peer.Spec)
			p := policy.Compile(policy.Objects{BGPPeers: []v1beta2.BGPPeer{peer}, BFDProfiles: profiles(), Nodes: map[string]map[string]string{"n1": nil}})
			if len(p.Peers) != 1 {
				t.Fatalf("not valid: %v", p.Problems)
			}
			want := plain
			row.want(&want)
			w := World{Self: "n1", Policy: p, Routed: true}
			found := w.neighbours()
			peers, left := found.peers, found.leftOut
			if len(peers) != 1 || len(left) > 0 || peers[0].PeerSettings != want {
				t.Errorf("got %+v\nwant %+v", peers[0].PeerSettings, want)
			}
		})
	}
}

func profiles() []v1beta1.BFDProfile {
	profile := func(name string, spec v1beta1.BFDProfileSpec) v1beta1.BFDProfile {
		return v1beta1.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	}
	return []v1beta1.BFDProfile{
		profile("plain", v1beta1.BFDProfileSpec{EchoInterval: ptr.To[uint32](70), MinimumTTL: nil}),
		profile("echo", v1beta1.BFDProfileSpec{EchoMode: ptr.To(true)}),
		profile("full", v1beta1.BFDProfileSpec{
			TransmitInterval: ptr.To[uint32](10), ReceiveInterval: ptr.To[uint32](20), DetectMultiplier: ptr.To[uint32](5), PassiveMode: ptr.To(true),
			EchoMode: ptr.To(true), EchoInterval: ptr.To[uint32](40), MinimumTTL: ptr.To[uint32](250),
		}),
	}
}
