// SPDX-License-Identifier: Apache-2.0

// Package neighbour knows the links of this node as far as sessions with routers need them: which router is on the other side of an
// interface, which address the kernel would speak from, and which address a router can send traffic to.
//
// A Watcher is there for unnumbered sessions, which run between link-local addresses that nobody has configured. It sends router
// advertisements (RFC 4861 6.2), by which the router learns the address of this node, and hears those of the router. What it sends makes
// nobody use this node as a router: the lifetime is 0 and there are no prefixes.
//
// The package must not know BGP, Kubernetes or other announcers. routers, cadence and parse are pure; one goroutine, that of Run, owns
// them and every socket, and one goroutine for each socket does nothing but read. Kernel holds no state and may be used from any goroutine.
package neighbour
