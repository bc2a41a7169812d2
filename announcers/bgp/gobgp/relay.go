// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bufio"
	"context"
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
	// flushWait is how long a router has for taking what it was sent, once the session is to end.
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
	times  reachTimes

	mu      sync.Mutex
	current *passage
}

// passage is one attempt to connect, and the connection.
type passage struct {
	relay  *relay
	number int
	way    way
	cancel context.CancelFunc
	// parting ends when the session is to end, by part.
	parting context.Context
	part    context.CancelFunc
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
		defer p.part()
		defer cancel()
		defer entrance.close()
		p.run(ctx, entrance)
	}()
}

func newPassage(r *relay, number int, w way, cancel context.CancelFunc) *passage {
	p := &passage{relay: r, number: number, way: w, cancel: cancel, proceed: make(chan struct{}), traffic: newTraffic(time.Now())}
	p.parting, p.part = context.WithCancel(context.Background())
	return p
}

// pass lets the session become established.
func (r *relay) pass() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.current; p != nil {
		p.once.Do(func() { close(p.proceed) })
	}
}

// part says that GoBGP ends the session: from now on the router has flushWait for what it has not taken yet. A GoBGP that cannot write what
// comes before its NOTIFICATION would wait for as long as the hold time.
func (r *relay) part() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil {
		r.current.part()
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
	if err := p.meet(ctx, entrance); err != nil {
		if ctx.Err() == nil && p.parting.Err() == nil && !errors.Is(err, errLost) {
			p.fault(err)
		}
		p.say(levelDebug, textGone, map[string]string{})
		return
	}
	defer func() { _ = p.router.Close() }()
	defer func() { _ = p.engine.Close() }()
	defer context.AfterFunc(p.parting, p.hurry)()
	defer context.AfterFunc(ctx, func() {
		_ = p.engine.Close()                                // what GoBGP sent and nobody has read need not be read any more
		_ = p.router.SetDeadline(time.Now().Add(flushWait)) // fails only when it is closed
	})()
	p.carry(ctx)
}

// meet connects to the router and lets GoBGP in. There is nothing to wait for when the session is to end before.
func (p *passage) meet(ctx context.Context, entrance *door) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.parting, cancel)()
	if err := p.reach(ctx, entrance); err != nil {
		return err
	}
	_ = p.router.SetWriteBuffer(routerBuffer) // a larger one does too
	p.say(levelDebug, textConnected, map[string]string{"Local": p.router.LocalAddr().String()})
	var err error
	if p.engine, err = entrance.accept(ctx); err != nil {
		_ = p.router.Close()
	}
	return err
}

// carry passes messages on until one side has ended the connection.
func (p *passage) carry(ctx context.Context) {
	live, over := context.WithCancel(ctx)
	defer over()
	down := make(chan struct{})
	go func() {
		defer close(down)
		p.guard(func() { p.down(live) })
	}()
	p.guard(p.up)
	over()               // down may wait for something else than the router
	_ = p.engine.Close() // GoBGP may wait until the router takes something
	_ = p.router.CloseWrite()
	p.say(levelDebug, textGone, map[string]string{})
	_ = p.router.SetReadDeadline(time.Now().Add(flushWait))
	<-down
	p.report(time.Now(), true)
	_, _ = io.Copy(io.Discard, p.from) // the rest is read, or the kernel would reset what the router has not read yet
}

// hurry gives the router flushWait for taking what it was sent, also what is being written.
func (p *passage) hurry() { _ = p.router.SetWriteDeadline(time.Now().Add(flushWait)) } // fails only when it is closed

// fault tells that the relay cannot go on with the attempt: GoBGP waits for it in vain, so the parent is to end it.
func (p *passage) fault(err error) {
	p.say(levelError, textFault, map[string]string{"Error": err.Error()})
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

// send writes one message to the router. A NOTIFICATION is the last; it has flushWait, with what is being written before it.
func (p *passage) send(m message) error {
	if m.kind() == typeNotification {
		p.hurry()
	}
	p.sending.Lock()
	defer p.sending.Unlock()
	_, err := p.router.Write(m)
	return err
}
