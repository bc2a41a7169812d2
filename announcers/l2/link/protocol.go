// SPDX-License-Identifier: Apache-2.0

package link

import "errors"

// Protocol is one of the two ways in which a segment asks for the hardware address of an address.
type Protocol int

const (
	// ARP is the protocol of IPv4 (RFC 826).
	ARP Protocol = iota
	// NDP is Neighbor Discovery, the protocol of IPv6 (RFC 4861).
	NDP
)

// String returns the usual abbreviation.
func (p Protocol) String() string {
	if p == NDP {
		return "NDP"
	}
	return "ARP"
}

// ErrBusy says that a frame was not sent because a queue was full. Nothing waits for it to drain.
var ErrBusy = errors.New("the interface's queue is full")

// Snap is the most bytes of a frame that a Conn delivers; no message of ARP or NDP that it lets up needs more.
const Snap = 256
