// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"time"
)

// down reads what the router sends, and passes on what GoBGP is to know.
func (p *passage) down(ctx context.Context) {
	defer func() { _ = p.engine.Close() }()
	if err := p.exchange(ctx, p.from, make([]byte, longestMessage)); err != nil {
		p.refuse(err)
	}
}

// refuse ends the connection for an error; a message that is not valid is answered.
func (p *passage) refuse(err error) {
	var why *wireError
	if !errors.As(err, &why) {
		return
	}
	_ = p.send(why.packet())
	p.say(levelWarning, textNotifySent, map[string]string{
		"Code": strconv.Itoa(why.code), "Subcode": strconv.Itoa(why.subcode), "Data": why.message,
	})
}

// exchange is the life of the connection: an OPEN, a KEEPALIVE, then everything else (RFC 4271 8.2.2).
func (p *passage) exchange(ctx context.Context, from io.Reader, buffer []byte) error {
	m, err := p.expect(from, buffer, typeOpen, 1)
	if err != nil {
		return err
	}
	open, err := readOpen(m.body())
	if err != nil {
		return err
	}
	hold := open.hold
	if hold == 0 {
		open.hold = uint16(seconds(longestHold))
		p.endless.Store(true)
	}
	passed := open.packet()
	// GoBGP judges what the OPEN says, so this is the one message that may still harm it.
	p.say(levelDebug, textPassed, map[string]string{"Data": hex.EncodeToString(passed), fieldHold: strconv.Itoa(int(hold))})
	if _, err := p.engine.Write(passed); err != nil {
		return err
	}
	if _, err := p.expect(from, buffer, typeKeepalive, 2); err != nil {
		return err
	}
	select {
	case <-p.proceed:
	case <-ctx.Done():
		return ctx.Err()
	}
	if _, err := p.engine.Write(newMessage(typeKeepalive, nil)); err != nil {
		return err
	}
	if hold == 0 {
		feeding, stop := context.WithCancel(ctx)
		defer stop()
		go p.feed(feeding)
	}
	return p.established(ctx, from, buffer, open)
}

// feed keeps GoBGP's hold timer from firing on a session that has none: the smaller hold time counts, and 0 is that of no timer (RFC 4271 4.2).
// GoBGP is not told of the 0, because with it every message that it sends is late at once.
func (p *passage) feed(ctx context.Context) {
	ticker := time.NewTicker(max(p.way.Hold/3, time.Second))
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			if _, err := p.engine.Write(newMessage(typeKeepalive, nil)); err != nil {
				return
			}
			p.count(now, func(t *traffic) { t.standIn(now) })
		case <-ctx.Done():
			return
		}
	}
}

// expect reads the message that is to come, or a NOTIFICATION. Out of turn is told with a subcode of RFC 6608.
func (p *passage) expect(from io.Reader, buffer []byte, kind byte, subcode int) (message, error) {
	m, err := readMessage(from, buffer)
	switch {
	case err != nil:
		return nil, err
	case m.kind() == typeNotification:
		return nil, p.notified(m)
	case m.kind() != kind:
		return nil, invalid(codeStateMachine, subcode, []byte{m.kind()}, "an unexpected message of type %d", m.kind())
	}
	return m, nil
}

var errNotified = errors.New("the router ended the session")

// notified passes on a NOTIFICATION, without data that only people read.
func (p *passage) notified(m message) error {
	n := told(m.body())
	p.say(levelWarning, textNotifyReceived, map[string]string{
		"Code": strconv.Itoa(n.code), "Subcode": strconv.Itoa(n.subcode), "Communicated-Reason": n.message,
	})
	_, _ = p.engine.Write(newMessage(typeNotification, []byte{byte(n.code), byte(n.subcode)})) // it ends in any case
	return errNotified
}

// established passes on what GoBGP is to know, and drops routes.
func (p *passage) established(ctx context.Context, from io.Reader, buffer []byte, open opening) error {
	complete := map[wireFamily]bool{}
	for {
		m, err := readMessage(from, buffer)
		if err != nil {
			return err
		}
		now := time.Now()
		next, err := p.next(now, m, open, complete)
		if err != nil {
			return err
		}
		if next != nil {
			if _, err := p.engine.Write(next); err != nil {
				return err
			}
		}
		var wait time.Duration
		p.count(now, func(t *traffic) { wait = t.read(now, len(m)) })
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// next returns what GoBGP gets for a message of the router, nil for nothing. complete are the families whose End-of-RIB it got: there is one in
// a session (RFC 4724 2).
func (p *passage) next(now time.Time, m message, open opening, complete map[wireFamily]bool) (message, error) {
	pass := false
	switch m.kind() {
	case typeNotification:
		return nil, p.notified(m)
	case typeOpen:
		return nil, invalid(codeStateMachine, 3, []byte{m.kind()}, "a second OPEN message")
	case typeRouteRefresh:
		return p.refresh(now, m, open), nil
	case typeKeepalive:
		p.count(now, func(t *traffic) { pass = t.keepalive(now) })
	case typeUpdate:
		if f, ok := endOfRIB(m.body()); ok && p.carries(f, open) && !complete[f] {
			complete[f] = true
			p.count(now, func(t *traffic) { t.passed(now) })
			return newEndOfRIB(f), nil
		}
		p.count(now, func(t *traffic) { pass = t.drop(now, len(m)) })
	}
	if !pass {
		return nil, nil
	}
	return newMessage(typeKeepalive, nil), nil
}

// refresh returns a ROUTE-REFRESH for GoBGP, nil when there is none to be passed on now. One that comes too early is passed on later, while the
// messages behind it go on: GoBGP's hold timer runs on, for only KEEPALIVE and UPDATE start it anew (RFC 4271 8.2.2). Those of a family that was
// not agreed on are ignored (RFC 2918 4).
func (p *passage) refresh(now time.Time, m message, open opening) message {
	f, ok := refreshed(m)
	var wait time.Duration
	pass := ok && p.carries(f, open)
	p.count(now, func(t *traffic) {
		if pass {
			wait, pass = t.refresh(now, f)
		} else {
			t.lost.refreshes++
		}
	})
	if !pass {
		return nil
	}
	next := newMessage(typeRouteRefresh, []byte{byte(f.afi >> 8), byte(f.afi), 0, f.safi})
	if wait == 0 {
		return next
	}
	time.AfterFunc(wait, func() { _, _ = p.engine.Write(next) }) // fails only when the connection has ended
	return nil
}

// carries says whether both sides have offered a family (RFC 4760 8).
func (p *passage) carries(f wireFamily, open opening) bool {
	return open.families[f] && (f == wireIPv4 && p.way.IPv4 || f == wireIPv6 && p.way.IPv6)
}

// pause waits, if there is anything to wait for.
func pause(ctx context.Context, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
