// SPDX-License-Identifier: Apache-2.0

// Package allocation decides which addresses a Service gets, keeps or loses, and why.
//
// It is pure: it knows neither Kubernetes nor a clock, it neither logs nor counts. Pools and requests come in as values, a Decision goes
// out as a value; what it remembers is only who holds which address. An address that may stay is never changed, equal inputs in equal
// order give equal decisions, and finding a free address costs a logarithm of what is in use, never the size of a pool.
//
// Concurrency: an Allocator belongs to one goroutine. Decisions, pools and requests are values that any goroutine may read.
package allocation
