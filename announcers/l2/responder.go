// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"errors"
	"os"
	"sync/atomic"

	"github.com/go-logr/logr"
)

// frameSize holds any ARP frame with its padding.
const frameSize = 128

// responder answers the requests of one interface. One goroutine reads; the view is replaced as a whole by whoever decides.
type responder struct {
	log    logr.Logger
	socket Socket
	view   atomic.Pointer[view]
}

func newResponder(socket Socket, log logr.Logger) *responder {
	r := &responder{log: log, socket: socket}
	r.view.Store(&view{})
	return r
}

// serve answers until the socket fails or is closed, and returns the error of the socket.
func (r *responder) serve() error {
	buffer := make([]byte, frameSize)
	for {
		n, err := r.socket.Read(buffer)
		if err != nil {
			return err
		}
		r.handle(buffer[:n])
	}
}

func (r *responder) handle(frame []byte) {
	v := r.view.Load()
	q, ok := v.ask(frame)
	if !ok {
		return
	}
	q.counters.received.Inc()
	reply, err := v.answer(q)
	if err == nil {
		err = r.socket.Write(reply)
	}
	if err != nil {
		r.log.V(1).Info("Did not answer a request", "address", q.target, "error", err.Error())
		return
	}
	q.counters.sent.Inc()
}

// announce sends a claim unasked. It returns false when the interface takes no frame at the moment.
func (r *responder) announce(c claim) bool {
	frames, err := announcements(c.mac, c.addr)
	for _, frame := range frames {
		if err = r.socket.Write(frame); err != nil {
			break
		}
		if counted := r.view.Load().addresses[c.addr]; counted != nil {
			counted.gratuitous.Inc()
		}
	}
	if err != nil {
		r.log.V(1).Info("Did not announce an address", "address", c.addr, "error", err.Error())
	}
	return !errors.Is(err, os.ErrDeadlineExceeded)
}
