// SPDX-License-Identifier: Apache-2.0

// Package l2 announces addresses on Ethernet segments: it answers who asks for them, by ARP (IPv4) and neighbour discovery (IPv6), with
// the hardware address of the interface that the question came in on, and says so unasked when an address, an interface or a hardware
// address is new.
//
// It must not know Kubernetes, elections or other announcers: what it is given it announces, on the interfaces it is given, unless the
// host itself uses the address or a stranger does.
//
// What works together, from the wire up. A protocol (pure) reads and builds the frames of one family. A responder, one for each protocol
// and interface, answers from an immutable view, without locks or allocation, and passes on what other stations claim. disputes (pure)
// say what follows from that: a fresh address is put on trial, which a stranger wins, an established one is defended. decide (pure) maps
// interfaces, desired addresses and disputes to states and claims; a claim is an address on an interface with a hardware address. The
// schedule (pure) says when a claim is repeated. The engine is the one goroutine that owns interfaces, sockets and unasked frames.
//
// A mutex guards what Apply and the engine share; it is never held while a frame is sent or a socket opened.
package l2
