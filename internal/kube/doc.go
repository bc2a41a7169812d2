// SPDX-License-Identifier: Apache-2.0

// Package kube is the shell that the controllers share: a signal that coalesces, a queue that writes what was decided, helpers for
// conditions and events.
//
// It decides nothing. Of the kinds of the suite it knows only the one that every process reports into, of a Service what controller and
// speakers have to read alike. All types are safe for concurrent use.
package kube
