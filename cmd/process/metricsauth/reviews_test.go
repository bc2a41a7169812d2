// SPDX-License-Identifier: Apache-2.0

package metricsauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
)

var here = netip.MustParseAddr("192.0.2.1")

// apiServer answers reviews: it knows the tokens "reader" and "guest", of which the first may read metrics.
type apiServer struct {
	mu             sync.Mutex
	authenticates  int
	authorizes     int
	inFlight, most int
	hold           chan struct{} // when it is not nil, unknown tokens wait for it
	away           error
	groups         []string // of the users
	forbidden      bool     // nobody may read metrics
}

func (a *apiServer) Authenticate(ctx context.Context, token string) (*authenticationv1.UserInfo, error) {
	a.mu.Lock()
	a.authenticates++
	a.inFlight++
	a.most = max(a.most, a.inFlight)
	hold, away, groups := a.hold, a.away, a.groups
	a.mu.Unlock()
	defer func() { a.mu.Lock(); a.inFlight--; a.mu.Unlock() }()
	known := token == "reader" || token == "guest"
	if hold != nil && !known {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if away != nil || !known {
		return nil, away
	}
	return &authenticationv1.UserInfo{Username: token, Groups: groups}, nil
}

func (a *apiServer) Authorize(_ context.Context, user authenticationv1.UserInfo) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.authorizes++
	return user.Username == "reader" && !a.forbidden, nil
}

func (a *apiServer) counts() (authenticates, authorizes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.authenticates, a.authorizes
}

func (a *apiServer) change(f func(*apiServer)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(a)
}

// status is the answer in words.
func status(a answer, err error) string {
	switch {
	case errors.Is(err, errBusy):
		return "busy"
	case err != nil:
		return "error"
	case a.user == nil:
		return "unknown"
	case a.allowed:
		return "allowed"
	}
	return "forbidden"
}

// flood asks for every token at once, each from the source that the function names, and returns how many answers of each kind came.
func flood(t *testing.T, r *reviews, tokens int, source func(i int) netip.Addr, token func(i int) string) (collect func() map[string]int) {
	var group sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for i := range tokens {
		group.Go(func() {
			answered := status(r.decide(t.Context(), token(i), source(i)))
			mu.Lock()
			got[answered]++
			mu.Unlock()
		})
	}
	return func() map[string]int { group.Wait(); return got }
}

func everywhere(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
func garbage(i int) string        { return fmt.Sprintf("garbage-%d", i) }

func TestAFloodOfOneTokenCostsOneReview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &apiServer{hold: make(chan struct{})}
		r := newReviews(api, time.Now)
		collect := flood(t, r, 500, everywhere, func(int) string { return "garbage" })
		synctest.Wait()
		close(api.hold)
		if got := collect(); got["unknown"] != 500 {
			t.Errorf("got %v, want 500 times unknown", got)
		}
		collect = flood(t, r, 500, everywhere, func(int) string { return "garbage" })
		if got := collect(); got["unknown"] != 500 {
			t.Errorf("got %v, want 500 times unknown from memory", got)
		}
		if n, _ := api.counts(); n != 1 {
			t.Errorf("%d reviews, want 1", n)
		}
	})
}

func TestReviewsOfUnknownTokensAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &apiServer{hold: make(chan struct{})}
		r := newReviews(api, time.Now)
		collect := flood(t, r, 500, everywhere, garbage)
		synctest.Wait()
		if api.most != concurrentUnknown {
			t.Errorf("%d reviews at once, want %d", api.most, concurrentUnknown)
		}
		close(api.hold)
		if got := collect(); got["unknown"] != firstBurst+burst || got["busy"] != 500-firstBurst-burst {
			t.Errorf("got %v, want %d reviewed and the others refused", got, firstBurst+burst)
		}
	})
}

func TestAReviewThatIsNeverAnsweredEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReviews(&apiServer{hold: make(chan struct{})}, time.Now)
		begin := time.Now()
		if got := status(r.decide(t.Context(), "garbage", here)); got != "error" || time.Since(begin) != reviewTimeout {
			t.Errorf("%s after %s, want an error after %s", got, time.Since(begin), reviewTimeout)
		}
	})
}

func TestAnAcceptedTokenIsServedDuringAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &apiServer{}
		r := newReviews(api, time.Now)
		if got := status(r.decide(t.Context(), "reader", here)); got != "allowed" {
			t.Fatalf("got %s", got)
		}
		for i := range 2 * refusedSize { // more than the cache of refused tokens holds
			time.Sleep(time.Second / perSecond)
			if got := status(r.decide(t.Context(), garbage(i), everywhere(i))); got != "unknown" {
				t.Fatalf("token %d: %s", i, got)
			}
		}
		api.change(func(a *apiServer) { a.hold = make(chan struct{}) })
		collect := flood(t, r, 500, everywhere, func(i int) string { return garbage(i + 10_000) })
		synctest.Wait() // all slots and all tokens of the rate limit are taken
		if got := status(r.decide(t.Context(), "reader", everywhere(1))); got != "allowed" {
			t.Errorf("the token that was accepted before is %s", got)
		}
		close(api.hold)
		collect()
		if r.refused.Len() > refusedSize || r.limits.sources.Len() > sourcesSize {
			t.Errorf("%d refused tokens and %d sources are remembered", r.refused.Len(), r.limits.sources.Len())
		}
	})
}

func TestOneSourceCannotUseUpTheReviewsOfOthers(t *testing.T) {
	tests := map[string]func(i int) netip.Addr{
		"one IPv4 address":               func(int) netip.Addr { return here },
		"the same mapped into IPv6":      func(int) netip.Addr { return netip.MustParseAddr("::ffff:192.0.2.1") },
		"all addresses of one IPv6 /64":  func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)) },
		"link-local, by many interfaces": func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("fe80::1%%eth%d", i)) },
		"an address that is not known":   func(int) netip.Addr { return netip.Addr{} },
	}
	for name, source := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &apiServer{}
				r := newReviews(api, time.Now)
				if got := flood(t, r, 100, source, garbage)(); got["unknown"] != sourceBurst || got["busy"] != 100-sourceBurst {
					t.Errorf("got %v, want %d reviews", got, sourceBurst)
				}
				if got := status(r.decide(t.Context(), "reader", netip.MustParseAddr("198.51.100.7"))); got != "allowed" {
					t.Errorf("a new token from elsewhere is %s", got)
				}
			})
		})
	}
}

func TestAFewSourcesDoNotKeepANewTokenOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReviews(&apiServer{}, time.Now)
		const sources = 3 * perSecond / sourcePerSecond
		refused, n := 0, 0
		for second := range 120 {
			for range sources * sourcePerSecond {
				n++
				if status(r.decide(t.Context(), garbage(n), everywhere(n%sources))) == "busy" {
					refused++
				}
			}
			if second%15 == 0 { // a scraper whose token is new each time
				if _, err := r.decide(t.Context(), fmt.Sprintf("new-%d", second), netip.MustParseAddr("198.51.100.7")); err != nil {
					t.Errorf("after %d s: %v", second, err)
				}
			}
			time.Sleep(time.Second)
		}
		if refused < n/2 {
			t.Errorf("%d of %d tokens were refused, want a flood that exceeds the limit all the time", refused, n)
		}
	})
}

func TestTheFirstReviewsOfManySourcesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &apiServer{}
		r := newReviews(api, time.Now)
		const seconds = 20
		for second := range seconds {
			flood(t, r, 500, func(i int) netip.Addr { return everywhere(second*500 + i) }, func(i int) string { return garbage(second*500 + i) })()
			time.Sleep(time.Second)
		}
		if n, _ := api.counts(); n > firstBurst+burst+seconds*(firstPerSecond+perSecond) {
			t.Errorf("%d reviews in %d s", n, seconds)
		}
	})
}

func TestATokenThatWaitsForTheAPIServerIsNoFlood(t *testing.T) {
	for _, accepted := range []bool{false, true} {
		t.Run(fmt.Sprintf("accepted before: %t", accepted), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &apiServer{}
				r := newReviews(api, time.Now)
				if accepted {
					for i := range concurrentAccepted + 1 {
						r.accepted.Add(digest(sha256.Sum256([]byte(garbage(i)))), answer{allowed: true})
					}
				}
				api.hold = make(chan struct{})
				errs := make(chan error)
				for i := range concurrentUnknown + 1 {
					go func() {
						_, err := r.decide(t.Context(), garbage(i), everywhere(i))
						errs <- err
					}()
				}
				for range concurrentUnknown + 1 {
					if err := <-errs; !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errBusy) {
						t.Errorf("got %v, want the end of the time for a review", err)
					}
				}
				if api.most != concurrentUnknown {
					t.Errorf("%d reviews at once, want %d and one that waits", api.most, concurrentUnknown)
				}
			})
		})
	}
}

func TestAnswersExpire(t *testing.T) {
	tests := []struct {
		name, token               string
		change                    func(*apiServer)
		after                     time.Duration
		want                      string
		authenticates, authorizes int // in all, the first decision included
	}{
		{"unknown, remembered", "garbage", nil, authenticatedTTL - 1, "unknown", 1, 0},
		{"unknown, asked again", "garbage", nil, authenticatedTTL, "unknown", 2, 0},
		{"forbidden, remembered", "guest", nil, forbiddenTTL - 1, "forbidden", 1, 1},
		{"forbidden, asked again", "guest", nil, forbiddenTTL, "forbidden", 2, 2},
		{"allowed, remembered", "reader", nil, authenticatedTTL - 1, "allowed", 1, 1},
		{"allowed, its user asked again", "reader", nil, authenticatedTTL, "allowed", 2, 1},
		{"allowed, its permission asked again", "reader", nil, allowedTTL, "allowed", 2, 2},
		{"permission taken, remembered", "reader", func(a *apiServer) { a.forbidden = true }, allowedTTL - 1, "allowed", 2, 1},
		{"permission taken, asked again", "reader", func(a *apiServer) { a.forbidden = true }, allowedTTL, "forbidden", 2, 2},
		{"permission taken, other groups", "reader", func(a *apiServer) { a.forbidden, a.groups = true, []string{"new"} }, authenticatedTTL, "forbidden", 2, 2},
		{"API server away, remembered", "reader", func(a *apiServer) { a.away = errors.New("away") }, authenticatedTTL - 1, "allowed", 1, 1},
		{"API server away, asked again", "reader", func(a *apiServer) { a.away = errors.New("away") }, authenticatedTTL, "error", 2, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &apiServer{}
				r := newReviews(api, time.Now)
				_, _ = r.decide(t.Context(), test.token, here) // the first answer is not the one that is tested
				if test.change != nil {
					api.change(test.change)
				}
				time.Sleep(test.after)
				got := status(r.decide(t.Context(), test.token, here))
				if authenticates, authorizes := api.counts(); got != test.want || authenticates != test.authenticates || authorizes != test.authorizes {
					t.Errorf("%s after %d authentications and %d authorizations, want %s after %d and %d",
						got, authenticates, authorizes, test.want, test.authenticates, test.authorizes)
				}
			})
		})
	}
}

func TestErrorsAreNotRemembered(t *testing.T) {
	api := &apiServer{away: errors.New("away")}
	r := newReviews(api, time.Now)
	if got := status(r.decide(t.Context(), "reader", here)); got != "error" {
		t.Errorf("got %s, want an error", got)
	}
	api.change(func(a *apiServer) { a.away = nil })
	if got := status(r.decide(t.Context(), "reader", here)); got != "allowed" {
		t.Errorf("got %s, want allowed", got)
	}
}

func TestAReviewOutlivesTheRequestThatBeganIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &apiServer{hold: make(chan struct{})}
		r := newReviews(api, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan string)
		go func() { first <- status(r.decide(ctx, "garbage", here)) }()
		synctest.Wait()
		second := make(chan string)
		go func() { second <- status(r.decide(t.Context(), "garbage", here)) }()
		synctest.Wait()
		cancel()
		if got := <-first; got != "error" {
			t.Errorf("the request that ended: %s", got)
		}
		close(api.hold)
		if got := <-second; got != "unknown" {
			t.Errorf("the request that waits: %s", got)
		}
	})
}

func TestAnOverlongTokenCostsNoReview(t *testing.T) {
	api := &apiServer{}
	r := newReviews(api, time.Now)
	if got := status(r.decide(t.Context(), strings.Repeat("x", maximumTokenLength+1), here)); got != "unknown" {
		t.Errorf("got %s", got)
	}
	if n, _ := api.counts(); n != 0 || r.refused.Len() != 0 {
		t.Errorf("%d reviews, %d remembered", n, r.refused.Len())
	}
}
