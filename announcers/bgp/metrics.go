// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"github.com/prometheus/client_golang/prometheus"

	"metalsuite.io/announcers"
)

// collector tells the metrics of the peers that there are: those of a peer that goes, go with it. The names are MetalLB's.
type collector struct{ a *Announcer }

// defaultVRF is the label of sessions that run in no VRF.
const defaultVRF = "default"

type metric struct {
	description *prometheus.Desc
	kind        prometheus.ValueType
	value       func(announcers.PeerState) float64
}

func bgpMetric(name, help string, kind prometheus.ValueType, value func(announcers.PeerState) float64) metric {
	return metric{prometheus.NewDesc("metallb_bgp_"+name, help, []string{"peer", "vrf"}, nil), kind, value}
}

func bfdMetric(name, help string, kind prometheus.ValueType, value func(announcers.BFDState) float64) metric {
	of := func(s announcers.PeerState) float64 { return value(s.BFD) }
	return metric{prometheus.NewDesc("metallb_bfd_"+name, help, []string{"peer", "vrf"}, nil), kind, of}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

var bgpMetrics = []metric{
	bgpMetric("session_up", "1 while the BGP session with a peer is established, else 0", gauge,
		func(s announcers.PeerState) float64 { return truth(s.Phase == announcers.Established) }),
	bgpMetric("announced_prefixes_total", "Number of prefixes advertised to the peer", gauge,
		func(s announcers.PeerState) float64 { return float64(s.Announced) }),
	bgpMetric("pending_prefixes_total", "Number of prefixes waiting to be advertised to the peer", gauge,
		func(s announcers.PeerState) float64 { return float64(max(0, s.Desired-s.Announced)) }),
	bgpMetric("session_established_total", "Number of times that the BGP session with a peer was established", counter,
		func(s announcers.PeerState) float64 { return float64(s.Established) }),
	bgpMetric("session_dropped_total", "Number of times that an established BGP session with a peer ended", counter,
		func(s announcers.PeerState) float64 { return float64(s.Dropped) }),
	bgpMetric("opens_sent", "Number of OPEN messages sent", counter,
		func(s announcers.PeerState) float64 { return float64(s.Messages.OpensSent) }),
	bgpMetric("opens_received", "Number of OPEN messages received", counter,
		func(s announcers.PeerState) float64 { return float64(s.Messages.OpensReceived) }),
	bgpMetric("notifications_sent", "Number of NOTIFICATION messages sent", counter,
		func(s announcers.PeerState) float64 { return float64(s.Messages.NotificationsSent) }),
	bgpMetric("updates_total", "Number of UPDATE messages sent", counter,
		func(s announcers.PeerState) float64 { return float64(s.Messages.UpdatesSent) }),
	bgpMetric("updates_total_received", "Number of UPDATE messages received", counter,
		func(s announcers.PeerState) float64 { return float64(s.Messages.UpdatesReceived) }),
	bgpMetric("keepalives_sent", "Number of KEEPALIVE messages sent", counter,
		func(s announcers.PeerState) float64 { return float64(s.Messages.KeepalivesSent) }),
	bgpMetric("keepalives_received", "Number of KEEPALIVE messages received", counter,
		func(s announcers.PeerState) float64 { return float64(s.Messages.KeepalivesReceived) }),
	bgpMetric("route_refresh_sent", "Number of ROUTE-REFRESH messages sent", counter,
		func(s announcers.PeerState) float64 { return float64(s.Messages.RefreshesSent) }),
	bgpMetric("total_sent", "Number of BGP messages sent", counter,
		func(s announcers.PeerState) float64 { return float64(s.Messages.TotalSent) }),
	bgpMetric("total_received", "Number of BGP messages received", counter,
		func(s announcers.PeerState) float64 { return float64(s.Messages.TotalReceived) }),
}

var bfdMetrics = []metric{
	bfdMetric("session_up", "1 while the BFD session with a peer is up, else 0", gauge,
		func(s announcers.BFDState) float64 { return truth(s.Phase == announcers.BFDUp) }),
	bfdMetric("control_packet_input", "Number of BFD control packets received", counter,
		func(s announcers.BFDState) float64 { return float64(s.ControlReceived) }),
	bfdMetric("control_packet_output", "Number of BFD control packets sent", counter,
		func(s announcers.BFDState) float64 { return float64(s.ControlSent) }),
	bfdMetric("echo_packet_input", "Number of BFD echo packets received back", counter,
		func(s announcers.BFDState) float64 { return float64(s.EchoReceived) }),
	bfdMetric("echo_packet_output", "Number of BFD echo packets sent", counter,
		func(s announcers.BFDState) float64 { return float64(s.EchoSent) }),
	bfdMetric("session_up_events", "Number of times that the BFD session came up", counter,
		func(s announcers.BFDState) float64 { return float64(s.Ups) }),
	bfdMetric("session_down_events", "Number of times that the BFD session went down", counter,
		func(s announcers.BFDState) float64 { return float64(s.Downs) }),
}

// Describe implements prometheus.Collector.
func (collector) Describe(out chan<- *prometheus.Desc) {
	for _, all := range [][]metric{bgpMetrics, bfdMetrics} {
		for _, m := range all {
			out <- m.description
		}
	}
}

// Collect implements prometheus.Collector. Two peers that look alike from here (one address in one VRF) are told as one.
func (c collector) Collect(out chan<- prometheus.Metric) {
	vrfs := c.a.vrfs()
	told := map[string]bool{}
	send := func(all []metric, s announcers.PeerState, kind, peer string) {
		key := kind + " " + peer + " " + vrfs[s.Name]
		if told[key] {
			return
		}
		told[key] = true
		emit(out, all, s, peer, vrfs[s.Name])
	}
	for _, s := range c.a.Peers() {
		peer, address := labels(s)
		send(bgpMetrics, s, "bgp", peer)
		if s.BFD.Phase != announcers.BFDNone {
			send(bfdMetrics, s, "bfd", address)
		}
	}
}

func emit(out chan<- prometheus.Metric, all []metric, s announcers.PeerState, labels ...string) {
	for _, m := range all {
		out <- prometheus.MustNewConstMetric(m.description, m.kind, m.value(s), labels...)
	}
}

// labels name a peer in the metrics of BGP and of BFD; an unnumbered one that was not heard yet by its name.
func labels(s announcers.PeerState) (peer, address string) {
	if !s.Remote.Addr().IsValid() {
		return s.Name, s.Name
	}
	return s.Remote.String(), s.Remote.Addr().String()
}

// vrfs returns the label of each peer's VRF.
func (a *Announcer) vrfs() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[string]string, len(a.desired.Peers))
	for _, p := range a.desired.Peers {
		out[p.Name] = defaultVRF
		if p.VRF != "" {
			out[p.Name] = p.VRF
		}
	}
	return out
}
