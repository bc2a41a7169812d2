// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp/bfd"
)

// series returns what is told now as `name{peer,vrf} value`, of the names given.
func series(t *testing.T, w *world, names ...string) []string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector{w.Announcer})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range families {
		if !slices.Contains(names, f.GetName()) {
			continue
		}
		for _, m := range f.GetMetric() {
			out = append(out, f.GetName()+written(m))
		}
	}
	return out
}

func written(m *dto.Metric) string {
	var labels []string
	for _, l := range m.GetLabel() {
		labels = append(labels, l.GetValue())
	}
	value := m.GetGauge().GetValue() + m.GetCounter().GetValue()
	return "{" + strings.Join(labels, ",") + "} " + map[float64]string{0: "0", 1: "1", 2: "2"}[value]
}

func TestMetricsFollowThePeers(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		red := tor
		red.VRF, red.BFD = "red", announcers.BFD{Enabled: true}
		red6 := red
		red6.Port = 1790
		w.apply(peer("red", red, first), peer("red6", red6, first), peer("tor", tor, first, second))
		w.detector.put("red", func(s *bfd.State) { s.Phase = bfd.Up })
		names := []string{"metallb_bgp_session_up", "metallb_bgp_announced_prefixes_total", "metallb_bfd_session_up"}
		want := []string{
			"metallb_bfd_session_up{198.18.0.254,red} 1",
			"metallb_bgp_announced_prefixes_total{198.18.0.254:179,default} 2",
			"metallb_bgp_announced_prefixes_total{198.18.0.254:179,red} 1",
			"metallb_bgp_announced_prefixes_total{198.18.0.254:1790,red} 1",
			"metallb_bgp_session_up{198.18.0.254:179,default} 1",
			"metallb_bgp_session_up{198.18.0.254:179,red} 1",
			"metallb_bgp_session_up{198.18.0.254:1790,red} 1",
		}
		if got := series(t, w, names...); !slices.Equal(got, want) {
			t.Errorf("series = %q, want %q", got, want)
		}
		w.apply()
		if got := series(t, w, names...); len(got) != 0 {
			t.Errorf("series = %q after all peers have gone", got)
		}
	})
}
