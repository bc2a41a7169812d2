// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/internal/policy"
)

func TestMetricsSayWhetherTheConfigurationIsInUse(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := NewMetrics(registry, "n1")
	for _, row := range []struct {
		name          string
		policy        *policy.Policy
		loaded, stale string
	}{
		{"nothing read yet", nil, "0", "0"},
		{"an object is left out", &policy.Policy{Problems: make([]policy.Problem, 2)}, "1", "1"},
		{"all in use", &policy.Policy{}, "1", "0"},
	} {
		m.update(Outcome{World: World{Policy: row.policy}})
		want := `
# HELP metallb_k8s_client_config_loaded_bool 1 once a configuration was read and taken into use.
# TYPE metallb_k8s_client_config_loaded_bool gauge
metallb_k8s_client_config_loaded_bool ` + row.loaded + `
# HELP metallb_k8s_client_config_stale_bool 1 while some object of the configuration is left out because it is not valid.
# TYPE metallb_k8s_client_config_stale_bool gauge
metallb_k8s_client_config_stale_bool ` + row.stale + "\n"
		err := testutil.GatherAndCompare(registry, strings.NewReader(want), "metallb_k8s_client_config_loaded_bool", "metallb_k8s_client_config_stale_bool")
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestMetricsSayWhatIsAnnounced(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := NewMetrics(registry, "n1")
	mine, other, down := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	state := announcers.State{Phase: announcers.Effective}
	failed := announcers.State{Phase: announcers.Waiting, Problem: reason.New(reason.InterfaceMissing, "")}
	o := Outcome{
		Node: "n1", Ownership: map[string]announcers.Ownership{"l2": announcers.Exclusive, "bgp": announcers.Shared},
		Plan: Plan{Verdicts: map[string]Verdict{
			"default/web": {Owner: "n1", SharedHere: true, Addresses: []netip.Addr{mine, down}},
			"default/db":  {Owner: "n2", Addresses: []netip.Addr{other}},
		}},
		Reports: map[string]announcers.Report{
			"l2":  {States: map[netip.Addr]announcers.State{mine: state, other: state, down: failed}},
			"bgp": {States: map[netip.Addr]announcers.State{mine: state}},
		},
	}
	for _, want := range []string{`
# HELP metallb_speaker_announced 1 for every address that this node announces.
# TYPE metallb_speaker_announced gauge
metallb_speaker_announced{ip="192.0.2.1",node="n1",protocol="bgp",service="default/web"} 1
metallb_speaker_announced{ip="192.0.2.1",node="n1",protocol="layer2",service="default/web"} 1
`, ""} {
		m.update(o)
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "metallb_speaker_announced"); err != nil {
			t.Error(err)
		}
		o = Outcome{}
	}
}
