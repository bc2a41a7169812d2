// SPDX-License-Identifier: Apache-2.0

// Package metricsauth protects the metrics endpoint: the API server authenticates the bearer token of a request (TokenReview) and
// authorizes its user to get /metrics (SubjectAccessReview).
//
// Anybody on the network reaches the endpoint, so work for unauthenticated callers is bounded: one review per token at a time, few reviews
// at once and per second, answers remembered in caches of fixed size. A token that the API server has accepted before has its own cache
// and its own share of the reviews, so a flood of unknown tokens does not delay it. The first review of an address in a while has its own
// share too, so a flood from a few addresses does not keep out a scraper with a new token. Tokens are remembered as SHA-256 digests and are
// never logged.
//
// All types are safe for concurrent use. No goroutine outlives the review that it waits for.
package metricsauth
