// SPDX-License-Identifier: Apache-2.0

//go:build race

package service

// A history has one goroutine, so the race detector, which makes it 20 times slower, finds nothing in more steps. "make test" takes all
// steps in a build without it.
const usualSteps = 5_000
