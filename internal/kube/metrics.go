// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ClientMetrics are what a process reports of its dealings with the API server: how many writes it tried, how many of them failed, and
// whether it has a configuration and all of it is in use. Names are those that dashboards know. It is a prometheus.Collector, made by
// NewClientMetrics and registered by whoever made it.
type ClientMetrics struct {
	updates, failures prometheus.Counter
	loaded, stale     prometheus.Gauge
}

// NewClientMetrics returns metrics that say: nothing written, no configuration yet.
func NewClientMetrics() *ClientMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "metallb", Subsystem: "k8s_client", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "metallb", Subsystem: "k8s_client", Name: name, Help: help})
	}
	return &ClientMetrics{
		updates:  counter("updates_total", "Attempted writes to the API server."),
		failures: counter("update_errors_total", "Failed writes to the API server, including conflicts; each is retried."),
		loaded:   gauge("config_loaded_bool", "1 once a configuration is loaded and in use."),
		stale:    gauge("config_stale_bool", "1 while a part of the configuration is left out: an object that is not valid, or one whose Secret cannot be used."),
	}
}

// Describe is part of prometheus.Collector.
func (m *ClientMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(out)
	}
}

// Collect is part of prometheus.Collector.
func (m *ClientMetrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(out)
	}
}

func (m *ClientMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.updates, m.failures, m.loaded, m.stale}
}

// Judged says that a configuration was taken into use, and how many parts of it are left out.
func (m *ClientMetrics) Judged(problems int) {
	m.loaded.Set(1)
	m.stale.Set(float64(min(problems, 1)))
}

func (m *ClientMetrics) count(err error) error {
	m.updates.Inc()
	if err != nil {
		m.failures.Inc()
	}
	return err
}

// Counting returns the client with every write through it counted: create, update, patch, apply, delete, and those of status.
func (m *ClientMetrics) Counting(c client.Client) client.Client {
	return countingClient{Client: c, metrics: m}
}

type countingClient struct {
	client.Client
	metrics *ClientMetrics
}

func (c countingClient) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	return c.metrics.count(c.Client.Create(ctx, o, opts...))
}

func (c countingClient) Update(ctx context.Context, o client.Object, opts ...client.UpdateOption) error {
	return c.metrics.count(c.Client.Update(ctx, o, opts...))
}

func (c countingClient) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.PatchOption) error {
	return c.metrics.count(c.Client.Patch(ctx, o, p, opts...))
}

func (c countingClient) Apply(ctx context.Context, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	return c.metrics.count(c.Client.Apply(ctx, o, opts...))
}

func (c countingClient) Delete(ctx context.Context, o client.Object, opts ...client.DeleteOption) error {
	return c.metrics.count(c.Client.Delete(ctx, o, opts...))
}

func (c countingClient) Status() client.SubResourceWriter {
	return countingStatus{SubResourceWriter: c.Client.Status(), metrics: c.metrics}
}

type countingStatus struct {
	client.SubResourceWriter
	metrics *ClientMetrics
}

func (s countingStatus) Update(ctx context.Context, o client.Object, opts ...client.SubResourceUpdateOption) error {
	return s.metrics.count(s.SubResourceWriter.Update(ctx, o, opts...))
}

func (s countingStatus) Patch(ctx context.Context, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
	return s.metrics.count(s.SubResourceWriter.Patch(ctx, o, p, opts...))
}
