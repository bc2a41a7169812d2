// SPDX-License-Identifier: Apache-2.0

// Package gobgp makes GoBGP an engine of package bgp. It is the only package that imports GoBGP.
//
// Each peer is served by a GoBGP server of its own in a child process, because one malformed message from a peer can end the process that
// reads it: Serve is what the child runs, Engine supervises it and speaks with it through GoBGP's own gRPC API on a socket that only this
// user can reach. The package must not know what a Service is, when a session ought to be up, or BFD.
//
// All exported methods may be called from any goroutine, except that those of a session have the rule of bgp.Session.
package gobgp
