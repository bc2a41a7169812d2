// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/kube"
)

// Metrics are what a speaker counts. Names and labels are those that dashboards know. What is announced is looked up when somebody asks: to
// keep a series for each of many Services would take more memory than all else that is known of them.
type Metrics struct {
	announced *prometheus.Desc
	problems  *prometheus.Desc
	client    *kube.ClientMetrics
	newest    latest
}

// NewMetrics registers the metrics.
func NewMetrics(registerer prometheus.Registerer, node string) *Metrics {
	m := &Metrics{
		announced: prometheus.NewDesc("metallb_speaker_announced", "1 for every address that this node announces.",
			[]string{"service", "protocol", "ip"}, prometheus.Labels{"node": node}),
		problems: prometheus.NewDesc("metallb_speaker_problems",
			"Number of current problems of this speaker, by severity (error: a part of the configuration is left out; fault: a part of the speaker or its node does not work; warning) and reason.",
			[]string{"severity", "reason"}, prometheus.Labels{"node": node}),
		client: kube.NewClientMetrics(),
	}
	registerer.MustRegister(m, m.client)
	return m
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- m.announced
	descriptions <- m.problems
}

// Collect implements prometheus.Collector. What is not announced has no series.
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	o := m.newest.get()
	m.collectProblems(o, metrics)
	for name, report := range o.Reports {
		for key, v := range o.Plan.Verdicts {
			if !o.asked(name, v) {
				continue
			}
			for _, a := range v.Addresses {
				if state, told := report.States[a]; told && state.Problem == nil {
					metrics <- prometheus.MustNewConstMetric(m.announced, prometheus.GaugeValue, 1, key, protocol(name), a.String())
				}
			}
		}
	}
}

// collectProblems counts the problems of each severity and reason.
func (m *Metrics) collectProblems(o Outcome, metrics chan<- prometheus.Metric) {
	type kind struct {
		severity severity
		reason   reason.Reason
	}
	counts := map[kind]int{}
	for _, p := range o.problems() {
		counts[kind{p.severity, p.Reason}]++
	}
	for k, n := range counts {
		metrics <- prometheus.MustNewConstMetric(m.problems, prometheus.GaugeValue, float64(n), string(k.severity), string(k.reason))
	}
}

// counting returns the client with its writes counted.
func (m *Metrics) counting(c client.Client) client.Client {
	if m == nil {
		return c
	}
	return m.client.Counting(c)
}

// update takes the newest outcome.
func (m *Metrics) update(o Outcome) {
	if m == nil {
		return
	}
	if o.World.Policy != nil {
		m.client.Judged(len(lines(o.problems(), leftOut)))
	}
	m.newest.swap(o)
}
