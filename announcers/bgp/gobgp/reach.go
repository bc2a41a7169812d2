// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"time"
)

// How a relay connects to a router.
const (
	// engineWait is when GoBGP comes at the earliest. A router that closes the connection before is tried again after againWait, until
	// impatience is over.
	engineWait = 900 * time.Millisecond
	againWait  = 300 * time.Millisecond
	impatience = 3 * time.Second
)

// reach connects to the router; false when the context has ended. A router that has just lost a session often takes a connection and closes
// it at once, until it is ready for the next one (FRR waits for a second): it is tried again while GoBGP is not there yet, which comes
// engineWait after the beginning at the earliest.
func (p *passage) reach(ctx context.Context) bool {
	began := time.Now()
	for {
		if p.router = p.connect(ctx); p.router == nil {
			return false
		}
		p.from = bufio.NewReaderSize(p.router, 64<<10)
		if p.stays(began.Add(engineWait)) || time.Since(began) > impatience {
			return true
		}
		_ = p.router.Close()
		if pause(ctx, againWait) != nil {
			return false
		}
	}
}

// stays says whether the router keeps the connection until then, or begins a session before. A NOTIFICATION is how some turn it away.
func (p *passage) stays(until time.Time) bool {
	_ = p.router.SetReadDeadline(until) // fails only when it is closed, which reading tells too
	header, err := p.from.Peek(headerLength)
	_ = p.router.SetReadDeadline(time.Time{})
	return err == nil && message(header).kind() != typeNotification || errors.Is(err, os.ErrDeadlineExceeded)
}

// connect connects to the router, as often as is needed; nil when the context has ended.
func (p *passage) connect(ctx context.Context) *net.TCPConn {
	for {
		began := time.Now()
		conn, err := p.way.dial(ctx)
		if err == nil {
			return conn
		}
		if ctx.Err() != nil {
			return nil
		}
		p.say(levelDebug, textDialFailed, map[string]string{"Error": err.Error()})
		select {
		case <-time.After(p.way.Retry - time.Since(began)):
		case <-ctx.Done():
			return nil
		}
	}
}
