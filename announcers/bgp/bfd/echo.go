// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"encoding/binary"
	"time"

	"metalsuite.io/api/reason"
)

// echoLength is the length of our echo packets: a key that only this session knows, and a number.
const echoLength = 12

// echo is the echo function of one session (RFC 5880 6.4, 6.8.8, 6.8.9): packets to ourselves by way of the peer. Like a machine it reads
// no clock. Its packets count only after the first one has come back: a peer that says it returns them may have a packet filter.
type echo struct {
	key        uint64
	number     uint32
	unanswered int
	proven     bool
	sendAt     time.Time
}

// reset begins afresh, with a session that came up.
func (e *echo) reset() { *e = echo{key: e.key, number: e.number} }

// advance says what is due: another packet, and whether the session has failed because too many in a row were lost. It counts packets, not
// time, so that a process that stood still and sent nothing does not blame the peer.
func (e *echo) advance(now time.Time, pace time.Duration, multiplier uint8) (payload [echoLength]byte, send, failed bool) {
	if !e.sendAt.IsZero() && now.Before(e.sendAt) {
		return payload, false, false
	}
	if e.silent(multiplier) {
		if e.proven {
			return payload, false, true
		}
		pace = max(pace, slow)
	}
	e.number++
	e.unanswered++
	e.sendAt = now.Add(pace)
	binary.BigEndian.PutUint64(payload[:], e.key)
	binary.BigEndian.PutUint32(payload[8:], e.number)
	return payload, true, false
}

// silent is whether as many packets as count were lost in a row.
func (e *echo) silent(multiplier uint8) bool { return e.unanswered >= int(multiplier) }

// returned takes note of packets that came back.
func (e *echo) returned() { e.unanswered, e.proven = 0, true }

// echoes is whether a payload is one of this session.
func echoes(payload []byte, key uint64) bool {
	return len(payload) >= echoLength && binary.BigEndian.Uint64(payload) == key
}

// echoer is an optional ability of a Host: to send packets to itself by way of a peer.
type echoer interface {
	// Forwards is whether this host returns the echo packets of others.
	Forwards() bool
	// OpenEcho opens a socket for echo packets over one hop of IPv4. An error that wraps a *reason.Problem says what is wrong.
	OpenEcho(Path) (EchoSocket, error)
}

// EchoSocket sends and receives the echo packets of one session.
type EchoSocket interface {
	// Send sends one packet; it does not wait. An error that wraps a *reason.Problem says what is wrong.
	Send(payload []byte) error
	// Serve calls a function for each packet that came back, until Close.
	Serve(deliver func(payload []byte)) error
	// Close ends Serve.
	Close() error
}

// echoState is what a watcher has for echo packets.
type echoState struct {
	echo    echo
	socket  EchoSocket
	served  chan struct{}
	openAt  time.Time
	retry   backoff
	sent    uint64
	problem *reason.Problem
}

// echoPossible is whether the path can have echo packets at all: RFC 5883 3 has none over several hops, and Linux returns none of IPv6.
func (w *watcher) echoPossible() bool { return w.path.Remote.Is4() && !w.path.MultiHop }

// offerEcho tells the peer whether its echo packets are returned (RFC 5880 4.1, Required Min Echo RX Interval).
func (w *watcher) offerEcho() {
	host, ok := w.engine.host.(echoer)
	w.machine.echoReceive = 0
	if want := w.config.Load().Echo; ok && want > 0 && w.echoPossible() && host.Forwards() {
		w.machine.echoReceive = want
	}
}

// stepEcho does what is due for echo packets.
func (w *watcher) stepEcho() {
	e := &w.echo
	host, able := w.engine.host.(echoer)
	m := &w.machine
	switch {
	case m.config.Echo == 0 || m.phase != Up:
		w.endEcho(nil)
	case !able || !w.echoPossible():
		w.endEcho(reason.New(reason.BFDEchoNotUsed, "echo packets are supported on single-hop IPv4 sessions only"))
	case m.remoteEcho == 0:
		w.endEcho(reason.New(reason.BFDEchoNotUsed, "%v does not accept echo packets (its Required Min Echo RX Interval is 0)", w.path.Remote))
	case e.socket == nil && !w.due(e.openAt) && !e.openAt.IsZero():
	case e.socket == nil && !w.openEcho(host):
	default:
		w.sendEcho()
	}
}

func (w *watcher) openEcho(host echoer) bool {
	e := &w.echo
	socket, err := host.OpenEcho(w.path)
	if err != nil {
		w.failEcho(err)
		return false
	}
	e.socket, e.served, e.openAt = socket, make(chan struct{}), time.Time{}
	e.echo.reset()
	w.echoBack.Store(0)
	key, served := e.echo.key, e.served
	go func() {
		defer close(served)
		// That it ended for another reason than Close shows in packets that do not come back.
		_ = socket.Serve(func(payload []byte) {
			if echoes(payload, key) {
				w.echoBack.Add(1)
				w.echoReceived.Add(1)
				signal(w.inbox.C)
			}
		})
	}()
	return true
}

func (w *watcher) sendEcho() {
	e, m := &w.echo, &w.machine
	if w.echoBack.Swap(0) > 0 {
		e.echo.returned()
		e.problem = nil
	}
	payload, send, failed := e.echo.advance(w.now(), m.jittered(max(m.config.Echo, m.remoteEcho)), m.config.Multiplier)
	switch {
	case failed:
		w.endEcho(nil)
		w.send(m.echoFailed(w.now()))
	case send:
		if err := e.socket.Send(payload[:]); err != nil {
			w.failEcho(err)
			return
		}
		e.sent++
		e.retry = newBackoff()
		if !e.echo.proven && e.echo.silent(m.config.Multiplier) {
			e.problem = reason.New(reason.BFDEchoNotUsed, "%v does not return echo packets although it advertises support for them", w.path.Remote)
		}
	}
}

func (w *watcher) failEcho(err error) {
	w.endEcho(reason.New(reason.BFDEchoNotUsed, "%s", problemOf(err).Detail))
	w.echo.openAt = w.now().Add(w.echo.retry.step())
}

// endEcho closes the socket, and waits for its goroutine, which ends at once.
func (w *watcher) endEcho(p *reason.Problem) {
	e := &w.echo
	e.problem, e.openAt = p, time.Time{}
	if e.socket == nil {
		return
	}
	if err := e.socket.Close(); err != nil {
		w.engine.log.V(1).Info("Closing a BFD echo socket failed", "address", w.path.Remote.String(), "error", err.Error())
	}
	<-e.served
	e.socket = nil
}

// nextEcho is when stepEcho is to be called.
func (w *watcher) nextEcho() time.Time {
	if w.echo.socket == nil {
		return w.echo.openAt
	}
	return w.echo.echo.sendAt
}
