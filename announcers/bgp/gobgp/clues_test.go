// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"maps"
	"strconv"
	"testing"

	. "github.com/onsi/gomega"

	"metalsuite.io/announcers/bgp"
	"metalsuite.io/api/reason"
)

// relayed is a line of the relay about an attempt.
func relayed(attempt int, text string, fields map[string]string) line {
	all := map[string]string{fieldAttempt: strconv.Itoa(attempt)}
	maps.Copy(all, fields)
	return line{Level: levelDebug, Message: text, Fields: all}
}

func TestLinesOfAnEarlierAttemptAreNotHeard(t *testing.T) {
	g := NewWithT(t)
	c := newClues(bgp.Settings{})
	c.hear(relayed(7, textConnected, map[string]string{"Local": "192.0.2.1:1"}))
	g.Expect(c.connected()).To(BeFalse(), "of the session that had the server before")
	c.begin(8)
	c.hear(relayed(7, textGone, nil))
	c.hear(relayed(8, textConnected, map[string]string{"Local": "192.0.2.1:2"}))
	g.Expect(c.connected()).To(BeTrue())
	c.begin(9)
	c.hear(relayed(8, textConnected, map[string]string{"Local": "192.0.2.1:2"}))
	g.Expect(c.connected()).To(BeFalse())
}

func TestWhyAnEarlierSessionEndedIsNotTakenForTheEndOfTheNext(t *testing.T) {
	g := NewWithT(t)
	c := newClues(bgp.Settings{})
	c.begin(3)
	c.hear(line{Message: textNotifyReceived, Fields: map[string]string{"Code": "6", "Subcode": "4"}}) // GoBGP was slow to say so
	c.hear(relayed(3, textReady, map[string]string{"Port": "5"}))
	c.hear(line{Message: textState, Fields: map[string]string{"old": stateOpenSent, "new": stateIdle}})
	g.Expect(c.why(t.Context())).To(Equal(brokenProblem(stateOpenSent, "")))
	c.hear(line{Message: textNotifyReceived, Fields: map[string]string{"Code": "6", "Subcode": "4"}})
	c.hear(line{Message: textState, Fields: map[string]string{"new": stateIdle}})
	g.Expect(c.why(t.Context()).Reason).To(Equal(reason.PeerClosedSession))
}

func TestLastReportOfWhatWasDroppedCountsThoughItComesLate(t *testing.T) {
	g := NewWithT(t)
	c := newClues(bgp.Settings{})
	report := func(attempt int, messages string) {
		c.hear(relayed(attempt, textDropped, map[string]string{"Messages": messages}))
	}
	so := func() []uint64 {
		all, now := c.droppedSoFar()
		return []uint64{all.messages, now.messages}
	}
	report(4, "1000")
	c.begin(5)
	report(4, "1000")
	g.Expect(so()).To(Equal([]uint64{0, 0}), "of another session")
	report(5, "10")
	c.begin(6)
	report(6, "1")
	g.Expect(so()).To(Equal([]uint64{11, 1}))
	report(5, "12")
	g.Expect(so()).To(Equal([]uint64{13, 1}))
	c.begin(7)
	g.Expect(so()).To(Equal([]uint64{13, 0}))
	report(6, "3")
	g.Expect(so()).To(Equal([]uint64{15, 0}))
}
