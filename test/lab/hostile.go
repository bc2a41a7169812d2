// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sync/errgroup"
)

// Attack is what a hostile BGP peer sends.
type Attack struct {
	Name string
	// Established is whether a session is agreed on first, of IPv4 alone.
	Established bool
	// Bytes are sent as they are.
	Bytes []byte
	// Stay is how long the session is kept up afterwards; zero leaves it after a while.
	Stay time.Duration
}

// Types of BGP messages (RFC 4271 4.1).
const (
	bgpOpen      = 1
	bgpUpdate    = 2
	bgpKeepalive = 4
)

// message is a BGP message (RFC 4271 4.1).
func message(kind byte, body ...byte) []byte {
	m := append(bytes.Repeat([]byte{0xff}, 16), 0, 0, kind)
	m = append(m, body...)
	binary.BigEndian.PutUint16(m[16:], uint16(len(m)))
	return m
}

// update is an UPDATE with one optional attribute and nothing else (RFC 4271 4.3).
func update(attribute byte, value ...byte) []byte {
	attributes := append([]byte{0x80, attribute, byte(len(value))}, value...)
	return message(bgpUpdate, append([]byte{0, 0, 0, byte(len(attributes))}, attributes...)...)
}

// open is an OPEN of a two-byte ASN, with a hold time of 9 s and the capability for IPv4 alone (RFC 4271 4.2, RFC 5492).
func open(asn uint16, id netip.Addr) []byte {
	router := id.As4()
	body := append([]byte{4, byte(asn >> 8), byte(asn), 0, 9}, router[:]...)
	return message(bgpOpen, append(body, 8, 2, 6, 1, 4, 0, 1, 0, 1)...)
}

// The attributes that carry other families than IPv4 (RFC 4760 3, 4).
const (
	mpReach   = 14
	mpUnreach = 15
)

// Attacks are messages that have ended routers, and some that only ought to end a session.
func Attacks(asn uint16, id netip.Addr) []Attack {
	return []Attack{
		{Name: "a message of unknown type before any OPEN", Established: false, Bytes: message(99)},
		{Name: "a second OPEN", Established: true, Bytes: open(asn, id)},
		{Name: "MP_REACH of length 3", Established: true, Bytes: update(mpReach, 0, 1, 1)},
		{Name: "a short MP_UNREACH of AFI 1, SAFI 128", Established: true, Bytes: update(mpUnreach, 0, 1, 128, 1)},
		{Name: "a short MP_UNREACH of AFI 2, SAFI 128", Established: true, Bytes: update(mpUnreach, 0, 2, 128, 1)},
		{Name: "MP_REACH of AFI 25, SAFI 65, zeros", Established: true, Bytes: update(mpReach, append([]byte{0, 25, 65}, make([]byte, 40)...)...)},
		{Name: "a length of 18", Established: false, Bytes: append(bytes.Repeat([]byte{0xff}, 16), 0, 18, bgpOpen)},
		{Name: "no marker", Established: false, Bytes: bytes.Repeat([]byte{0x41}, 64)},
		{Name: "an OPEN that is cut short", Established: false, Bytes: message(bgpOpen, 4, 0)},
		{Name: "an attribute that is longer than the message", Established: true, Bytes: message(bgpUpdate, 0, 0, 0, 4, 0x40, 1, 200, 0)},
		{Name: "a NOTIFICATION without a body", Established: true, Bytes: message(3)},
	}
}

// FullTable is a router that sends this many routes with AS paths of 100 numbers and keeps the session up.
func FullTable(routes int, stay time.Duration) Attack {
	attributes := []byte{0x40, 1, 1, 0, 0x40, 3, 4, 192, 0, 2, 9, 0x40, 2, 202, 2, 100}
	for i := range 100 {
		attributes = append(attributes, 0xfd, byte(i))
	}
	var all []byte
	for i := range routes {
		body := append([]byte{0, 0, 0, byte(len(attributes))}, attributes...)
		all = append(all, message(bgpUpdate, append(body, 32, 10, byte(i>>16), byte(i>>8), byte(i))...)...)
	}
	return Attack{Name: "a full table", Established: true, Bytes: all, Stay: stay}
}

// Hostile is a peer that attacks whoever connects to it.
type Hostile struct {
	listener net.Listener
	asn      uint16
	id       netip.Addr
	attacks  []Attack
	cancel   context.CancelFunc
	group    *errgroup.Group

	mu   sync.Mutex
	sent map[string]int
}

// Hostile starts a peer on the host that attacks each connection with the next of the attacks, in turn, as a member of the autonomous system.
// Stop ends it.
func (h Host) Hostile(ctx context.Context, port uint16, asn uint16, attacks ...Attack) (*Hostile, error) {
	peer := &Hostile{asn: asn, id: h.Addr4(), attacks: attacks, sent: map[string]int{}}
	ctx, peer.cancel = context.WithCancel(ctx)
	err := h.Do(func() error {
		var config net.ListenConfig
		var err error
		peer.listener, err = config.Listen(ctx, "tcp4", netip.AddrPortFrom(peer.id, port).String())
		return err
	})
	if err != nil {
		peer.cancel()
		return nil, fmt.Errorf("listening on host %s: %w", h.Name, err)
	}
	peer.group, ctx = errgroup.WithContext(ctx)
	peer.group.Go(func() error { return peer.serve(ctx) })
	peer.group.Go(func() error {
		<-ctx.Done()
		return peer.listener.Close()
	})
	return peer, nil
}

// Stop ends the peer.
func (p *Hostile) Stop() error {
	p.cancel()
	if err := p.group.Wait(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("playing a hostile peer: %w", err)
	}
	return nil
}

// Sent counts how often each attack was sent.
func (p *Hostile) Sent() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent := map[string]int{}
	for name, times := range p.sent {
		sent[name] = times
	}
	return sent
}

func (p *Hostile) serve(ctx context.Context) error {
	for turn := 0; ; turn++ {
		connection, err := p.listener.Accept()
		if err != nil {
			return err
		}
		attack := p.attacks[turn%len(p.attacks)]
		// The victim may end the connection at any moment; the next one is attacked again.
		if p.attack(ctx, connection, attack) == nil {
			p.mu.Lock()
			p.sent[attack.Name]++
			p.mu.Unlock()
		}
		_ = connection.Close()
	}
}

// patience is how long a hostile peer waits for its victim.
const patience = 2 * time.Second

// attack returns once the victim has ended the connection, or has borne the attack for a while.
func (p *Hostile) attack(ctx context.Context, connection net.Conn, attack Attack) error {
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer stop()
	if err := connection.SetDeadline(time.Now().Add(patience + attack.Stay)); err != nil {
		return err
	}
	if attack.Established {
		if err := p.establish(connection); err != nil {
			return err
		}
	}
	if _, err := connection.Write(attack.Bytes); err != nil {
		return err
	}
	if attack.Stay > 0 {
		stay, end := context.WithCancel(ctx)
		defer end()
		go keepAlive(stay, connection)
	}
	_, _ = io.Copy(io.Discard, connection)
	return nil
}

// keepAlive sends KEEPALIVE until the connection ends; the hold time is 9 s.
func keepAlive(ctx context.Context, connection net.Conn) {
	for {
		if _, err := connection.Write(message(bgpKeepalive)); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(patience):
		}
	}
}

// establish agrees on a session: both sides send OPEN, then KEEPALIVE.
func (p *Hostile) establish(connection net.Conn) error {
	if err := expect(connection, bgpOpen); err != nil {
		return err
	}
	if _, err := connection.Write(append(open(p.asn, p.id), message(bgpKeepalive)...)); err != nil {
		return err
	}
	return expect(connection, bgpKeepalive)
}

// expect reads a message of this type.
func expect(connection net.Conn, kind byte) error {
	header := make([]byte, 19)
	if _, err := io.ReadFull(connection, header); err != nil {
		return err
	}
	length := int(binary.BigEndian.Uint16(header[16:]))
	if header[18] != kind || length < len(header) {
		return fmt.Errorf("a message of type %d and length %d came", header[18], length)
	}
	_, err := io.ReadFull(connection, make([]byte, length-len(header)))
	return err
}

// GarbageBFD sends packets to a port of BFD that no implementation may take for a session of its own, with the TTL that a neighbour on the
// link has (RFC 5881 5).
func (h Host) GarbageBFD(ctx context.Context, to netip.AddrPort) error {
	var connection net.Conn
	err := h.Do(func() error {
		var err error
		connection, err = (&net.Dialer{}).DialContext(ctx, "udp4", to.String())
		return err
	})
	if err != nil {
		return fmt.Errorf("sending BFD from host %s: %w", h.Name, err)
	}
	defer func() { _ = connection.Close() }()
	if err := ipv4.NewConn(connection).SetTTL(255); err != nil {
		return fmt.Errorf("setting a TTL: %w", err)
	}
	for _, packet := range garbageBFD() {
		// A port that nobody listens on answers by ICMP, which the next write tells.
		_, _ = connection.Write(packet)
	}
	return nil
}

// garbageBFD are control packets with one mistake each (RFC 5880 6.8.6), and what is no packet at all.
func garbageBFD() [][]byte {
	sound := []byte{0x20, 0xc0, 3, 24, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50, 0, 0, 0, 0}
	changed := func(at int, value ...byte) []byte {
		p := bytes.Clone(sound)
		copy(p[at:], value)
		return p
	}
	return [][]byte{
		sound,                           // up, of a session that we do not have
		changed(0, 0x40),                // version 2
		changed(1, 0xc1),                // multipoint
		changed(1, 0xc4),                // authentication that is not there
		changed(2, 0),                   // no multiplier
		changed(3, 200),                 // longer than it is
		changed(3, 4),                   // shorter than a header
		changed(4, 0, 0, 0, 0),          // no discriminator
		changed(8, 0xde, 0xad, 0xbe, 1), // a session that does not exist
		changed(1, 0xe0),                // a poll
		sound[:7], {}, bytes.Repeat([]byte{0xff}, 24), bytes.Repeat([]byte{0xff}, 1400),
	}
}
