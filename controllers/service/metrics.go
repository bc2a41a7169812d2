// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/kube"
)

// durations are the upper bounds, in seconds, of the histogram of how long Services wait for an address.
var durations = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

func described(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName("metallb", "allocator", name), help, labels, nil)
}

var (
	poolTotal  = described("addresses_total", "Addresses of the pool: assigned, free and reserved.", "pool")
	poolTotal4 = described("ipv4_addresses_total", "IPv4 addresses of the pool: assigned, free and reserved.", "pool")
	poolTotal6 = described("ipv6_addresses_total", "IPv6 addresses of the pool: assigned, free and reserved.", "pool")
	poolInUse  = described("addresses_in_use_total", "Addresses of the pool that are assigned.", "pool")
	poolInUse4 = described("ipv4_addresses_in_use_total", "IPv4 addresses of the pool that are assigned.", "pool")
	poolInUse6 = described("ipv6_addresses_in_use_total", "IPv6 addresses of the pool that are assigned.", "pool")
	poolServed = described("services_allocated_total", "Services that have addresses of the pool.", "pool")
	waiting    = described("services_waiting", "Services without an address, by reason.", "reason")
)

// metrics are what the controller reports of its work. Gauges are read off the board when somebody asks, so nothing is counted along the
// way and what is gone has no series. It is safe for concurrent use.
type metrics struct {
	*kube.ClientMetrics
	board    *board
	rivals   *rivals
	duration prometheus.Histogram

	mu sync.Mutex
	// lacking says since when the Services that lack an address do.
	lacking map[allocation.Key]time.Time
}

func newMetrics(b *board, r *rivals) *metrics {
	return &metrics{
		ClientMetrics: kube.NewClientMetrics(),
		board:         b,
		rivals:        r,
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "metallb_allocator_allocation_duration_seconds",
			Help:    "Time in seconds from the observation of a Service without an address to the write of the address to its status.",
			Buckets: durations,
		}),
		lacking: map[allocation.Key]time.Time{},
	}
}

// publish has the metrics on a registry until the context ends. If those of another controller in this process are there, they stay.
func (m *metrics) publish(ctx context.Context, registry prometheus.Registerer, log logr.Logger) error {
	if err := registry.Register(m); err != nil {
		if taken := (prometheus.AlreadyRegisteredError{}); !errors.As(err, &taken) {
			return fmt.Errorf("registering metrics: %w", err)
		}
		log.Info("Metrics are registered already, this controller reports none")
		<-ctx.Done()
		return nil
	}
	<-ctx.Done()
	registry.Unregister(m)
	return nil
}

// posted hears of what was decided on a Service.
func (m *metrics) posted(key allocation.Key, d desired, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d.leaves {
		delete(m.lacking, key)
		return
	}
	if _, known := m.lacking[key]; !known && (len(d.decision.Addresses) == 0 || len(d.decision.Granted) > 0) {
		m.lacking[key] = now
	}
}

// served hears that a Service's status names what it should, and whether it named nothing before.
func (m *metrics) served(key allocation.Key, first bool, now time.Time) {
	m.mu.Lock()
	since, lacked := m.lacking[key]
	delete(m.lacking, key)
	m.mu.Unlock()
	if lacked && first {
		m.duration.Observe(now.Sub(since).Seconds())
	}
}

func (m *metrics) gone(key allocation.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.lacking, key)
}

// Describe is part of prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{poolTotal, poolTotal4, poolTotal6, poolInUse, poolInUse4, poolInUse6, poolServed, waiting} {
		out <- d
	}
	m.duration.Describe(out)
	m.ClientMetrics.Describe(out)
}

// Collect is part of prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	sum := m.board.sum()
	gauge := func(d *prometheus.Desc, value int64, label string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), label)
	}
	for name, report := range sum.pools {
		c := report.counts
		gauge(poolInUse, plus(c.AssignedIPv4, c.AssignedIPv6), name)
		gauge(poolInUse4, c.AssignedIPv4, name)
		gauge(poolInUse6, c.AssignedIPv6, name)
		gauge(poolServed, sum.served[name], name)
		if report.closed() {
			continue
		}
		total4 := plus(plus(c.AssignedIPv4, c.AvailableIPv4), c.ReservedIPv4)
		total6 := plus(plus(c.AssignedIPv6, c.AvailableIPv6), c.ReservedIPv6)
		gauge(poolTotal, plus(total4, total6), name)
		gauge(poolTotal4, total4, name)
		gauge(poolTotal6, total6, name)
	}
	if held := m.rivals.held(time.Now()); held > 0 {
		sum.waiting[reason.ForeignStatusWriter] = held
	}
	for why, n := range sum.waiting {
		gauge(waiting, n, string(why))
	}
	m.duration.Collect(out)
	m.ClientMetrics.Collect(out)
}

// closed reports whether a pool is not valid and grants nothing. How many addresses it has is not known then, and it would look exhausted.
func (r poolReport) closed() bool {
	return r.problem != nil && r.counts.AvailableIPv4 == 0 && r.counts.AvailableIPv6 == 0
}

// boardSum is what the board says in numbers.
type boardSum struct {
	pools   map[string]poolReport
	served  map[string]int64
	waiting map[reason.Reason]int64
}

func (b *board) sum() boardSum {
	sum := boardSum{served: map[string]int64{}, waiting: map[reason.Reason]int64{}}
	b.mu.Lock()
	defer b.mu.Unlock()
	sum.pools = maps.Clone(b.pools)
	for _, d := range b.services {
		switch {
		case d.leaves:
		case len(d.decision.Addresses) > 0:
			sum.served[d.decision.Pool]++
		case d.decision.Problem != nil:
			sum.waiting[d.decision.Problem.Reason]++
		default:
			sum.waiting[reason.NoMatchingPool]++
		}
	}
	return sum
}

// plus adds two counts of which none is negative, saturating.
func plus(x, y int64) int64 {
	if x > math.MaxInt64-y {
		return math.MaxInt64
	}
	return x + y
}
