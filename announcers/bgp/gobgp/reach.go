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

// reachTimes say how a relay connects to a router that may not be ready. GoBGP comes engine after the beginning at the earliest: until then, and
// for look at least, a connection is watched. A router that closes it is tried again after again, until impatience is over.
type reachTimes struct{ engine, look, again, impatience time.Duration }

var usualTimes = reachTimes{engine: 900 * time.Millisecond, look: 300 * time.Millisecond, again: 300 * time.Millisecond, impatience: 3 * time.Second}

// errLost is that a router that took a connection takes no more.
var errLost = errors.New("the router takes no connection any more")

// reach connects to the router. A router that has just lost a session often takes a connection and closes it at once, until it is ready for the
// next one (FRR waits for a second): it is tried again. The door is opened with the first connection, so that GoBGP, which looks every one to two
// seconds, waits there meanwhile and need not look again. So the attempt is over when a router takes a connection and the next one not any more.
// It does not connect long before GoBGP comes: FRR starts BFD for a dynamic neighbour with the connection, and ends a session that becomes
// established after BFD is up.
func (p *passage) reach(ctx context.Context, entrance *door) error {
	began, times := time.Now(), p.relay.times
	if err := pause(ctx, times.engine-times.look); err != nil {
		return err
	}
	conn, err := p.connect(ctx)
	if err != nil {
		return err
	}
	if err := entrance.open(); err != nil {
		_ = conn.Close()
		return err
	}
	first := time.Now()
	for {
		p.router, p.from = conn, bufio.NewReaderSize(conn, 64<<10)
		until := latest(began.Add(times.engine), time.Now().Add(times.look))
		if p.stays(ctx, until) || time.Since(first) > times.impatience {
			return nil
		}
		_ = conn.Close()
		if err := pause(ctx, times.again); err != nil {
			return err
		}
		if conn, err = p.way.dial(ctx); err != nil {
			p.say(levelDebug, textLost, map[string]string{"Error": err.Error()})
			return errLost
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// stays says whether the router keeps the connection until then, or begins a session before. A NOTIFICATION is how some turn it away. The end of
// the context closes the connection.
func (p *passage) stays(ctx context.Context, until time.Time) bool {
	conn := p.router
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetReadDeadline(until) // fails only when it is closed, which reading tells too
	header, err := p.from.Peek(headerLength)
	_ = conn.SetReadDeadline(time.Time{})
	return err == nil && message(header).kind() != typeNotification || errors.Is(err, os.ErrDeadlineExceeded)
}

// connect connects to the router, as often as is needed; it fails when the context has ended.
func (p *passage) connect(ctx context.Context) (*net.TCPConn, error) {
	for {
		began := time.Now()
		conn, err := p.way.dial(ctx)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		p.say(levelDebug, textDialFailed, map[string]string{"Error": err.Error()})
		if err := pause(ctx, p.way.Retry-time.Since(began)); err != nil {
			return nil, err
		}
	}
}
