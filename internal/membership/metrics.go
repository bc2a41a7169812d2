// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	members prometheus.Gauge
	losses  prometheus.Counter
	// undecryptable counts messages of members.
	undecryptable prometheus.Counter
}

func newMetrics() metrics {
	m := metrics{
		members: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "metallb_speaker_members",
			Help: "Number of live speakers in this speaker's membership, including itself.",
		}),
		losses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "metallb_speaker_member_losses_total",
			Help: "Number of times that a speaker failed or left the membership.",
		}),
		undecryptable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "metallb_speaker_gossip_undecryptable_total",
			Help: "Number of messages from other speakers that no key of this speaker decrypts.",
		}),
	}
	m.members.Set(1)
	return m
}

func (m metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	return errors.Join(r.Register(m.members), r.Register(m.losses), r.Register(m.undecryptable))
}
