// SPDX-License-Identifier: Apache-2.0

// Package bfd watches paths to routers by Bidirectional Forwarding Detection: RFC 5880, over one hop (RFC 5881) and over several (RFC 5883).
//
// It must not know BGP, Kubernetes or other announcers: it is told which sessions are wanted, and tells how each one is.
//
// What works together, from the wire up. Packet (pure) is what is on the wire. A machine (pure) is one session of RFC 5880 6.8: packets,
// deadlines and settings go in, packets to send come out; it reads no clock and throws no dice. A watcher is the goroutine that owns a
// machine, its timer and its sending socket. A listener reads one UDP port of one family for all sessions, finds out whom a packet is for
// from an immutable index, and puts it into that watcher's inbox, without allocation. The engine starts and ends both as Set asks.
//
// Nothing waits while it holds a lock. What a session is like is a copy that its watcher leaves behind after each step.
package bfd
