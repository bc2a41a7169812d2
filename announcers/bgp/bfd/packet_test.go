// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"
)

// captured is a packet of FRR 8.4.4 with a session that is up: 50 ms both ways, multiplier 3.
var captured = []byte{
	0x20, 0xc0, 0x03, 0x18, 0x22, 0x05, 0x6b, 0x95, 0xb5, 0x7c, 0x51, 0xbc, 0x00, 0x00, 0xc3, 0x50, 0x00, 0x00, 0xc3, 0x50, 0x00, 0x00, 0xc3, 0x50,
}

func TestParseCaptured(t *testing.T) {
	got, err := Parse(captured)
	want := Packet{
		Phase: Up, Multiplier: 3, Sender: 0x22056b95, Receiver: 0xb57c51bc, DesiredTransmit: 50 * ms, RequiredReceive: 50 * ms, EchoReceive: 50 * ms,
	}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

// RFC 5880 6.8.6, in its order.
func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name string
		make func(b []byte) []byte
		want error
	}{
		{"nothing", func([]byte) []byte { return nil }, errShort},
		{"a byte less", func(b []byte) []byte { return b[:23] }, errShort},
		{"version 0", func(b []byte) []byte { b[0] = 0; return b }, errVersion},
		{"version 2", func(b []byte) []byte { b[0] = 2 << 5; return b }, errVersion},
		{"length below a header", func(b []byte) []byte { b[3] = 23; return b }, errLength},
		{"length above the payload", func(b []byte) []byte { b[3] = 25; return b }, errLength},
		{"length below a header with authentication", func(b []byte) []byte { b[1] |= flagAuthentication; b[3] = 25; return append(b, 0, 0) }, errLength},
		{"multiplier", func(b []byte) []byte { b[2] = 0; return b }, errMultiplier},
		{"multipoint", func(b []byte) []byte { b[1] |= flagMultipoint; return b }, errMultipoint},
		{"my discriminator", func(b []byte) []byte { copy(b[4:8], make([]byte, 4)); return b }, errDiscriminator},
		{"your discriminator, up", func(b []byte) []byte { copy(b[8:12], make([]byte, 4)); return b }, errUnaddressed},
		{"your discriminator, init", func(b []byte) []byte { b[1] = byte(Init) << 6; copy(b[8:12], make([]byte, 4)); return b }, errUnaddressed},
		{"authentication", func(b []byte) []byte { b[1] |= flagAuthentication; b[3] = 26; return append(b, 1, 2) }, errAuthenticated},
		{"padding is none of our business", func(b []byte) []byte { return append(b, 1, 2, 3) }, nil},
		{"your discriminator, down", func(b []byte) []byte { b[1] = byte(Down) << 6; copy(b[8:12], make([]byte, 4)); return b }, nil},
		{"your discriminator, admin down", func(b []byte) []byte { b[1] = 0; copy(b[8:12], make([]byte, 4)); return b }, nil},
		{"unknown diagnostic", func(b []byte) []byte { b[0] |= 31; return b }, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Parse(test.make(bytes.Clone(captured))); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

func TestIntervalsOnTheWireAreBounded(t *testing.T) {
	got, err := Parse(Packet{Sender: 1, Multiplier: 1, DesiredTransmit: -time.Second, RequiredReceive: 1000 * time.Hour}.Append(nil))
	if err != nil || got.DesiredTransmit != 0 || got.RequiredReceive != math.MaxUint32*time.Microsecond {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWordsOfThePhasesAndDiagnostics(t *testing.T) {
	if AdminDown.String() != "AdminDown" || Up.String() != "Up" || Phase(9).String() != "Unknown" {
		t.Error("phases")
	}
	if DetectionTimeExpired.String() != "Control Detection Time Expired" || ReverseConcatenatedPathDown.String() != "Reverse Concatenated Path Down" || Diagnostic(31).String() != "Unknown" {
		t.Error("diagnostics")
	}
}

func FuzzPacket(f *testing.F) {
	f.Add(captured)
	f.Add(captured[:20])
	f.Add(append(bytes.Clone(captured), 1, 2, 3))
	f.Add(Packet{Phase: Down, Poll: true, Demand: true, ControlPlaneIndependent: true, Multiplier: 1, Sender: 1}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		again := p.Append(nil)
		if q, err := Parse(again); err != nil || q != p {
			t.Errorf("%+v became %+v, %v", p, q, err)
		}
		if b[3] == packetLength && !bytes.Equal(again, b[:packetLength]) {
			t.Errorf("%x became %x", b, again)
		}
	})
}
