// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"
	"time"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
)

func profiles() []v1beta1.BFDProfile {
	return []v1beta1.BFDProfile{
		{ObjectMeta: born("fast", 0), Spec: v1beta1.BFDProfileSpec{ReceiveInterval: number[uint32](50), DetectMultiplier: number[uint32](3)}},
		{ObjectMeta: born("bad", 0), Spec: v1beta1.BFDProfileSpec{DetectMultiplier: number[uint32](1)}},
	}
}

func TestBFDProfiles(t *testing.T) {
	p := Compile(Objects{BFDProfiles: profiles()})
	if _, ok := p.BFDProfiles["fast"]; !ok || len(p.BFDProfiles) != 1 {
		t.Errorf("profiles %v", p.BFDProfiles)
	}
	if problem, _ := p.ProblemOf(ObjectRef{KindBFDProfile, "bad"}); problem.Reason != reason.InvalidBFDProfile {
		t.Errorf("problem %+v", problem)
	}
}

func TestBFDOfAPeer(t *testing.T) {
	const ms = time.Millisecond
	normal := BFD{Enabled: true, Transmit: 300 * ms, Receive: 300 * ms, Multiplier: 3}
	echo := func(s *v1beta1.BFDProfileSpec) { s.EchoMode = number(true) }
	with := func(change func(*BFD)) BFD {
		b := normal
		change(&b)
		return b
	}
	for _, row := range []struct {
		name    string
		profile func(*v1beta1.BFDProfileSpec)
		peer    func(*v1beta2.BGPPeerSpec)
		want    BFD
		note    reason.Reason
	}{
		{name: "defaults", want: normal},
		{name: "everything", profile: func(s *v1beta1.BFDProfileSpec) {
			*s = v1beta1.BFDProfileSpec{ReceiveInterval: number[uint32](10), TransmitInterval: number[uint32](60000), DetectMultiplier: number[uint32](255),
				EchoInterval: number[uint32](20), EchoMode: number(true), PassiveMode: number(true), MinimumTTL: number[uint32](1)}
		}, want: BFD{Enabled: true, Transmit: time.Minute, Receive: 10 * ms, Multiplier: 255, Echo: 20 * ms, Passive: true}},
		{name: "echo", profile: echo, want: with(func(b *BFD) { b.Echo = 50 * ms })},
		{name: "an interval without echo mode", profile: func(s *v1beta1.BFDProfileSpec) { s.EchoInterval = number[uint32](20) }, want: normal},
		{name: "echo and IPv6", profile: echo, peer: at("2001:db8::1"), want: normal, note: reason.EchoExcludesIPv6},
		{name: "echo and unnumbered", profile: echo, peer: func(s *v1beta2.BGPPeerSpec) { s.PeerAddress, s.Interface = "", "eth0" },
			want: normal, note: reason.EchoExcludesIPv6},
		{name: "several hops", peer: func(s *v1beta2.BGPPeerSpec) { s.EBGPMultiHop = true }, want: with(func(b *BFD) { b.MinimumTTL = 254 })},
		{name: "echo over several hops", profile: echo, peer: func(s *v1beta2.BGPPeerSpec) { s.EBGPMultiHop = true },
			want: with(func(b *BFD) { b.MinimumTTL = 254 }), note: reason.EchoExcludesIPv6},
		{name: "internal peer, which may be far away", peer: func(s *v1beta2.BGPPeerSpec) { s.PeerASN = s.MyASN },
			want: with(func(b *BFD) { b.MinimumTTL = 254 })},
		{name: "internal peer and echo, which is possible unless it is far away", profile: echo, peer: func(s *v1beta2.BGPPeerSpec) { s.PeerASN = s.MyASN },
			want: with(func(b *BFD) { b.MinimumTTL, b.Echo = 254, 50*ms })},
		{name: "internal and unnumbered", peer: func(s *v1beta2.BGPPeerSpec) {
			s.PeerAddress, s.Interface, s.PeerASN, s.DynamicASN = "", "eth0", 0, v1beta2.DynamicASNInternal
		}, want: normal},
		{name: "internal peer with a TTL", profile: func(s *v1beta1.BFDProfileSpec) { s.MinimumTTL = number[uint32](250) },
			peer: func(s *v1beta2.BGPPeerSpec) { s.PeerASN = s.MyASN }, want: with(func(b *BFD) { b.MinimumTTL = 250 })},
		{name: "external peer with a TTL", profile: func(s *v1beta1.BFDProfileSpec) { s.MinimumTTL = number[uint32](250) }, want: normal},
	} {
		t.Run(row.name, func(t *testing.T) {
			profile := v1beta1.BFDProfile{ObjectMeta: born("watch", 0)}
			if row.profile != nil {
				row.profile(&profile.Spec)
			}
			p := Compile(Objects{BFDProfiles: []v1beta1.BFDProfile{profile}, BGPPeers: []v1beta2.BGPPeer{peer("tor", func(s *v1beta2.BGPPeerSpec) {
				s.BFDProfile = "watch"
				if row.peer != nil {
					row.peer(s)
				}
			})}})
			if len(p.Problems) > 0 || len(p.Peers) != 1 || p.Peers[0].BFD != row.want {
				t.Errorf("problems %v, peers %+v", p.Problems, p.Peers)
			}
			if note, _ := p.NoteOf(ObjectRef{KindBGPPeer, "tor"}); note.Reason != row.note {
				t.Errorf("note %v, want %s", note, row.note)
			}
		})
	}
	if p := Compile(Objects{BGPPeers: []v1beta2.BGPPeer{peer("tor", nil)}}); p.Peers[0].BFD != (BFD{}) {
		t.Errorf("without a profile %+v", p.Peers[0].BFD)
	}
}
