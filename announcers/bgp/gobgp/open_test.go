// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"encoding/binary"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
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

// A session whose router offers no hold time has none (RFC 4271 4.2): nobody sends KEEPALIVE, and silence does not end it.
func TestRouterWithoutHoldTimeHasASessionWithoutKeepalives(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]time.Duration{"ours is the shortest": 3 * time.Second, "ours is none either": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPuppet(t, "127.0.0.1")
			p.hold = 0
			settings := p.settings()
			settings.Timers, settings.HoldTime, settings.KeepaliveTime = true, hold, hold/3
			s := startEngine(t, 2).open(t, settings)
			s.connect()
			p.establish(p.accept())
			opened := s.phase(announcers.Established).Opened
			s.Expect([]time.Duration{opened.HoldTime, opened.KeepaliveTime}).To(Equal([]time.Duration{0, 0}))
			s.Consistently(s.Events(), 5*time.Second).ShouldNot(Receive(), "longer than the hold time of this side")
			s.announce(route("198.51.100.1/32"))
			s.Expect(p.kinds(messageUpdate)).To(Equal([]byte{messageUpdate}), "nothing was sent before")
			s.Eventually(func() []uint64 {
				messages := s.stats().Messages
				return []uint64{messages.KeepalivesSent, messages.KeepalivesReceived}
			}, patience).Should(Equal([]uint64{1, 1}))
			p.send(messageNotification, []byte{6, 2})
			s.Expect(s.problem().Problem.Reason).To(Equal(reason.PeerClosedSession))
		})
	}
}

// kinds returns the types of the messages that come, up to the first of the type.
func (p *puppet) kinds(last byte) []byte {
	p.t.Helper()
	var out []byte
	for len(out) == 0 || out[len(out)-1] != last {
		kind, _, err := p.message()
		if err != nil {
			p.t.Fatal(err)
		}
		out = append(out, kind)
	}
	return out
}
