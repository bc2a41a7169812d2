// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"net"
	"net/netip"
	"testing"
)

func TestShortUnreachIsThirtyBytes(t *testing.T) {
	for _, attack := range Attacks(64999, netip.MustParseAddr("10.89.0.200")) {
		if attack.Name == "a short MP_UNREACH of AFI 1, SAFI 128" && len(attack.Bytes) != 30 {
			t.Errorf("it has %d bytes", len(attack.Bytes))
		}
	}
}

func TestFullTableIsWellFormed(t *testing.T) {
	attack := FullTable(3, 0)
	const length = 19 + 4 + 216 + 5
	if len(attack.Bytes) != 3*length || attack.Bytes[17] != length || int(attack.Bytes[22]) != 216 {
		t.Errorf("%d bytes, want three messages of %d: % x", len(attack.Bytes), length, attack.Bytes[:30])
	}
}

func TestSessionIsAgreedOnBeforeTheAttack(t *testing.T) {
	ours, theirs := net.Pipe()
	p := &Hostile{asn: 64999, id: netip.MustParseAddr("10.89.0.200")}
	done := make(chan error, 1)
	go func() {
		done <- p.attack(t.Context(), theirs, Attack{Name: "x", Established: true, Bytes: message(99)})
	}()
	if _, err := ours.Write(open(64512, netip.MustParseAddr("10.89.0.11"))); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []byte{bgpOpen, bgpKeepalive} {
		if err := expect(ours, kind); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ours.Write(message(bgpKeepalive)); err != nil {
		t.Fatal(err)
	}
	if err := expect(ours, 99); err != nil {
		t.Fatal(err)
	}
	_ = ours.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
