// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"metalsuite.io/announcers"
)

// BenchmarkApply is what the loop of the speaker pays for one more of 10,000 addresses, with 2 peers.
func BenchmarkApply(b *testing.B) {
	w := newWorld(b)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var all []netip.Addr
	for i := range 10_001 {
		all = append(all, netip.AddrFrom4([4]byte{198, 19, byte(i >> 8), byte(i)}))
	}
	other := tor
	other.Port = 1790
	var states [2]announcers.Desired
	for i := range states {
		some := peer("tor", tor, all[i:10_000+i]...)
		states[i].Peers = []announcers.Peer{some, {Name: "two", PeerSettings: other, Routes: some.Routes}}
		for _, a := range all[i : 10_000+i] {
			states[i].Addresses = append(states[i].Addresses, announcers.Address{Addr: a})
		}
	}
	for !slices.ContainsFunc(w.Peers(), func(s announcers.PeerState) bool { return s.Announced == 10_000 }) {
		w.Apply(ctx, states[0])
	}
	for i := 0; b.Loop(); i++ {
		w.Apply(ctx, states[i%2])
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
