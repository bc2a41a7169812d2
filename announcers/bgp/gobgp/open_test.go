// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"encoding/binary"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"metalsuite.io/announcers"
)

// capabilities returns the values of the capabilities in the OPEN that the puppet got last.
func (p *puppet) capabilities() map[byte][]byte {
	p.t.Helper()
	open, err := readOpen(p.open)
	if err != nil {
		p.t.Fatal(err)
	}
	out := map[byte][]byte{}
	for rest := open.capabilities; len(rest) > 0; {
		n := int(rest[1])
		out[rest[0]], rest = rest[2:2+n], rest[2+n:]
	}
	return out
}

// The restart time has 12 bits; those above are flags (RFC 4724 3), and none of them is set by a helper.
func TestOpenHasTheRestartTimeWhateverTheHoldTimeIs(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		hold    time.Duration
		restart bool
		told    uint16
		want    []byte
	}{
		"no hold time, helper":                {told: 65535, want: []byte{0, 120}},
		"the shortest hold time, helper":      {hold: 3 * time.Second, told: 3, want: []byte{0, 120}},
		"a hold time of 13 bits, helper":      {hold: 4096 * time.Second, told: 4096, want: []byte{0, 120}},
		"the longest hold time, helper":       {hold: longestHold, told: 65535, want: []byte{0, 120}},
		"no hold time, graceful restart":      {restart: true, told: 65535, want: []byte{0, 120, 0, 1, 1, 0}},
		"longest hold time, graceful restart": {hold: longestHold, restart: true, told: 65535, want: []byte{0, 120, 0, 1, 1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPuppet(t, "127.0.0.1")
			settings := p.settings()
			settings.Timers, settings.HoldTime, settings.KeepaliveTime = true, row.hold, row.hold/3
			settings.GracefulRestart = row.restart
			s := startEngine(t, 2).open(t, settings)
			s.connect()
			p.accept()
			s.Expect(binary.BigEndian.Uint16(p.open[3:])).To(Equal(row.told))
			s.Expect(p.capabilities()).To(HaveKeyWithValue(byte(capabilityGracefulRestart), row.want))
		})
	}
}
