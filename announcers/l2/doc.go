// SPDX-License-Identifier: Apache-2.0

// Package l2 announces addresses on Ethernet segments: it answers ARP requests for them with the hardware address of the interface that
// the request came in on, and says so unasked when an address, an interface or a hardware address is new (gratuitous ARP).
//
// It must not know Kubernetes, elections or other announcers: what it is given it announces, on the interfaces it is given. IPv4 is
// served; IPv6 addresses are refused with a reason until neighbour discovery stands beside ARP.
//
// Four things work together. decide (pure) maps interfaces and desired addresses to states and claims; a claim is an address on an
// interface with a hardware address. The schedule (pure) says when a claim is repeated. A responder per interface reads frames and
// answers them from an immutable view, without locks. The engine is the one goroutine that owns interfaces, sockets and unasked frames.
//
// A mutex guards what Apply and the engine share; it is never held while a frame is sent or a socket opened.
package l2
