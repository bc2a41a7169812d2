// SPDX-License-Identifier: Apache-2.0

// Package endpointcopier mirrors the EndpointSlices of one Service into EndpointSlices of another that has no selector. Its main use
// is the Kubernetes API behind a virtual IP: default/kubernetes is mirrored into default/kubernetes-vip, a Service of type
// LoadBalancer.
//
// What a target is to have is decided by pure functions of the objects (Config.SourceOf, Config.Refusal, Mirror); Reconciler observes
// and writes. The package knows nothing of pools, addresses and announcers.
//
// Concurrency: Reconciler may work on several targets at the same time, on each by one worker; the pure functions share nothing and
// change none of their arguments.
package endpointcopier
