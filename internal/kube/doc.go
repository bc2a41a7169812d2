// SPDX-License-Identifier: Apache-2.0

// Package kube is the shell that the controllers share: a signal that coalesces, a queue that writes what was decided, helpers for
// conditions and events.
//
// It knows no kind of the suite and decides nothing. All types are safe for concurrent use.
package kube
