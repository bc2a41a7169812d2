// SPDX-License-Identifier: Apache-2.0

// Package route computes what each router is told: from addresses and the advertisements that they are announced through to prefixes with
// their attributes.
//
// It is pure: it knows neither Kubernetes, nor sessions, nor who may announce an address. All functions may be called from any goroutine;
// they change nothing and keep nothing.
package route
