// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"

	"metalsuite.io/announcers/l2/link"
)

// simulated is a segment in memory. It is also the network of the node on it.
type simulated struct {
	mu      sync.Mutex
	present bool
	link    link.Link
	others  []link.Link
	openErr error
	sockets []*simulatedSocket
	changed chan struct{}
	wire    []seen
}

func newSimulated() *simulated {
	s := &simulated{changed: make(chan struct{}, 1)}
	s.link = link.Link{Index: 2, Name: lan, MAC: nodeMAC, Up: true, Carrier: true, Broadcast: true}
	s.present = true
	return s
}

func (s *simulated) links() Links { return s }

func (s *simulated) Watch(ctx context.Context, updates chan<- []link.Link) error {
	for {
		select {
		case updates <- s.list():
		case <-ctx.Done():
			return nil
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *simulated) list() []link.Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	links := slices.Clone(s.others)
	if s.present {
		links = append(links, s.link)
	}
	return links
}

func (s *simulated) OpenARP(l link.Link) (Socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.openErr != nil {
		return nil, s.openErr
	}
	socket := &simulatedSocket{segment: s, in: make(chan []byte), closed: make(chan struct{})}
	if l.Name == lan {
		s.sockets = append(s.sockets, socket)
	}
	return socket, nil
}

// simulatedSocket takes one frame at a time: a second one is taken only after the first was handled.
type simulatedSocket struct {
	segment *simulated
	in      chan []byte
	once    sync.Once
	closed  chan struct{}
}

func (s *simulatedSocket) Read(frame []byte) (int, error) {
	select {
	case f := <-s.in:
		return copy(frame, f), nil
	case <-s.closed:
		return 0, net.ErrClosed
	}
}

func (s *simulatedSocket) Write(frame []byte) error {
	s.segment.mu.Lock()
	defer s.segment.mu.Unlock()
	if f, ok := read(slices.Clone(frame)); ok && s.segment.link.Carrier {
		s.segment.wire = append(s.segment.wire, f)
	}
	return nil
}

func (s *simulatedSocket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *simulatedSocket) deliver(frame []byte) {
	for _, f := range [][]byte{frame, nil} {
		select {
		case s.in <- f:
		case <-s.closed:
			return
		}
	}
}

func (s *simulated) ask(addr netip.Addr) []link.MAC {
	s.mu.Lock()
	sockets, plugged := slices.Clone(s.sockets), s.present && s.link.Carrier
	s.mu.Unlock()
	if !plugged {
		return nil
	}
	for _, socket := range sockets {
		socket.deliver(who(addr))
	}
	return s.answers(addr)
}

// answers takes the answers to the peer off the wire.
func (s *simulated) answers(addr netip.Addr) []link.MAC {
	s.mu.Lock()
	defer s.mu.Unlock()
	var macs []link.MAC
	s.wire = slices.DeleteFunc(s.wire, func(f seen) bool {
		if f.to != peerMAC {
			return false
		}
		if f.packet.SenderIP == addr {
			macs = append(macs, link.MAC(f.packet.SenderHardwareAddr))
		}
		return true
	})
	return macs
}

func (s *simulated) unasked() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.wire)
}

func (s *simulated) change(do func()) {
	s.mu.Lock()
	do()
	s.mu.Unlock()
	signal(s.changed)
}

func (s *simulated) setCarrier(on bool) { s.change(func() { s.link.Carrier = on }) }
func (s *simulated) setMAC(m link.MAC)  { s.change(func() { s.link.MAC = m }) }
func (s *simulated) remove()            { s.change(func() { s.present = false }) }
func (s *simulated) add()               { s.change(func() { s.present = true; s.link.Index++ }) }
func (s *simulated) configure(addr netip.Addr) {
	s.change(func() { s.link.Addresses = append(s.link.Addresses, addr) })
}
