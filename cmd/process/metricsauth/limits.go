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
	// The first review of a source in firstInterval is counted apart, so that a few sources which send tokens all the time do not keep a
	// scraper with a new token out: that would take more than 200 of them.
	firstInterval  = 10 * time.Second
	firstPerSecond = 20
	firstBurst     = 20
)

// limits bounds how many unknown tokens are reviewed. One source cannot use up the share of the others, nor can several sources that of one
// which asks rarely.
type limits struct {
	first, others *rate.Limiter

	mu      sync.Mutex
	sources *lru.Cache // netip.Prefix -> source
}

// source limits the reviews of one source.
type source struct{ first, all *rate.Limiter }

func newLimits() *limits {
	return &limits{
		first: rate.NewLimiter(firstPerSecond, firstBurst), others: rate.NewLimiter(perSecond, burst), sources: lru.New(sourcesSize),
	}
}

// allow counts a review for a source and tells whether it may happen.
func (l *limits) allow(now time.Time, from netip.Addr) bool {
	s := l.source(prefixOf(from))
	if !s.all.AllowN(now, 1) {
		return false
	}
	return s.first.AllowN(now, 1) && l.first.AllowN(now, 1) || l.others.AllowN(now, 1)
}

func (l *limits) source(p netip.Prefix) source {
	l.mu.Lock()
	defer l.mu.Unlock()
	if found, ok := l.sources.Get(p); ok {
		return found.(source)
	}
	s := source{first: rate.NewLimiter(rate.Every(firstInterval), 1), all: rate.NewLimiter(sourcePerSecond, sourceBurst)}
	l.sources.Add(p, s)
	return s
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
