// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
)

// Metrics count what the copier does, by target Service.
type Metrics struct {
	writes  *prometheus.CounterVec
	errors  *prometheus.CounterVec
	refused *prometheus.GaugeVec
	source  *prometheus.GaugeVec
	target  *prometheus.GaugeVec
}

// NewMetrics registers the metrics of the copier. It fails when they are registered already.
func NewMetrics(registerer prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "metallb_endpoint_copier_writes_total",
			Help: "EndpointSlices created, updated and deleted for a target Service."}, []string{"service", "operation"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "metallb_endpoint_copier_errors_total",
			Help: "Failed attempts to copy endpoints into a target Service; each is retried."}, []string{"service"}),
		refused: gauge("refused", "1 while the Service requests to be a target and its endpoints cannot be copied."),
		source:  gauge("source_endpoints", "Endpoints of the source Service."),
		target:  gauge("target_endpoints", "Endpoints copied into the target Service."),
	}
	for _, c := range []prometheus.Collector{m.writes, m.errors, m.refused, m.source, m.target} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}

func gauge(name, help string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "metallb_endpoint_copier_" + name, Help: help}, []string{"service"})
}

func (m *Metrics) wrote(target types.NamespacedName, operation string) {
	m.writes.WithLabelValues(target.String(), operation).Inc()
}

func (m *Metrics) failed(target types.NamespacedName) {
	m.errors.WithLabelValues(target.String()).Inc()
}

// observed sets the gauges of a target.
func (m *Metrics) observed(target types.NamespacedName, source, mirrored int, refused bool) {
	value := 0.0
	if refused {
		value = 1
	}
	m.refused.WithLabelValues(target.String()).Set(value)
	m.source.WithLabelValues(target.String()).Set(float64(source))
	m.target.WithLabelValues(target.String()).Set(float64(mirrored))
}

// forget ends the series of a Service that is no target any more.
func (m *Metrics) forget(target types.NamespacedName) {
	labels := prometheus.Labels{"service": target.String()}
	m.writes.DeletePartialMatch(labels)
	m.errors.DeletePartialMatch(labels)
	m.refused.DeletePartialMatch(labels)
	m.source.DeletePartialMatch(labels)
	m.target.DeletePartialMatch(labels)
}

// ForgetTargets ends the series that tell the present state of targets. Counters stay: they count what this process did.
func (m *Metrics) ForgetTargets() {
	m.refused.Reset()
	m.source.Reset()
	m.target.Reset()
}
