// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"strconv"
	"sync"

	"metalsuite.io/announcers/bgp"
	"metalsuite.io/api/reason"
)

// clues collects from the lines of one server why things happened: the API tells only that they did. A child writes the line before the API
// tells, so whoever has heard an event finds the line here, or very soon.
type clues struct {
	settings bgp.Settings
	// dialed receives a value after an attempt to connect has failed, ended after a session did.
	dialed, ended chan struct{}

	mu             sync.Mutex
	sent, received *notification
	dial, end      *reason.Problem
	hasEnd         bool
}

func newClues(s bgp.Settings) *clues {
	return &clues{settings: s, dialed: make(chan struct{}, 1), ended: make(chan struct{}, 1)}
}

// hear takes a line.
func (c *clues) hear(l line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch l.Message {
	case textDialFailed:
		c.dial = dialProblem(c.settings, l.Fields["Error"])
		signalTo(c.dialed)
	case textBadSource:
		c.dial = reason.New(reason.NoSourceAddress, "%s cannot be used", c.settings.Source)
		signalTo(c.dialed)
	case textNotifySent:
		c.sent = notificationOf(l)
	case textNotifyReceived:
		c.received = notificationOf(l)
	case textState:
		c.change(l)
	}
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

// reset forgets everything; a new attempt begins.
func (c *clues) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent, c.received, c.dial, c.end, c.hasEnd = nil, nil, nil, nil, false
	drain(c.dialed)
	drain(c.ended)
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
