// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"context"
	"encoding/binary"
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
	// refusals are what Open says for one protocol only.
	refusals map[link.Protocol]error
	sockets  []*simulatedSocket
	changed  chan struct{}
	wire     []seen

	routes   link.Routes
	rerouted chan struct{}
}

func newSimulated() *simulated {
	s := &simulated{changed: make(chan struct{}, 1), rerouted: make(chan struct{}, 1)}
	s.link = link.Link{Index: 2, Name: lan, MAC: nodeMAC, Up: true, Carrier: true, Broadcast: true, LinkLocal: nodeIP6}
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

func (s *simulated) WatchRoutes(ctx context.Context, updates chan<- link.Routes) error {
	for {
		s.mu.Lock()
		routes := s.routes
		s.mu.Unlock()
		select {
		case updates <- routes:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-s.rerouted:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *simulated) Open(l link.Link, p link.Protocol) (Socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.openErr != nil {
		return nil, s.openErr
	}
	if err := s.refusals[p]; err != nil {
		return nil, err
	}
	socket := &simulatedSocket{segment: s, protocol: p, in: make(chan []byte), closed: make(chan struct{})}
	if l.Name == lan {
		s.sockets = append(s.sockets, socket)
	}
	return socket, nil
}

// simulatedSocket takes one frame at a time: a second one is taken only after the first was handled. It hears solicited-node groups only
// after it has joined them.
type simulatedSocket struct {
	segment  *simulated
	protocol link.Protocol
	in       chan []byte
	once     sync.Once
	closed   chan struct{}

	// The segment's mutex guards what follows.
	groups   []netip.Addr
	prefixes []netip.Prefix
	busy     bool
}

func (s *simulatedSocket) Serve(handle func([]byte, func([]byte) error)) error {
	for {
		select {
		case f := <-s.in:
			handle(f, s.Write)
		case <-s.closed:
			return net.ErrClosed
		}
	}
}

func (s *simulatedSocket) Write(frame []byte) error {
	s.segment.mu.Lock()
	defer s.segment.mu.Unlock()
	if s.busy {
		return link.ErrBusy
	}
	if f, ok := read(slices.Clone(frame)); ok && s.segment.link.Carrier {
		s.segment.wire = append(s.segment.wire, f)
	}
	return nil
}

func (s *simulatedSocket) Filter(prefixes []netip.Prefix) error {
	s.segment.mu.Lock()
	defer s.segment.mu.Unlock()
	s.prefixes = slices.Clone(prefixes)
	return nil
}

func (s *simulatedSocket) Groups(groups []netip.Addr) error {
	s.segment.mu.Lock()
	defer s.segment.mu.Unlock()
	s.groups = slices.Clone(groups)
	return nil
}

func (s *simulatedSocket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// hears says whether the interface takes a frame: of its protocol, and of the groups only those that it has joined.
func (s *simulatedSocket) hears(frame []byte) bool {
	ndp := binary.BigEndian.Uint16(frame[12:14]) == etherTypeIPv6
	if ndp != (s.protocol == link.NDP) {
		return false
	}
	to := link.MAC(frame[0:6])
	joined := func(g netip.Addr) bool { return groupMAC(g) == to }
	return !ndp || to.IsUnicast() || to == groupMAC(allNodes) || slices.ContainsFunc(s.groups, joined)
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

func (s *simulated) send(frame []byte) {
	s.mu.Lock()
	var sockets []*simulatedSocket
	for _, socket := range s.sockets {
		if s.present && s.link.Carrier && socket.hears(frame) {
			sockets = append(sockets, socket)
		}
	}
	s.mu.Unlock()
	for _, socket := range sockets {
		socket.deliver(frame)
	}
}

func (s *simulated) answers(addr netip.Addr) []link.MAC {
	s.mu.Lock()
	defer s.mu.Unlock()
	return takeAnswers(&s.wire, addr)
}

// takeAnswers takes what was sent to the peer alone off a record and returns who answered for an address.
func takeAnswers(wire *[]seen, addr netip.Addr) []link.MAC {
	var macs []link.MAC
	*wire = slices.DeleteFunc(*wire, func(f seen) bool {
		if f.to != peerMAC {
			return false
		}
		if claimed, mac, ok := f.claims(); ok && claimed == addr {
			macs = append(macs, mac)
		}
		return true
	})
	return macs
}

func (s *simulated) unasked() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.wire), func(f seen) bool { return f.to == peerMAC })
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
	bits := 24
	if addr.Is6() {
		bits = 64
	}
	s.change(func() {
		s.link.Addresses, s.link.Wider = append(s.link.Addresses, addr), append(s.link.Wider, addr)
		s.link.Prefixes = append(s.link.Prefixes, netip.PrefixFrom(addr, bits).Masked())
	})
}

func (s *simulated) proxy(addr netip.Addr) {
	s.change(func() {
		s.others = append(s.others, link.Link{Index: 90, Name: "kube-dummy-if", Up: true, NoARP: true, Broadcast: true, Dummy: true, Addresses: []netip.Addr{addr}})
	})
}

func (s *simulated) route(via netip.Addr) {
	s.mu.Lock()
	s.routes = link.Routes{NextHops: append(slices.Clone(s.routes.NextHops), via)}
	s.mu.Unlock()
	signal(s.rerouted)
}
