// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"errors"
	"sync/atomic"

	"github.com/go-logr/logr"

	"metalsuite.io/announcers/l2/link"
)

// responder answers the questions of one protocol on one interface. One goroutine serves; the view is replaced as a whole by whoever
// decides.
type responder struct {
	log      logr.Logger
	protocol protocol
	index    int
	socket   Socket
	// heard takes what others claim.
	heard  *mailbox
	view   atomic.Pointer[view]
	buffer [maximumFrame]byte
}

func newResponder(p protocol, index int, socket Socket, heard *mailbox, log logr.Logger) *responder {
	r := &responder{log: log, protocol: p, index: index, socket: socket, heard: heard}
	r.view.Store(&view{})
	return r
}

// serve answers until the socket fails or is closed, and returns the error of the socket.
func (r *responder) serve() error { return r.socket.Serve(r.handle) }

// handle is the hot path: it takes no lock and allocates nothing, unless another station claims one of our addresses.
func (r *responder) handle(frame []byte, reply func([]byte) error) {
	p, ok := r.protocol.parse(frame)
	if !ok {
		return
	}
	v := r.view.Load()
	if !v.concerns(p) {
		return
	}
	if p.asks {
		if e, ours := v.addresses[p.target]; ours && e.answers {
			e.counters.received.Inc()
			if reply(r.protocol.answer(r.buffer[:], v.station, p)) == nil {
				e.counters.sent.Inc()
			}
		}
	}
	if e, ok := v.claimed(p); ok {
		r.tell(v, p, e)
	}
}

// tell passes on that another station claims an address.
func (r *responder) tell(v *view, p message, e entry) {
	_, ally := v.stations.allies[p.hardware]
	if !ally {
		e.counters.conflicts.Inc()
	}
	r.heard.put(sighting{addr: p.claims, mac: p.hardware, index: r.index, ally: ally})
}

// announce sends a claim unasked. It returns false when the interface takes no frame at the moment.
func (r *responder) announce(c claim) bool {
	v := r.view.Load()
	frames, err := r.protocol.announcements(v.station, c.addr)
	for _, frame := range frames {
		if err != nil {
			break
		}
		if err = r.socket.Write(frame); err == nil {
			if e, ok := v.addresses[c.addr]; ok {
				e.counters.gratuitous.Inc()
			}
		}
	}
	if err != nil {
		r.log.V(1).Info("Sending an announcement of an address failed", "address", c.addr, "error", err.Error())
	}
	return !errors.Is(err, link.ErrBusy)
}

// probe asks who uses an address. It returns false when the question did not go out.
func (r *responder) probe(c claim) bool {
	frame, err := r.protocol.probe(r.view.Load().station, c.addr)
	if err == nil {
		err = r.socket.Write(frame)
	}
	if err != nil {
		r.log.V(1).Info("Sending a probe for an address failed", "address", c.addr, "error", err.Error())
	}
	return err == nil
}
