// SPDX-License-Identifier: Apache-2.0

// Package policy compiles the objects that users write (pools, advertisements, peers and what these refer to) into one Policy, and says
// of each object that it leaves out why. It is the only parser of these objects: the controller, the speakers, webhooks and the command
// line all use it.
//
// The result depends on the objects alone, never on their order or on what a process saw before, so all processes agree. An object that
// is not valid is left out alone and the rest works. Of two pools that overlap the older one is valid; the younger is frozen: what it
// granted stays and is announced, nothing new is granted.
//
// The package is pure: it knows no client, no logger, no clock. A Policy is immutable and safe for concurrent use; callers must not
// change what its fields and methods return.
package policy
