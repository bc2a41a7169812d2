// SPDX-License-Identifier: Apache-2.0

// Package lab is the lab's interface for Go: what a suite needs to act on a running lab and to see what happens on its wires.
//
// It starts and stops nothing: `lab up` does. What it knows comes from .lab/env, the same file that scripts read. A Lab and its Hosts are immutable and may be
// used from any goroutine; each value that owns goroutines says how it is stopped.
package lab
