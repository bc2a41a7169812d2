// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"net/netip"
	"strconv"
	"sync"

	"metalsuite.io/announcers/bgp"
	"metalsuite.io/api/reason"
)

// clues collects from the lines of one server why things happened: the API tells only that they did. A child writes the line before the API
// tells, so whoever has heard an event finds the line here, or very soon.
type clues struct {
	settings bgp.Settings
	// dialed receives a value after a failed dial, reached after the router has accepted the connection, failed after the relay has given up,
	// ended after the session has ended.
	dialed, reached, failed, ended chan struct{}

	mu             sync.Mutex
	sent, received *notification
	dial, end      *reason.Problem
	hasEnd         bool
	// attempt is the number of the attempt that the relay's lines are about; others are late. relay is what they told. A relay serves one
	// session after another, so the number is that of an attempt of the relay, and 0 before the first of this session.
	attempt int
	relay   relayState
	// past is the attempt before, if it was one of this session; its last line may come late. earlier is what was dropped in those before it.
	past struct {
		attempt int
		dropped dropped
	}
	earlier dropped
	// news receives a value after relay has changed.
	news chan struct{}
}

// relayState is how far the relay has come with an attempt.
type relayState struct {
	// port is where GoBGP is to connect to; 0 as long as it is not known. local is our address on the connection.
	port  uint16
	local netip.AddrPort
	// opened is whether the router's OPEN has come, endless whether it asks for a session without hold time.
	opened, endless bool
	gone            bool
	// fault is why the relay has given up; nil as long as it has not.
	fault   *reason.Problem
	dropped dropped
}

func newClues(s bgp.Settings) *clues {
	signal := func() chan struct{} { return make(chan struct{}, 1) }
	return &clues{settings: s, dialed: signal(), reached: signal(), failed: signal(), ended: signal(), news: signal()}
}

// hear takes a line.
func (c *clues) hear(l line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text, ok := l.Fields[fieldAttempt]; ok {
		if attempt, err := strconv.Atoi(text); err != nil || attempt != c.attempt {
			c.hearLate(attempt, l)
			return
		}
	}
	switch l.Message {
	case textReady, textConnected, textPassed, textGone, textDropped:
		if l.Message == textReady {
			c.forget() // lines that came before are about an earlier peer of the server: GoBGP has none of this attempt yet
		}
		c.relay.hear(l)
		signalTo(c.news)
		if l.Message == textConnected {
			signalTo(c.reached)
		}
	case textFault, textLost:
		c.relay.fault = dialProblem(c.settings, l.Fields["Error"])
		if l.Message == textFault {
			c.relay.fault = reason.New(reason.SessionEnded, "the BGP process cannot use the connection: %s", l.Fields["Error"])
		}
		signalTo(c.news)
		signalTo(c.failed)
	case textDialFailed:
		c.dial = dialProblem(c.settings, l.Fields["Error"])
		signalTo(c.dialed)
	case textNotifySent:
		c.sent = notificationOf(l)
	case textNotifyReceived:
		if c.received == nil { // GoBGP tells it again, with less
			c.received = notificationOf(l)
		}
	case textState:
		c.change(l)
	}
}

// hearLate takes a line of another attempt: the last report of the one before comes when the next one may have begun.
func (c *clues) hearLate(attempt int, l line) {
	if l.Message == textDropped && attempt != 0 && attempt == c.past.attempt {
		c.past.dropped = droppedOf(l)
	}
}

// connected reports whether the router has accepted the connection of the present attempt and keeps it.
func (c *clues) connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.relay.local.IsValid() && !c.relay.gone
}

func (c *clues) change(l line) {
	if l.Fields["new"] != stateIdle {
		return
	}
	switch {
	case c.received != nil:
		c.end = c.received.received()
	case c.sent != nil:
		c.end = c.sent.sent()
	case c.relay.fault != nil:
		c.end = c.relay.fault
	default:
		c.end = brokenProblem(l.Fields["old"], l.Fields["reason"])
	}
	c.hasEnd, c.sent, c.received = true, nil, nil
	signalTo(c.ended)
}

func notificationOf(l line) *notification {
	code, _ := strconv.Atoi(l.Fields["Code"]) // 0 is a name of its own: unknown
	subcode, _ := strconv.Atoi(l.Fields["Subcode"])
	n := &notification{code: code, subcode: subcode, message: l.Fields["Communicated-Reason"]}
	if l.Message == textNotifySent && code != codeCease && n.message == "" {
		n.message = l.Fields["Data"]
	}
	if n.message == "[]" {
		n.message = ""
	}
	return n
}

func (r *relayState) hear(l line) {
	switch l.Message {
	case textReady:
		port, _ := strconv.ParseUint(l.Fields["Port"], 10, 16) // the child writes numbers only
		r.port = uint16(port)
	case textConnected:
		r.local, _ = netip.ParseAddrPort(l.Fields["Local"]) // not valid when it is not told
	case textPassed:
		r.opened, r.endless = true, l.Fields[fieldHold] == "0"
	case textGone:
		r.gone = true
	case textDropped:
		r.dropped = droppedOf(l)
	}
}

// await waits until the relay has come so far, and returns how far it has come; false when the context ended before.
func (c *clues) await(ctx context.Context, far func(relayState) bool) (relayState, bool) {
	for {
		c.mu.Lock()
		now := c.relay
		c.mu.Unlock()
		if far(now) {
			return now, true
		}
		select {
		case <-c.news:
		case <-ctx.Done():
			return now, false
		}
	}
}

// droppedSoFar returns what was dropped since the session began, and in the present attempt.
func (c *clues) droppedSoFar() (all, now dropped) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now = c.relay.dropped
	return c.earlier.plus(c.past.dropped).plus(now), now
}

// begin forgets everything but what was dropped; an attempt of this number begins.
func (c *clues) begin(attempt int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.earlier = c.earlier.plus(c.past.dropped)
	c.past.attempt, c.past.dropped = c.attempt, c.relay.dropped
	c.attempt, c.relay = attempt, relayState{}
	c.forget()
	drain(c.dialed)
	drain(c.reached)
	drain(c.failed)
}

// forget forgets why something ended. The caller holds mu.
func (c *clues) forget() {
	c.sent, c.received, c.dial, c.end, c.hasEnd = nil, nil, nil, nil, false
	drain(c.ended)
}

// fault returns why the relay has given up the present attempt; nil when it has not.
func (c *clues) fault() *reason.Problem {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.relay.fault
}

// failure returns why the last attempt to connect failed; nil when none did since it was asked.
func (c *clues) failure() *reason.Problem {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.dial
	c.dial = nil
	return p
}

// why returns why the session has ended. It waits for the line until the context ends; then it only knows that it did.
func (c *clues) why(ctx context.Context) *reason.Problem {
	for {
		if p, ok := c.known(); ok {
			return p
		}
		select {
		case <-c.ended:
		case <-ctx.Done():
			return reason.New(reason.SessionEnded, "")
		}
	}
}

func (c *clues) known() (*reason.Problem, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.end, c.hasEnd
	c.end, c.hasEnd = nil, false
	return p, ok
}

// signalTo leaves one value in a channel of capacity one.
func signalTo(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func drain(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}
