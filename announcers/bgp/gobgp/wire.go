// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Types of BGP messages (RFC 4271 4.1, RFC 2918 3).
const (
	typeOpen         = 1
	typeUpdate       = 2
	typeNotification = 3
	typeKeepalive    = 4
	typeRouteRefresh = 5
)

// Lengths of BGP messages in bytes (RFC 4271 4.1 to 4.5, RFC 2918 3).
const (
	headerLength          = 19
	longestMessage        = 4096
	shortestOpen          = headerLength + 10
	shortestUpdate        = headerLength + 4
	shortestNotification  = headerLength + 2
	routeRefreshLength    = headerLength + 4
	longestCommunication  = 128 // RFC 9003 2
	markerLength          = 16
	parameterCapabilities = 2   // RFC 5492 4
	extendedParameters    = 255 // RFC 9072 2
)

// Capabilities that reach GoBGP (RFC 5492): those that it is to use.
const (
	capabilityMultiprotocol   = 1  // RFC 4760 8
	capabilityRouteRefresh    = 2  // RFC 2918 2
	capabilityExtendedNextHop = 5  // RFC 8950 4
	capabilityGracefulRestart = 64 // RFC 4724 3
	capabilityFourOctetASN    = 65 // RFC 6793 3
)

// wireFamily is an address family as messages name it.
type wireFamily struct {
	afi  uint16
	safi uint8
}

var (
	wireIPv4 = wireFamily{1, 1}
	wireIPv6 = wireFamily{2, 1}
)

// message is one BGP message with its header.
type message []byte

func (m message) kind() byte   { return m[18] }
func (m message) body() []byte { return m[headerLength:] }

// newMessage returns a message with a header.
func newMessage(kind byte, body []byte) message {
	m := make(message, headerLength, headerLength+len(body))
	for i := range markerLength {
		m[i] = 0xff
	}
	binary.BigEndian.PutUint16(m[markerLength:], uint16(headerLength+len(body)))
	m[18] = kind
	return append(m, body...)
}

// wireError is what is wrong with a message, as a NOTIFICATION says it (RFC 4271 6).
type wireError struct {
	notification
	data []byte
}

func (e *wireError) Error() string { return e.String() }

func (e *wireError) packet() message {
	return newMessage(typeNotification, append([]byte{byte(e.code), byte(e.subcode)}, e.data...))
}

func invalid(code, subcode int, data []byte, text string, args ...any) *wireError {
	return &wireError{notification{code: code, subcode: subcode, message: fmt.Sprintf(text, args...)}, data}
}

// readMessage reads one message into buffer, which has room for the longest one. The error is a *wireError when the header is not valid.
func readMessage(from io.Reader, buffer []byte) (message, error) {
	if _, err := io.ReadFull(from, buffer[:headerLength]); err != nil {
		return nil, err
	}
	for _, b := range buffer[:markerLength] {
		if b != 0xff {
			return nil, invalid(1, 1, nil, "the marker of the message is not all ones")
		}
	}
	raw := buffer[markerLength : markerLength+2]
	length, kind := int(binary.BigEndian.Uint16(raw)), buffer[18]
	shortest := map[byte]int{
		typeOpen: shortestOpen, typeUpdate: shortestUpdate, typeNotification: shortestNotification, typeKeepalive: headerLength,
		typeRouteRefresh: headerLength,
	}[kind]
	switch {
	case shortest == 0:
		return nil, invalid(1, 3, []byte{kind}, "a message of type %d", kind)
	case length < shortest, length > longestMessage, kind == typeKeepalive && length != headerLength:
		return nil, invalid(1, 2, bytes.Clone(raw), "a message of type %d with %d bytes", kind, length)
	}
	if _, err := io.ReadFull(from, buffer[headerLength:length]); err != nil {
		return nil, err
	}
	return message(buffer[:length]), nil
}

// endOfRIB returns the family whose routes an UPDATE message says to be complete; false for any other (RFC 4724 2).
func endOfRIB(body []byte) (wireFamily, bool) {
	if bytes.Equal(body, []byte{0, 0, 0, 0}) {
		return wireIPv4, true
	}
	if len(body) < 10 || body[0] != 0 || body[1] != 0 {
		return wireFamily{}, false
	}
	attributes := body[4:]
	if int(binary.BigEndian.Uint16(body[2:])) != len(attributes) || attributes[1] != 15 { // MP_UNREACH_NLRI
		return wireFamily{}, false
	}
	value := attributes[3:]
	if attributes[0]&0x10 != 0 { // extended length
		value = attributes[4:]
	}
	if len(value) != 3 {
		return wireFamily{}, false
	}
	return wireFamily{binary.BigEndian.Uint16(value), value[2]}, true
}

// newEndOfRIB returns the message that says the routes of a family to be complete.
func newEndOfRIB(f wireFamily) message {
	if f == wireIPv4 {
		return newMessage(typeUpdate, []byte{0, 0, 0, 0})
	}
	return newMessage(typeUpdate, []byte{0, 0, 0, 6, 0x80, 15, 3, byte(f.afi >> 8), byte(f.afi), f.safi})
}

// refreshed returns the family that a ROUTE-REFRESH message asks for; false for one of another form.
func refreshed(m message) (wireFamily, bool) {
	if len(m) != routeRefreshLength || m.body()[2] != 0 { // RFC 7313 3.2: other subtypes only after their capability, which is not offered
		return wireFamily{}, false
	}
	return wireFamily{binary.BigEndian.Uint16(m.body()), m.body()[3]}, true
}

// told returns what a NOTIFICATION message says.
func told(body []byte) notification {
	n := notification{code: int(body[0]), subcode: int(body[1])}
	data := body[2:]
	if n.code == codeCease && (n.subcode == 2 || n.subcode == 4) && len(data) > 0 { // RFC 9003 2
		n.message = string(data[1:min(len(data), 1+int(data[0]), 1+longestCommunication)])
	}
	return n
}

// opening is what an OPEN message says.
type opening struct {
	version   byte
	asn, hold uint16
	id        [4]byte
	// capabilities are those that GoBGP is to know, checked.
	capabilities []byte
	families     map[wireFamily]bool
}

var errCapability = errors.New("not of the form of its capability")

// readOpen returns what an OPEN message says; the error is a *wireError (RFC 4271 6.2, RFC 5492 5, RFC 9072).
func readOpen(body []byte) (opening, error) {
	o := opening{version: body[0], asn: binary.BigEndian.Uint16(body[1:]), hold: binary.BigEndian.Uint16(body[3:]), families: map[wireFamily]bool{}}
	copy(o.id[:], body[5:9])
	rest, width := body[10:], 1
	total := int(body[9])
	if len(rest) >= 3 && total != 0 && rest[0] == extendedParameters {
		total, rest, width = int(binary.BigEndian.Uint16(rest[1:])), rest[3:], 2
	}
	if total != len(rest) {
		return o, invalid(codeOpen, 0, nil, "optional parameters of %d bytes in a message with %d", total, len(rest))
	}
	for len(rest) > 0 {
		if len(rest) < 1+width {
			return o, invalid(codeOpen, 0, nil, "an optional parameter without a length")
		}
		kind, length := rest[0], int(rest[1])
		if width == 2 {
			length = int(binary.BigEndian.Uint16(rest[1:]))
		}
		if rest = rest[1+width:]; length > len(rest) {
			return o, invalid(codeOpen, 0, nil, "an optional parameter longer than the message")
		}
		if kind != parameterCapabilities {
			return o, invalid(codeOpen, 4, nil, "an optional parameter of type %d", kind)
		}
		if err := o.take(rest[:length]); err != nil {
			return o, err
		}
		rest = rest[length:]
	}
	if len(o.families) == 0 {
		o.families[wireIPv4] = true // RFC 4760 8: without the capability it is a session for IPv4
	}
	return o, nil
}

// take takes in the capabilities of one parameter.
func (o *opening) take(all []byte) error {
	for len(all) > 0 {
		if len(all) < 2 || 2+int(all[1]) > len(all) {
			return invalid(codeOpen, 0, nil, "a capability longer than the message")
		}
		code, value := all[0], all[2:2+int(all[1])]
		kept, err := o.capability(code, value)
		if err != nil {
			return invalid(codeOpen, 0, nil, "capability %d: %v", code, err)
		}
		if kept != nil {
			o.capabilities = append(append(o.capabilities, code, byte(len(kept))), kept...)
		}
		all = all[2+len(value):]
	}
	return nil
}

// capability returns what GoBGP is to know of a capability; nil for nothing.
func (o *opening) capability(code byte, value []byte) ([]byte, error) {
	switch code {
	case capabilityMultiprotocol:
		if len(value) != 4 {
			return nil, errCapability
		}
		f := wireFamily{binary.BigEndian.Uint16(value), value[3]}
		o.families[f] = true
		if f != wireIPv4 && f != wireIPv6 {
			return nil, nil
		}
		return value, nil
	case capabilityRouteRefresh:
		return []byte{}, nil
	case capabilityFourOctetASN:
		if len(value) != 4 {
			return nil, errCapability
		}
		return value, nil
	case capabilityExtendedNextHop:
		return ours(value, 0, 6, func(one []byte) wireFamily { return wireFamily{binary.BigEndian.Uint16(one), one[3]} })
	case capabilityGracefulRestart:
		return ours(value, 2, 4, func(one []byte) wireFamily { return wireFamily{binary.BigEndian.Uint16(one), one[2]} })
	}
	return nil, nil
}

// ours returns a list with the entries of our families only. Before the entries, which have one size, stand some bytes that are kept.
func ours(value []byte, before, size int, of func([]byte) wireFamily) ([]byte, error) {
	if len(value) < before || (len(value)-before)%size != 0 {
		return nil, errCapability
	}
	out := bytes.Clone(value[:before])
	for i := before; i < len(value); i += size {
		if f := of(value[i : i+size]); f == wireIPv4 || f == wireIPv6 {
			out = append(out, value[i:i+size]...)
		}
	}
	if before == 0 && len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// packet returns an OPEN message that says the same with the capabilities that GoBGP is to know. One whose list became too long has none of
// the entries that did not fit; a peer that repeats capabilities that often gains nothing by it.
func (o opening) packet() message {
	capabilities := o.capabilities
	body := []byte{o.version, byte(o.asn >> 8), byte(o.asn), byte(o.hold >> 8), byte(o.hold), o.id[0], o.id[1], o.id[2], o.id[3]}
	var parameters []byte
	for len(capabilities) > 0 {
		n := 2 + int(capabilities[1])
		if len(parameters)+2+n > extendedParameters-1 {
			break
		}
		parameters = append(append(parameters, parameterCapabilities, byte(n)), capabilities[:n]...)
		capabilities = capabilities[n:]
	}
	return newMessage(typeOpen, append(append(body, byte(len(parameters))), parameters...))
}

// nextHopOf is a next hop as netip has it, or that of nothing.
func nextHopOf(a netip.Addr) netip.Addr { return a.WithZone("").Unmap() }
