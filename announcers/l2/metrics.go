// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"fmt"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counters per address, under the names that users of MetalLB know. The series of an address exist while it is desired.
type metrics struct {
	received, sent, gratuitous, conflicts *prometheus.CounterVec
	byAddress                             map[netip.Addr]*counters
}

// counters are the series of one address.
type counters struct {
	received, sent, gratuitous, conflicts prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		received:   counter("requests_received", "ARP requests and neighbor solicitations received for an announced address."),
		sent:       counter("responses_sent", "ARP replies and neighbor advertisements sent in answer for an announced address."),
		gratuitous: counter("gratuitous_sent", "Gratuitous ARP packets and unsolicited neighbor advertisements sent for an announced address."),
		conflicts:  counter("conflicts_total", "Packets in which another host claimed an address that this node is to announce."),
		byAddress:  map[netip.Addr]*counters{},
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range m.all() {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics of the announcer %s: %w", Name, err)
		}
	}
	return m, nil
}

func counter(name, help string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "metallb", Subsystem: "layer2", Name: name, Help: help}, []string{"ip"})
}

func (m *metrics) all() []*prometheus.CounterVec {
	return []*prometheus.CounterVec{m.received, m.sent, m.gratuitous, m.conflicts}
}

// of returns the counters of an address, creating its series when they are new.
func (m *metrics) of(a netip.Addr) *counters {
	c, ok := m.byAddress[a]
	if !ok {
		ip := a.String()
		c = &counters{m.received.WithLabelValues(ip), m.sent.WithLabelValues(ip), m.gratuitous.WithLabelValues(ip), m.conflicts.WithLabelValues(ip)}
		m.byAddress[a] = c
	}
	return c
}

// keep removes the series of every address for which keep is false.
func (m *metrics) keep(keep func(netip.Addr) bool) {
	for a := range m.byAddress {
		if keep(a) {
			continue
		}
		delete(m.byAddress, a)
		for _, v := range m.all() {
			v.DeleteLabelValues(a.String())
		}
	}
}
