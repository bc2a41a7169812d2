// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
)

const messageRouteRefresh = 5 // RFC 2918

// malformedHold is how long a session goes on, in seconds, that waits for the rest of a message that claims to be longer than it is.
const malformedHold = 3

// openOf is an OPEN of AS 64999 with these capabilities (RFC 4271 4.2, RFC 5492).
func openOf(capabilities ...byte) []byte {
	body := []byte{4, 0xfd, 0xe7, 0, malformedHold, 192, 0, 2, 9, byte(len(capabilities) + 2), 2, byte(len(capabilities))}
	return append(body, capabilities...)
}

// bothFamilies are the capabilities of a router that speaks IPv4 and IPv6 (RFC 4760), four-octet ASNs (RFC 6793), route refresh and graceful
// restart (RFC 4724).
var bothFamilies = []byte{1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 65, 4, 0, 0, 0xfd, 0xe7, 2, 0, 64, 6, 0, 120, 0, 1, 1, 128}

// Path attributes of a route (RFC 4271 4.3, RFC 1997, RFC 8092), and a next hop.
var (
	pathAttributes = []byte{
		0x40, 1, 1, 0, // ORIGIN
		0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe7, // AS_PATH
		0x80, 4, 4, 0, 0, 0, 10, // MULTI_EXIT_DISC
		0xc0, 8, 4, 0xfd, 0xe7, 0, 1, // COMMUNITIES
		0xc0, 32, 12, 0, 0, 0xfd, 0xe7, 0, 0, 0, 1, 0, 0, 0, 2, // LARGE_COMMUNITY
	}
	nextHop4 = []byte{0x40, 3, 4, 192, 0, 2, 9}
	reach6   = append([]byte{0x80, 14, 29, 0, 2, 1, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 48}, 0x20, 1, 0xd, 0xb8, 0, 7)
	gone6    = []byte{0x80, 15, 10, 0, 2, 1, 48, 0x20, 1, 0xd, 0xb8, 0, 7}
)

// updateOf is an UPDATE (RFC 4271 4.3).
func updateOf(withdrawn, attributes, routes []byte) []byte {
	body := append(binary.BigEndian.AppendUint16(nil, uint16(len(withdrawn))), withdrawn...)
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(attributes))), attributes...)
	return append(body, routes...)
}

// wellFormed are messages that a router may send, one for each part of the protocol that GoBGP reads.
var wellFormed = []struct {
	kind byte
	body []byte
}{
	{messageOpen, openOf(bothFamilies...)},
	{messageUpdate, updateOf(nil, slices.Concat(pathAttributes, nextHop4), []byte{24, 198, 51, 100, 32, 203, 0, 113, 1})},
	{messageUpdate, updateOf([]byte{24, 198, 51, 100}, nil, nil)},
	{messageUpdate, updateOf(nil, slices.Concat(pathAttributes, reach6), nil)},
	{messageUpdate, updateOf(nil, gone6, nil)},
	{messageNotification, []byte{6, 2, 4, 'g', 'o', 'n', 'e'}},
	{messageKeepalive, nil},
	{messageRouteRefresh, []byte{0, 1, 0, 1}},
}

// malformed is one of the messages after some damage, as it goes over the wire. The same number gives the same one.
func malformed(number uint64) (kind byte, wire []byte) {
	random := rand.New(rand.NewPCG(number, 4271))
	sample := wellFormed[random.IntN(len(wellFormed))]
	body := slices.Clone(sample.body)
	for range 1 + random.IntN(3) {
		body = damaged(body, random)
	}
	wire = append(bytes.Repeat([]byte{0xff}, 16), 0, 0, sample.kind)
	wire = append(wire, body...)
	binary.BigEndian.PutUint16(wire[16:], uint16(len(wire)))
	if random.IntN(8) == 0 {
		wire[16+random.IntN(3)] = byte(random.Uint32()) // its length or its type
	}
	return sample.kind, wire
}

// damaged changes, cuts, lengthens or repeats a part of a message.
func damaged(body []byte, random *rand.Rand) []byte {
	if len(body) == 0 {
		return append(body, byte(random.Uint32()))
	}
	at := random.IntN(len(body))
	switch random.IntN(6) {
	case 0:
		body[at] ^= 1 << random.IntN(8)
	case 1:
		body[at] = []byte{0, 1, 0x7f, 0x80, 0xff}[random.IntN(5)]
	case 2:
		return body[:at]
	case 3:
		return slices.Delete(body, at, at+1)
	case 4:
		return slices.Insert(body, at, byte(random.Uint32()))
	default:
		return slices.Insert(body, at, body[at:min(at+8, len(body))]...)
	}
	return body
}

// Whatever a peer says, it ends its own session at most: with a reason, while another session goes on. SOAK_BGP_MESSAGES is how many
// messages are tried, each on its own session unless the one before it has survived its message.
func TestMalformedMessagesEndTheirOwnSessionAtMost(t *testing.T) {
	t.Parallel()
	count, workers := uint64(64), 16
	if value := os.Getenv("SOAK_BGP_MESSAGES"); value != "" {
		var err error
		if count, err = strconv.ParseUint(value, 10, 32); err != nil {
			t.Fatal(err)
		}
	}
	e := startEngine(t, workers+1)
	r := newRemote(t, remoteOptions{asn: 64999, ourASN: 64512})
	bystander := e.open(t, r.settings(64512))
	bystander.announce(route("198.51.100.1/32"))
	bystander.connect()
	bystander.phase(announcers.Established)
	t.Run("messages", func(t *testing.T) {
		for worker := range uint64(workers) {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				m := malformer{t: t, engine: e}
				for number := worker; number < count; number += uint64(workers) {
					m.try(number)
				}
			})
		}
	})
	bystander.Expect(bystander.stats().Messages.OpensSent).To(BeEquivalentTo(1))
	bystander.Expect(r.routes(familyIPv4)).To(HaveLen(1))
	bystander.Expect(bystander.Events()).NotTo(Receive())
}

// malformer is a peer that sends malformed messages.
type malformer struct {
	t      *testing.T
	engine *testEngine
	// puppet and session are what goes on; nil before the first message and after one that has ended it.
	puppet  *puppet
	session *testSession
}

// try sends a message and sees to it that the session either goes on or ends with a reason.
func (m *malformer) try(number uint64) {
	m.t.Helper()
	kind, wire := malformed(number)
	if m.session != nil && kind == messageOpen {
		m.end()
	}
	if m.session == nil {
		m.begin(kind != messageOpen)
	}
	before, err := m.session.Stats(m.t.Context())
	if err != nil { // the message before was read, and has ended the process afterwards
		m.end()
		m.begin(kind != messageOpen)
	}
	rest := append(bytes.Repeat([]byte{0xff}, 16), 0, 19, messageKeepalive)
	_, _ = m.puppet.conn.Write(append(wire, rest...)) // it may be closed before all is written
	if why := m.fate(before.Messages); why != "" {
		m.t.Logf("message %d of type %d, %x: %s", number, kind, wire[16:], why)
		m.end()
	}
}

func (m *malformer) begin(establish bool) {
	m.t.Helper()
	m.puppet = newPuppet(m.t, "127.0.0.1")
	settings := m.puppet.settings()
	settings.IPv6 = true
	m.session = m.engine.open(m.t, settings)
	m.session.connect()
	m.puppet.accept()
	if establish {
		m.puppet.send(messageOpen, openOf(bothFamilies...))
		m.puppet.send(messageKeepalive, nil)
		m.session.phase(announcers.Established)
	}
}

func (m *malformer) end() {
	m.session.Close()
	m.puppet.conn.Close()
	m.puppet, m.session = nil, nil
}

// fate returns why the session has ended, empty when the KEEPALIVE behind the message was received.
func (m *malformer) fate(before announcers.MessageCounts) (why string) {
	m.t.Helper()
	ended := func(e bgp.Event, open bool) bool {
		switch {
		case !open:
			m.session.Expect(m.session.Err()).To(HaveOccurred())
			why = m.session.Err().Error()
		case e.Phase == announcers.Idle && e.Problem != nil:
			why = e.Problem.Message()
		}
		return why != ""
	}
	m.session.Eventually(func() bool {
		for {
			select {
			case e, open := <-m.session.Events():
				if ended(e, open) {
					return true
				}
				continue
			default:
			}
			break
		}
		now, err := m.session.Stats(m.t.Context())
		return err == nil && now.Messages.KeepalivesReceived > before.KeepalivesReceived
	}).WithTimeout(patience).WithPolling(20*time.Millisecond).Should(BeTrue(), "it goes on or ends")
	return why
}
