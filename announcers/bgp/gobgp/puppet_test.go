// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"metalsuite.io/announcers/bgp"
)

// Types of BGP messages (RFC 4271 4.1).
const (
	messageOpen         = 1
	messageUpdate       = 2
	messageNotification = 3
	messageKeepalive    = 4
)

// puppet is a peer that says exactly what it is told to say.
type puppet struct {
	t        testing.TB
	listener *net.TCPListener
	conn     net.Conn
	hold     uint16
	// open is the body of the last OPEN that came.
	open []byte
}

func newPuppet(t testing.TB, address string) *puppet {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &puppet{t: t, listener: l, hold: 90}
}

// settings are ours for a session with p, which is in AS 64999.
func (p *puppet) settings() bgp.Settings {
	r := &remote{t: p.t, asn: 64999, addr: p.listener.Addr().(*net.TCPAddr).AddrPort()}
	return r.settings(64512)
}

// accept waits for the next connection on which an OPEN comes: one that was given up before that has none.
func (p *puppet) accept() net.Conn {
	p.t.Helper()
	if err := p.listener.SetDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { conn.Close() })
		p.conn = conn
		switch body, err := p.next(messageOpen); {
		case err == nil:
			p.open = body
			return conn
		case !errors.Is(err, io.EOF):
			p.t.Fatal(err)
		}
	}
}

// read reads messages until one of the type.
func (p *puppet) read(kind byte) []byte {
	p.t.Helper()
	body, err := p.next(kind)
	if err != nil {
		p.t.Fatal(err)
	}
	return body
}

func (p *puppet) next(kind byte) ([]byte, error) {
	for {
		got, body, err := p.message()
		if err != nil || got == kind {
			return body, err
		}
	}
}

// message reads the next message.
func (p *puppet) message() (kind byte, body []byte, err error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	header := make([]byte, 19)
	if _, err := io.ReadFull(p.conn, header); err != nil {
		return 0, nil, err
	}
	body = make([]byte, int(binary.BigEndian.Uint16(header[16:]))-len(header))
	_, err = io.ReadFull(p.conn, body)
	return header[18], body, err
}

func (p *puppet) send(kind byte, body []byte) {
	p.t.Helper()
	m := make([]byte, 19, 19+len(body))
	for i := range 16 {
		m[i] = 0xff
	}
	binary.BigEndian.PutUint16(m[16:], uint16(19+len(body)))
	m[18] = kind
	if _, err := p.conn.Write(append(m, body...)); err != nil {
		p.t.Fatal(err)
	}
}

// openBody is an OPEN without capabilities: an IPv4 router of the old kind.
func (p *puppet) openBody() []byte {
	body := []byte{4, 0xfd, 0xe7, 0, 0, 192, 0, 2, 9, 0}
	binary.BigEndian.PutUint16(body[3:], p.hold)
	return body
}

func (p *puppet) establish(net.Conn) {
	p.t.Helper()
	p.send(messageOpen, p.openBody())
	p.send(messageKeepalive, nil)
	p.read(messageKeepalive)
}

// update sends an UPDATE with these path attributes and no routes.
func (p *puppet) update(attributes ...byte) {
	p.t.Helper()
	p.send(messageUpdate, append([]byte{0, 0, byte(len(attributes) >> 8), byte(len(attributes))}, attributes...))
}
