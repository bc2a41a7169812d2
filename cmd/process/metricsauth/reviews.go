// SPDX-License-Identifier: Apache-2.0

package metricsauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"golang.org/x/sync/singleflight"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/utils/lru"
)

// The lifetimes of answers are those of Kubernetes' own delegated authentication and authorization.
const (
	authenticatedTTL   = time.Minute      // also of "unauthenticated"
	allowedTTL         = 5 * time.Minute  // of a permission, while its user stays the same
	forbiddenTTL       = 30 * time.Second // of a missing permission
	reviewTimeout      = 10 * time.Second // of both reviews of one token together
	acceptedSize       = 64               // tokens that may read the metrics: a few scrapers, and their previous tokens
	refusedSize        = 1024             // tokens that may not
	concurrentAccepted = 4                // reviews at once of tokens that were accepted before
	concurrentUnknown  = 4                // reviews at once of all others
	maximumTokenLength = 16 << 10         // bytes; ServiceAccount tokens have about 1,000
)

// errBusy refuses a review because too many tokens that nobody knows were sent.
var errBusy = errors.New("too many unknown tokens")

// reviewer asks the API server. Both calls block until the answer or the end of the context.
type reviewer interface {
	// Authenticate returns the user of a token, or nil when the token is not valid.
	Authenticate(ctx context.Context, token string) (*authenticationv1.UserInfo, error)
	// Authorize tells whether a user may get /metrics.
	Authorize(ctx context.Context, user authenticationv1.UserInfo) (bool, error)
}

// answer is the API server's decision about one token.
type answer struct {
	// user is nil for a token that is not valid.
	user         *authenticationv1.UserInfo
	allowed      bool
	expires      time.Time
	allowedUntil time.Time
}

// digest stands for a token in the caches.
type digest [sha256.Size]byte

// reviews decides about tokens, from memory or by asking the reviewer.
type reviews struct {
	reviewer reviewer
	now      func() time.Time
	flights  singleflight.Group
	limits   *limits

	accepted, refused       *lru.Cache    // digest -> answer; tokens that may read the metrics, and all others
	acceptedTurn, otherTurn chan struct{} // slots for reviews in flight
}

func newReviews(r reviewer, now func() time.Time) *reviews {
	return &reviews{
		reviewer: r, now: now, limits: newLimits(),
		accepted: lru.New(acceptedSize), refused: lru.New(refusedSize),
		acceptedTurn: make(chan struct{}, concurrentAccepted), otherTurn: make(chan struct{}, concurrentUnknown),
	}
}

// decide returns the answer for a token that was sent from an address. errBusy and errors of the reviewer are not remembered.
func (r *reviews) decide(ctx context.Context, token string, source netip.Addr) (answer, error) {
	if len(token) > maximumTokenLength {
		return answer{}, nil
	}
	key := digest(sha256.Sum256([]byte(token)))
	if known, ok := r.fresh(key); ok {
		return known, nil
	}
	// The review serves all requests that wait for it, so it does not end with the one that began it.
	detached := context.WithoutCancel(ctx)
	flight := r.flights.DoChan(string(key[:]), func() (any, error) {
		if known, ok := r.fresh(key); ok { // a review that ended since the look above
			return known, nil
		}
		return r.review(detached, token, key, source)
	})
	select {
	case <-ctx.Done():
		return answer{}, ctx.Err()
	case result := <-flight:
		if result.Err != nil {
			return answer{}, result.Err
		}
		return result.Val.(answer), nil
	}
}

// remembered returns the last answer for a token, expired or not; the zero answer when there is none.
func (r *reviews) remembered(key digest) answer {
	for _, cache := range []*lru.Cache{r.accepted, r.refused} {
		if found, ok := cache.Get(key); ok {
			return found.(answer)
		}
	}
	return answer{}
}

// fresh returns the last answer for a token unless it has expired.
func (r *reviews) fresh(key digest) (answer, bool) {
	known := r.remembered(key)
	return known, r.now().Before(known.expires)
}

// review asks the API server within the limits and remembers its answer. The previous answer, if any, says which limits apply.
func (r *reviews) review(ctx context.Context, token string, key digest, source netip.Addr) (answer, error) {
	previous, turn := r.remembered(key), r.acceptedTurn
	if !previous.allowed {
		turn = r.otherTurn
		if !r.limits.allow(r.now(), source) {
			return answer{}, errBusy
		}
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	select {
	case <-ctx.Done():
		return answer{}, fmt.Errorf("waiting %v for the reviews in flight, which the API server does not answer: %w", reviewTimeout, ctx.Err())
	case turn <- struct{}{}:
	}
	defer func() { <-turn }()
	result, err := r.ask(ctx, token, previous)
	if err != nil {
		return answer{}, err
	}
	if result.allowed {
		r.refused.Remove(key)
		r.accepted.Add(key, result)
	} else {
		r.accepted.Remove(key)
		r.refused.Add(key, result)
	}
	return result, nil
}

// ask authenticates the token, and authorizes its user unless a previous permission of the same user still holds.
func (r *reviews) ask(ctx context.Context, token string, previous answer) (answer, error) {
	user, err := r.reviewer.Authenticate(ctx, token)
	if err != nil {
		return answer{}, err
	}
	now := r.now()
	if user == nil {
		return answer{expires: now.Add(authenticatedTTL)}, nil
	}
	if previous.allowed && now.Before(previous.allowedUntil) && reflect.DeepEqual(previous.user, user) {
		return answer{user: user, allowed: true, expires: now.Add(authenticatedTTL), allowedUntil: previous.allowedUntil}, nil
	}
	allowed, err := r.reviewer.Authorize(ctx, *user)
	if err != nil {
		return answer{}, err
	}
	now = r.now()
	if !allowed {
		return answer{user: user, expires: now.Add(forbiddenTTL)}, nil
	}
	return answer{user: user, allowed: true, expires: now.Add(authenticatedTTL), allowedUntil: now.Add(allowedTTL)}, nil
}
