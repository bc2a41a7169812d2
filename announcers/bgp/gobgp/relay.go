// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a relay.
const (
	// flushWait is how long a router has for taking what GoBGP sent before it closed.
	flushWait = time.Second
	// routerBuffer bounds what the kernel keeps for a router that does not take it, in bytes, so that this is noticed early.
	routerBuffer = 256 << 10
	// reportInterval is how often the parent is told what was dropped, as long as that changes.
	reportInterval = time.Second
	// standInInterval is the least time between two KEEPALIVE messages that stand for dropped ones. The shortest hold time is 3 s
	// (RFC 4271 4.2).
	standInInterval = time.Second
	// refreshInterval is the least time between two ROUTE-REFRESH messages of a family that are passed on: each has GoBGP send everything anew.
	refreshInterval = time.Second
)

// relay is between a router and a GoBGP server. It connects to the router, and passes on the messages that a session lives on, rebuilt, so
// that GoBGP never reads a byte as the router sent it. Routes are dropped here: nothing is done with them, and GoBGP would keep them.
type relay struct {
	out    *output
	server int

	mu      sync.Mutex
	current *passage
}

// passage is one attempt to connect, and the connection.
type passage struct {
	relay  *relay
	number int
	way    way
	cancel context.CancelFunc
	// proceed is closed when the session may become established.
	proceed chan struct{}
	once    sync.Once

	// router and engine are the two connections; sending guards what is written to the router.
	router, engine *net.TCPConn
	from           *bufio.Reader
	sending        sync.Mutex
	// endless is whether the router has asked for a session without hold time.
	endless atomic.Bool
	// counting guards traffic and late, the next report that waits for its time.
	counting sync.Mutex
	traffic  traffic
	late     *time.Timer
}

// begin connects to a router; an earlier attempt is given up.
func (r *relay) begin(number int, w way) {
	r.hangUp()
	entrance, port, err := newDoor()
	ctx, cancel := context.WithCancel(context.Background())
	p := newPassage(r, number, w, cancel)
	if err != nil {
		cancel()
		p.fault(err)
		return
	}
	r.mu.Lock()
	r.current = p
	r.mu.Unlock()
	p.say(levelDebug, textReady, map[string]string{"Port": strconv.Itoa(int(port))})
	go func() {
		defer cancel()
		defer entrance.close()
		p.run(ctx, entrance)
	}()
}

func newPassage(r *relay, number int, w way, cancel context.CancelFunc) *passage {
	return &passage{relay: r, number: number, way: w, cancel: cancel, proceed: make(chan struct{}), traffic: newTraffic(time.Now())}
}

// pass lets the session become established.
func (r *relay) pass() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.current; p != nil {
		p.once.Do(func() { close(p.proceed) })
	}
}

// hangUp ends the attempt. A router that is still to take something keeps the connection for flushWait.
func (r *relay) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil {
		r.current.cancel()
		r.current = nil
	}
}

func (r *relay) say(v level, text string, fields map[string]string) {
	r.out.write(line{Server: r.server, Level: v, Message: text, Fields: fields}, true)
}

// say tells something of this attempt.
func (p *passage) say(v level, text string, fields map[string]string) {
	fields[fieldAttempt] = strconv.Itoa(p.number)
	p.relay.say(v, text, fields)
}

// run has one connection.
func (p *passage) run(ctx context.Context, entrance *door) {
	if !p.reach(ctx) {
		return
	}
	defer func() { _ = p.router.Close() }()
	_ = p.router.SetWriteBuffer(routerBuffer) // a larger one does too
	p.say(levelDebug, textConnected, map[string]string{"Local": p.router.LocalAddr().String()})
	var err error
	if p.engine, err = entrance.accept(ctx); err != nil {
		if ctx.Err() == nil {
			p.fault(err)
		}
		return
	}
	defer func() { _ = p.engine.Close() }()
	stop := context.AfterFunc(ctx, func() {
		_ = p.engine.Close()                                // what GoBGP sent and nobody has read need not be read any more
		_ = p.router.SetDeadline(time.Now().Add(flushWait)) // fails only when it is closed
	})
	defer stop()
	down := make(chan struct{})
	go func() {
		defer close(down)
		p.guard(func() { p.down(ctx) })
	}()
	p.guard(p.up)
	_ = p.router.CloseWrite()
	p.say(levelDebug, textGone, map[string]string{})
	_ = p.router.SetReadDeadline(time.Now().Add(flushWait)) // the rest is read, or the kernel would reset what the router has not read yet
	<-down
	p.report(time.Now(), true)
}

// fault tells that the relay cannot go on with the attempt: GoBGP waits for it in vain, so the parent is to end it.
func (p *passage) fault(err error) {
	p.say(levelError, textFault, map[string]string{"Error": err.Error()})
	p.say(levelDebug, textGone, map[string]string{})
}

// guard keeps a fault of ours to the one session.
func (p *passage) guard(f func()) {
	defer func() {
		if fault := recover(); fault != nil {
			p.fault(fmt.Errorf("a panic: %v", fault))
			_ = p.engine.Close()
			_ = p.router.Close()
		}
	}()
	f()
}

// up passes on what GoBGP sends, until it closes. On a session without hold time a KEEPALIVE only answers the OPEN (RFC 4271 4.4).
func (p *passage) up() {
	from, buffer := bufio.NewReader(p.engine), make([]byte, longestMessage)
	answered := false
	for {
		m, err := readMessage(from, buffer)
		if err != nil {
			return
		}
		if m.kind() == typeKeepalive {
			if answered && p.endless.Load() {
				p.count(time.Now(), func(t *traffic) { t.lost.withheld++ })
				continue
			}
			answered = true
		}
		if err := p.send(m); err != nil {
			return
		}
	}
}

// send writes one message to the router. A NOTIFICATION is the last; it has flushWait.
func (p *passage) send(m message) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	if m.kind() == typeNotification {
		_ = p.router.SetWriteDeadline(time.Now().Add(flushWait))
	}
	_, err := p.router.Write(m)
	return err
}

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
