// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/internal/kube"
)

// Metrics are what a speaker counts. Names and labels are those that dashboards know.
type Metrics struct {
	announced *prometheus.GaugeVec
	client    *kube.ClientMetrics

	mu      sync.Mutex
	current map[string][]series
}

type series struct{ service, protocol, ip string }

// NewMetrics registers the metrics.
func NewMetrics(registerer prometheus.Registerer, node string) *Metrics {
	labels := prometheus.Labels{"node": node}
	m := &Metrics{
		announced: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "metallb_speaker_announced", ConstLabels: labels,
			Help: "1 for every address that this node announces.",
		}, []string{"service", "protocol", "ip"}),
		client:  kube.NewClientMetrics(),
		current: map[string][]series{},
	}
	registerer.MustRegister(m.announced, m.client)
	return m
}

// counting returns the client with its writes counted.
func (m *Metrics) counting(c client.Client) client.Client {
	if m == nil {
		return c
	}
	return m.client.Counting(c)
}

// update makes the series of the changed Services those of the newest outcome; what is no longer announced has no series.
func (m *Metrics) update(o Outcome, changed []string) {
	if m == nil {
		return
	}
	if o.World.Policy != nil {
		m.client.Judged(len(o.World.Policy.Problems))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range changed {
		next := o.series(key)
		for _, s := range m.current[key] {
			if !slices.Contains(next, s) {
				m.announced.DeleteLabelValues(s.service, s.protocol, s.ip)
			}
		}
		for _, s := range next {
			m.announced.WithLabelValues(s.service, s.protocol, s.ip).Set(1)
		}
		m.current[key] = next
		if len(next) == 0 {
			delete(m.current, key)
		}
	}
}

// series are those of a Service.
func (o Outcome) series(key string) []series {
	var all []series
	for name, states := range o.service(key).States {
		for _, state := range states {
			if state.Problem == nil {
				all = append(all, series{key, protocol(name), state.address.String()})
			}
		}
	}
	return all
}
