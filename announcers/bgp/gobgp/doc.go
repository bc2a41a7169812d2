// SPDX-License-Identifier: Apache-2.0

// Package gobgp makes GoBGP an engine of package bgp. It is the only package that imports GoBGP.
//
// Each peer is served by a GoBGP server of its own in a child process, because one malformed message from a peer can end the process that
// reads it. The package must not know what a Service is, when a session ought to be up, or BFD.
package gobgp

import (
	_ "github.com/osrg/gobgp/v3/api"
	_ "github.com/osrg/gobgp/v3/pkg/log"
	_ "github.com/osrg/gobgp/v3/pkg/server"
	_ "google.golang.org/grpc"
)
