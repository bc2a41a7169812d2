// SPDX-License-Identifier: Apache-2.0

package speaker

import (
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
	current map[series]bool
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
		current: map[series]bool{},
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

// update makes the series those of the newest outcome; what is no longer announced has no series.
func (m *Metrics) update(o Outcome) {
	if m == nil {
		return
	}
	if o.World.Policy != nil {
		m.client.Judged(len(o.World.Policy.Problems))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	next := map[series]bool{}
	for key := range o.Plan.Verdicts {
		service := o.service(key)
		for name, states := range service.States {
			for _, state := range states {
				if state.Problem == nil {
					next[series{key, protocol(name), state.address.String()}] = true
				}
			}
		}
	}
	for s := range m.current {
		if !next[s] {
			m.announced.DeleteLabelValues(s.service, s.protocol, s.ip)
		}
	}
	for s := range next {
		m.announced.WithLabelValues(s.service, s.protocol, s.ip).Set(1)
	}
	m.current = next
}
