// SPDX-License-Identifier: Apache-2.0

// Package service is the shell of the controller role: it reads Services, pools, namespaces and nodes, lets internal/allocation decide,
// and writes what was decided into the status of Services and pools.
//
// It decides nothing itself and knows nothing of announcing. Nothing is granted before everything was read once; at a start every
// address that a Service's status names is taken over before the first new one is granted, so a restart moves nothing.
//
// Concurrency: one goroutine, the only worker of the Reconciler, owns the Allocator and all records. What it decided goes into a board
// under a lock; writers read the board and bring it to the API server, try again until it is there, and never decide.
package service
