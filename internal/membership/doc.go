// SPDX-License-Identifier: Apache-2.0

// Package membership knows which speakers are alive and what each of them says about itself.
//
// Liveness comes from hashicorp/memberlist, tuned to notice a lost member within a fraction of a second; what a member says (State)
// travels by broadcast and by the exchange of full states over TCP, and a member whose state is missing or old is asked for it. All
// traffic is encrypted.
//
// The package knows no Kubernetes: the addresses of the other speakers, the key and the node's own state are given to it. It decides
// nothing about addresses to announce; that is internal/election, from the Members returned here.
//
// Concurrency: every method may be called from any goroutine. Run owns the goroutines, apart from those of memberlist itself, which
// Shutdown stops. Members answers from memory and never waits for the network.
package membership
