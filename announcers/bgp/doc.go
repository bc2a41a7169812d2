// SPDX-License-Identifier: Apache-2.0

// Package bgp is the announcer for routers: it keeps a BGP session with each peer, tells it the routes, and ends it when BFD says that the
// path has failed.
//
// It must not know Kubernetes, other announcers, or GoBGP: that is behind the port Engine, as BFD is behind Detector and the node's
// interfaces behind Network. Each peer has a runner, whose goroutine alone calls the engine; what users are told is a copy that it leaves
// behind. Nothing that a runner waits for is waited for under a mutex.
package bgp
