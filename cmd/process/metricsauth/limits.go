// SPDX-License-Identifier: Apache-2.0

package metricsauth

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// Reviews of tokens that were not accepted before: so many a second in all and from one source, and so many at once after a pause.
const (
	perSecond       = 10
	burst           = 20
	sourcePerSecond = 2
	sourceBurst     = 5
	sourcesSize     = 256
)

// limits bounds how many unknown tokens are reviewed. One source cannot use up the share of the others.
type limits struct {
	all *rate.Limiter

	mu      sync.Mutex
	sources *lru.Cache // netip.Prefix -> *rate.Limiter
}

func newLimits() *limits {
	return &limits{all: rate.NewLimiter(perSecond, burst), sources: lru.New(sourcesSize)}
}

// allow counts a review for a source and tells whether it may happen.
func (l *limits) allow(now time.Time, source netip.Addr) bool {
	return l.source(prefixOf(source)).AllowN(now, 1) && l.all.AllowN(now, 1)
}

func (l *limits) source(p netip.Prefix) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if found, ok := l.sources.Get(p); ok {
		return found.(*rate.Limiter)
	}
	limiter := rate.NewLimiter(sourcePerSecond, sourceBurst)
	l.sources.Add(p, limiter)
	return limiter
}

// prefixOf returns the addresses that count as one source: an IPv4 address, or an IPv6 /64, of which a host may use any address.
func prefixOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // the invalid address: all such requests count as one source
	}
	return p
}
