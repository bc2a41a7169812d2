// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

const (
	version = 1
	// packetLength is that of a packet without authentication, which is all that is sent; authenticatedLength is the least with it.
	packetLength        = 24
	authenticatedLength = 26
)

// The bits of the second byte (RFC 5880 4.1).
const (
	flagMultipoint = 1 << iota
	flagDemand
	flagAuthentication
	flagControlPlaneIndependent
	flagFinal
	flagPoll
)

// Why a packet is discarded before anybody is asked whom it is for (RFC 5880 6.8.6, in its order).
var (
	errShort         = errors.New("the packet is shorter than a header")
	errVersion       = errors.New("the version is not 1")
	errLength        = errors.New("the length does not fit")
	errMultiplier    = errors.New("the detection multiplier is zero")
	errMultipoint    = errors.New("the multipoint bit is set")
	errDiscriminator = errors.New("the discriminator of the sender is zero")
	errUnaddressed   = errors.New("the discriminator of the receiver is zero although the session is established")
	errAuthenticated = errors.New("the packet is authenticated, which is not in use")
)

// Packet is a control packet without authentication (RFC 5880 4.1). Intervals are whole microseconds.
type Packet struct {
	Diagnostic Diagnostic
	Phase      Phase
	// Poll asks for a packet with Final at once. Demand asks the other side to stop sending while all is well.
	Poll, Final, Demand bool
	// ControlPlaneIndependent is whether the sender's sessions survive its control plane; ours do not.
	ControlPlaneIndependent bool
	Multiplier              uint8
	// Sender is the discriminator of who sends the packet, Receiver that of whom it is for; 0 when not known yet.
	Sender, Receiver                              uint32
	DesiredTransmit, RequiredReceive, EchoReceive time.Duration
}

// Append appends the packet as it is on the wire.
func (p Packet) Append(b []byte) []byte {
	b = append(b, version<<5|byte(p.Diagnostic)&0x1f, byte(p.Phase)<<6|p.flags(), p.Multiplier, packetLength)
	b = binary.BigEndian.AppendUint32(b, p.Sender)
	b = binary.BigEndian.AppendUint32(b, p.Receiver)
	b = binary.BigEndian.AppendUint32(b, microseconds(p.DesiredTransmit))
	b = binary.BigEndian.AppendUint32(b, microseconds(p.RequiredReceive))
	return binary.BigEndian.AppendUint32(b, microseconds(p.EchoReceive))
}

func (p Packet) flags() (flags byte) {
	for _, f := range [...]struct {
		set  bool
		flag byte
	}{{p.Poll, flagPoll}, {p.Final, flagFinal}, {p.Demand, flagDemand}, {p.ControlPlaneIndependent, flagControlPlaneIndependent}} {
		if f.set {
			flags |= f.flag
		}
	}
	return flags
}

func microseconds(d time.Duration) uint32 {
	return uint32(min(max(d/time.Microsecond, 0), math.MaxUint32))
}

// Parse reads a control packet and checks what can be checked without knowing the session (RFC 5880 6.8.6). It does not allocate.
func Parse(b []byte) (Packet, error) {
	if len(b) < packetLength {
		return Packet{}, errShort
	}
	if err := check(b); err != nil {
		return Packet{}, err
	}
	flags := b[1]
	p := Packet{
		Diagnostic: Diagnostic(b[0] & 0x1f), Phase: Phase(b[1] >> 6),
		Poll: flags&flagPoll != 0, Final: flags&flagFinal != 0, Demand: flags&flagDemand != 0,
		ControlPlaneIndependent: flags&flagControlPlaneIndependent != 0,
		Multiplier:              b[2],
		Sender:                  binary.BigEndian.Uint32(b[4:]), Receiver: binary.BigEndian.Uint32(b[8:]),
		DesiredTransmit: interval(b[12:]), RequiredReceive: interval(b[16:]), EchoReceive: interval(b[20:]),
	}
	if p.Sender == 0 {
		return Packet{}, errDiscriminator
	}
	if p.Receiver == 0 && p.Phase != Down && p.Phase != AdminDown {
		return Packet{}, errUnaddressed
	}
	if flags&flagAuthentication != 0 {
		return Packet{}, errAuthenticated
	}
	return p, nil
}

func check(b []byte) error {
	least := packetLength
	if b[1]&flagAuthentication != 0 {
		least = authenticatedLength
	}
	switch length := int(b[3]); {
	case b[0]>>5 != version:
		return errVersion
	case length < least || length > len(b):
		return errLength
	case b[2] == 0:
		return errMultiplier
	case b[1]&flagMultipoint != 0:
		return errMultipoint
	}
	return nil
}

func interval(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}
