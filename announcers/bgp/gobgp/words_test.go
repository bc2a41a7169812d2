// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
	"metalsuite.io/api/reason"
)

func TestNotificationsHaveNames(t *testing.T) {
	for want, n := range map[string]notification{
		"Cease/Administrative Shutdown": {code: 6, subcode: 2},
		`Cease/Hard Reset ("bye")`:      {code: 6, subcode: 9, message: "bye"},
		"Cease/BFD Down":                {code: 6, subcode: 10},
		"Hold Timer Expired":            {code: 4},
		"UPDATE Message Error/subcode 77": {
			code: 3, subcode: 77,
		},
		"code 99/subcode 1": {code: 99, subcode: 1},
	} {
		NewWithT(t).Expect(n.String()).To(Equal(want))
	}
}

func TestWhatNotificationsMean(t *testing.T) {
	for name, row := range map[string]struct {
		n              notification
		received, sent reason.Reason
	}{
		"other ASN":          {n: notification{code: 2, subcode: 2}, received: reason.PeerASNMismatch, sent: reason.PeerASNMismatch},
		"same router ID":     {n: notification{code: 2, subcode: 3}, received: reason.RouterIDConflict, sent: reason.RouterIDConflict},
		"hold timer":         {n: notification{code: 4}, received: reason.HoldTimerExpired, sent: reason.HoldTimerExpired},
		"a Cease":            {n: notification{code: 6, subcode: 2}, received: reason.PeerClosedSession},
		"too many prefixes":  {n: notification{code: 6, subcode: 1}, received: reason.PeerClosedSession},
		"an error in UPDATE": {n: notification{code: 3, subcode: 1}, received: reason.PeerClosedSession, sent: reason.InvalidPeerMessage},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(row.n.received().Reason).To(Equal(row.received))
			sent := row.n.sent()
			if row.sent == "" {
				g.Expect(sent).To(BeNil(), "it was wanted")
				return
			}
			g.Expect(sent.Reason).To(Equal(row.sent))
		})
	}
}

func TestWhyDialingFails(t *testing.T) {
	plain := bgp.Settings{Remote: netip.MustParseAddr("192.0.2.9")}
	plain.Port = 179
	signed, inVRF := plain, plain
	signed.Password, inVRF.VRF = "x", "red"
	for text, row := range map[string]struct {
		settings bgp.Settings
		want     *reason.Problem
	}{
		"dial tcp 10.0.0.1:0->192.0.2.9:179: connect: connection refused": {
			plain, reason.New(reason.ConnectionRefused, "192.0.2.9 port 179 refuses the connection"),
		},
		"dial tcp 192.0.2.9:179: i/o timeout": {plain, reason.New(reason.PeerUnreachable, "no answer from 192.0.2.9 port 179")},
		"dial tcp [fd00::9]:179: i/o timeout": {signed, reason.New(reason.PasswordMismatchSuspected, "no answer from 192.0.2.9 port 179")},
		"dial tcp 192.0.2.9:179: connect: no route to host": {
			plain, reason.New(reason.PeerUnreachable, "connecting to 192.0.2.9 port 179: no route to host"),
		},
		"dial tcp 192.0.2.9:179: operation not permitted": {inVRF, reason.New(reason.VRFMissing, "binding to red: operation not permitted")},
		"nonsense": {plain, reason.New(reason.PeerUnreachable, "connecting to 192.0.2.9 port 179: nonsense")},
	} {
		NewWithT(t).Expect(dialProblem(row.settings, text)).To(Equal(row.want), text)
	}
}

func TestLastWords(t *testing.T) {
	status := errors.New("exit status 2")
	for name, row := range map[string]struct {
		lines []string
		want  string
	}{
		"nothing": {want: "the BGP process ended (exit status 2)"},
		"a panic": {
			lines: []string{
				"panic: runtime error: index out of range [4] with length 3", "", "goroutine 34 [running]:",
				"panic({0x1, 0x2})", "\truntime/panic.go:792 +0x132", "github.com/osrg/gobgp/v3/pkg/packet/bgp.f()",
				"\tgithub.com/osrg/gobgp/v3@v3.37.0/pkg/packet/bgp/bgp.go:11504 +0x5", "\tgithub.com/osrg/gobgp/v3@v3.37.0/pkg/server/fsm.go:1 +0x5",
			},
			want: "the BGP process ended (exit status 2): panic: runtime error: index out of range [4] with length 3 at bgp/bgp.go:11504",
		},
		"giving up": {
			lines: []string{string(line{Level: levelFatal, Message: "code logic bug", Fields: map[string]string{"Key": "192.0.2.9"}}.encode())},
			want:  "the BGP process ended (exit status 2): GoBGP exited with a fatal error: code logic bug key=192.0.2.9",
		},
		"other words": {lines: []string{"metalsuite: unknown command"}, want: "the BGP process ended (exit status 2): metalsuite: unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &child{}
			for _, text := range row.lines {
				c.hear([]byte(text + "\n"))
			}
			NewWithT(t).Expect(c.last.words(status)).To(Equal(row.want))
		})
	}
}

func TestExitReportNamesThePeerAndItsMessage(t *testing.T) {
	g := NewWithT(t)
	peer := newClues(bgp.Settings{Name: "tor-a"})
	peer.attempt = 1
	passed := func(data string) []byte {
		return line{Level: levelDebug, Message: textPassed, Fields: map[string]string{fieldAttempt: "1", "Data": data}}.encode()
	}
	c := &child{hearers: map[int]*clues{0: peer}}
	c.hear(passed("ffff0101"))
	g.Expect(c.last.words(nil)).To(Equal("the BGP process ended (exit status 0)"), "one that was not a crash")
	c.hear([]byte("panic: index out of range\n"))
	g.Expect(c.last.words(nil)).To(Equal(
		"the BGP process ended (exit status 0): panic: index out of range; the last OPEN message was that of peer tor-a: ffff0101"))
	c.hear(passed(strings.Repeat("ff", longestMessage)))
	g.Expect(len(c.last.words(nil))).To(BeNumerically("<", longestMessageText+200))

	full := &child{}
	full.hear([]byte("fatal error: runtime: cannot allocate memory\n"))
	g.Expect(full.last.end(errors.New("exit status 2"), false)).To(MatchError(bgp.ErrOutOfMemory))
	crashed := &child{}
	crashed.hear([]byte("panic: out of memory, says a map\n"))
	g.Expect(crashed.last.end(errors.New("exit status 2"), false)).NotTo(MatchError(bgp.ErrOutOfMemory))
}

func TestLinesOfAChildAreLoggedAlsoWhereNoSessionHearsThem(t *testing.T) {
	g := NewWithT(t)
	var got []string
	c := &child{hearers: map[int]*clues{}, log: funcr.New(func(_, text string) { got = append(got, text) }, funcr.Options{Verbosity: 1})}
	for _, l := range []line{
		{Server: wholeProcess, Level: levelWarning, Message: textUnlimited, Fields: map[string]string{"Error": "operation not permitted"}},
		{Server: 3, Level: levelWarning, Message: "left over"},
		{Server: 3, Level: levelDebug, Message: textState},
	} {
		c.hear(l.encode())
	}
	g.Expect(got).To(ConsistOf(
		And(ContainSubstring(`"level"=0`), ContainSubstring(textUnlimited+" error=operation not permitted")),
		And(ContainSubstring(`"level"=1`), ContainSubstring("left over")),
	))
}

func FuzzHear(f *testing.F) {
	f.Add([]byte("panic: no"))
	f.Add([]byte(`{"server":0,"level":"debug","message":"state changed","fields":{"new":"BGP_FSM_IDLE"}}`))
	f.Add([]byte(`{"server":0,"level":"warning","message":"received notification","fields":{"Code":"6","Subcode":"x"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := &child{hearers: map[int]*clues{0: newClues(bgp.Settings{PeerSettings: announcers.PeerSettings{Password: "secret"}})}}
		c.hear(text)
		if words := c.last.words(nil); !strings.HasPrefix(words, "the BGP process ended") {
			t.Errorf("the words are %q", words)
		}
	})
}
