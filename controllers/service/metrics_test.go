// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/allocation"
)

// scrape reads what a registry says of names with this prefix: the value of each gauge and counter under its name without the prefix and
// with its label's value in braces, and of each histogram how much it has seen.
func scrape(from prometheus.Gatherer, prefix string) func() (map[string]float64, error) {
	return func() (map[string]float64, error) {
		families, err := from.Gather()
		values := map[string]float64{}
		for _, f := range families {
			name, ours := strings.CutPrefix(f.GetName(), prefix)
			if !ours {
				continue
			}
			for _, m := range f.GetMetric() {
				key := name
				for _, l := range m.GetLabel() {
					key += "{" + l.GetValue() + "}"
				}
				values[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		return values, err
	}
}

var _ = Describe("The controller's metrics", func() {
	const huge = float64(math.MaxInt64)
	var (
		c         *cluster
		registry  *prometheus.Registry
		allocator func() (map[string]float64, error)
		client    func() (map[string]float64, error)
	)
	BeforeEach(func(ctx context.Context) {
		registry = prometheus.NewPedanticRegistry()
		allocator, client = scrape(registry, "metallb_allocator_"), scrape(registry, "metallb_k8s_client_")
		c = newCluster(ctx, func(c *cluster) { c.options.Registry = registry })
	})

	It("follow pools and Services, and what is gone leaves no series", func(ctx context.Context) {
		c.start()
		both := c.pool(ctx, "both", "198.18.2.1-198.18.2.2", "2001:db8::/48")
		dual := c.service(ctx, "dual", stack(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv4Protocol, corev1.IPv6Protocol))
		Eventually(fresh(ctx, dual)).Should(haveIPs("198.18.2.1", "2001:db8::"))
		Eventually(fresh(ctx, c.service(ctx, "four"))).Should(haveIPs("198.18.2.2"))
		late := c.service(ctx, "late")
		Eventually(fresh(ctx, late)).Should(beRefused(reason.PoolExhausted))
		Eventually(allocator).Should(Equal(map[string]float64{
			"addresses_total{both}": huge, "ipv4_addresses_total{both}": 2, "ipv6_addresses_total{both}": huge,
			"addresses_in_use_total{both}": 3, "ipv4_addresses_in_use_total{both}": 2, "ipv6_addresses_in_use_total{both}": 1,
			"services_allocated_total{both}": 2, "services_waiting{PoolExhausted}": 1, "allocation_duration_seconds": 2,
		}))
		c.pool(ctx, "more", "198.18.3.1-198.18.3.4")
		Eventually(fresh(ctx, late)).Should(haveIPs("198.18.3.1"))
		Expect(api.Delete(ctx, dual)).To(Succeed())
		Eventually(allocator).Should(And(
			HaveKeyWithValue("services_allocated_total{both}", 1.0), HaveKeyWithValue("services_allocated_total{more}", 1.0),
			HaveKeyWithValue("allocation_duration_seconds", 3.0), Not(HaveKey(HavePrefix("services_waiting")))))

		Expect(api.Delete(ctx, both)).To(Succeed())
		Eventually(allocator).Should(Equal(map[string]float64{
			"addresses_total{more}": 4, "ipv4_addresses_total{more}": 4, "ipv6_addresses_total{more}": 0,
			"addresses_in_use_total{more}": 2, "ipv4_addresses_in_use_total{more}": 2, "ipv6_addresses_in_use_total{more}": 0,
			"services_allocated_total{more}": 2, "allocation_duration_seconds": 3,
		}), "a Service that moves did not lack an address")
		c.stop()
		Expect(allocator()).To(BeEmpty(), "who does not decide has nothing to report")
	})

	It("say whether all of the configuration is in use, and recover", func(ctx context.Context) {
		c.start()
		Eventually(client).Should(And(HaveKeyWithValue("config_loaded_bool", 1.0), HaveKeyWithValue("config_stale_bool", 0.0)))
		bad := c.pool(ctx, "upside-down", "198.18.3.9-198.18.3.1")
		Eventually(client).Should(HaveKeyWithValue("config_stale_bool", 1.0))
		Eventually(allocator).Should(HaveKeyWithValue("addresses_in_use_total{upside-down}", 0.0))
		Expect(allocator()).NotTo(HaveKey("addresses_total{upside-down}"), "it would look exhausted")
		Expect(api.Delete(ctx, bad)).To(Succeed())
		Eventually(client).Should(HaveKeyWithValue("config_stale_bool", 0.0))
		before, err := client()
		Expect(err).NotTo(HaveOccurred())
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.9")
		Eventually(fresh(ctx, c.service(ctx, "web"))).Should(haveIPs("198.18.2.1"))
		Eventually(client).Should(HaveKeyWithValue("updates_total", BeNumerically(">=", before["updates_total"]+2)), "a Service and a pool")
		Expect(client()).To(HaveKey("update_errors_total"))
	})
})

func TestMetricsOfTwoControllersInOneProcess(t *testing.T) {
	registry := prometheus.NewRegistry()
	first, second := newMetrics(newBoard(), newRivals(usualTimes)), newMetrics(newBoard(), newRivals(usualTimes))
	ctx, cancel := context.WithCancel(t.Context())
	if err := registry.Register(first); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := second.publish(ctx, registry, logr.Discard()); err != nil {
		t.Fatal(err)
	}
	if !registry.Unregister(first) {
		t.Error("the second took the first away")
	}
}

func TestAllocationDuration(t *testing.T) {
	key := allocation.Key{Namespace: "n", Name: "s"}
	address := []netip.Addr{netip.MustParseAddr("198.18.2.1")}
	waits := desired{}
	granted := desired{decision: allocation.Decision{Addresses: address, Granted: address}}
	keeps := desired{decision: allocation.Decision{Addresses: address}}
	begin := time.Unix(1000, 0)
	for name, row := range map[string]struct {
		posts []desired // one a second
		gone  bool
		had   bool
		want  uint64
	}{
		"granted at once":                      {posts: []desired{granted}, want: 1},
		"waited, then granted":                 {posts: []desired{waits, waits, granted}, want: 1},
		"decided again before it was written":  {posts: []desired{granted, keeps}, want: 1},
		"kept over a restart":                  {posts: []desired{keeps}},
		"moved":                                {posts: []desired{granted}, had: true},
		"deleted meanwhile and made once more": {posts: []desired{waits, keeps}, gone: true},
	} {
		m := newMetrics(newBoard(), newRivals(usualTimes))
		for i, d := range row.posts {
			m.posted(key, d, begin.Add(time.Duration(i)*time.Second))
		}
		if row.gone {
			m.gone(key)
		}
		m.served(key, !row.had, begin.Add(3*time.Second))
		registry := prometheus.NewRegistry()
		registry.MustRegister(m)
		got, err := scrape(registry, "metallb_allocator_")()
		if err != nil || got["allocation_duration_seconds"] != float64(row.want) || len(m.lacking) > 0 {
			t.Errorf("%s: %v, %v, still lacking %d", name, got, err, len(m.lacking))
		}
	}
}

func TestTotalsCountWhatIsReserved(t *testing.T) {
	const most = math.MaxInt64
	for name, row := range map[string]struct {
		counts         allocation.Counts
		all, four, six float64
		inUse          float64
	}{
		"all of it":   {allocation.Counts{ReservedIPv4: 4}, 4, 4, 0, 0},
		"some of it":  {allocation.Counts{AssignedIPv4: 1, AvailableIPv4: 2, ReservedIPv4: 4, ReservedIPv6: 8}, 15, 7, 8, 1},
		"most of all": {allocation.Counts{AssignedIPv6: 1, AvailableIPv6: most - 1, ReservedIPv6: most}, most, 0, most, 1},
	} {
		m := newMetrics(newBoard(), newRivals(usualTimes))
		m.board.postPolicy(map[string]poolReport{"blue": {}}, summary{})
		m.board.postPool("blue", row.counts)
		registry := prometheus.NewRegistry()
		registry.MustRegister(m)
		got, err := scrape(registry, "metallb_allocator_")()
		if err != nil || got["addresses_total{blue}"] != row.all || got["ipv4_addresses_total{blue}"] != row.four ||
			got["ipv6_addresses_total{blue}"] != row.six || got["addresses_in_use_total{blue}"] != row.inUse {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestPlusSaturates(t *testing.T) {
	for _, row := range []struct{ x, y, want int64 }{
		{2, 3, 5}, {math.MaxInt64, 0, math.MaxInt64}, {math.MaxInt64, 1, math.MaxInt64}, {math.MaxInt64 - 1, 1, math.MaxInt64}, {math.MaxInt64, math.MaxInt64, math.MaxInt64},
	} {
		if got := plus(row.x, row.y); got != row.want {
			t.Errorf("%d + %d = %d", row.x, row.y, got)
		}
	}
}

// A scrape of 10,000 Services of which half wait.
func BenchmarkScrape(b *testing.B) {
	m := newMetrics(newBoard(), newRivals(usualTimes))
	m.board.postPolicy(map[string]poolReport{"blue": {}}, summary{})
	address := []netip.Addr{netip.MustParseAddr("198.18.2.1")}
	full := reason.New(reason.PoolExhausted, "pool blue has no free IPv4 address")
	for i := range 10_000 {
		d := desired{decision: allocation.Decision{Addresses: address, Pool: "blue"}}
		if i%2 == 0 {
			d = desired{decision: allocation.Decision{Problem: full}}
		}
		m.board.postService(allocation.Key{Namespace: "n", Name: fmt.Sprint(i)}, d)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	for b.Loop() {
		got, err := scrape(registry, "metallb_allocator_services")()
		if err != nil || !slices.Contains(slices.Collect(maps.Values(got)), 5000.0) {
			b.Fatal(got, err)
		}
	}
}
