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
	there, here := bgpPeer("tor", "198.51.100.1"), bgpPeer("tor", "198.51.100.1")
	there.Spec.BFDProfile, there.Spec.NodeSelectors = "gone", onNode("n2")
	here.Spec.BFDProfile, here.Spec.NodeSelectors = "gone", onNode("n1")
	for _, row := range []struct {
		name          string
		policy        *policy.Policy
		plan          Plan
		loaded, stale string
	}{
		{"nothing read yet", nil, Plan{}, "0", "0"},
		{"an object is left out", routed(nil, here), Plan{}, "1", "1"},
		{"all in use", routed(nil), Plan{}, "1", "0"},
		{"an object of another node is left out", routed(nil, there), Plan{}, "1", "0"},
		{"a password is missing", routed(nil), Plan{LeftOut: map[string]*reason.Problem{"tor": reason.New(reason.PasswordSecretMissing, "")}}, "1", "1"},
		{"a password is empty", routed(nil), Plan{Warned: map[string]*reason.Problem{"tor": reason.New(reason.PasswordEmpty, "")}}, "1", "0"},
	} {
		m.update(Outcome{Node: "n1", World: World{Policy: row.policy}, Plan: row.plan})
		want := `
# HELP metallb_k8s_client_config_loaded_bool 1 once a configuration is loaded and in use.
# TYPE metallb_k8s_client_config_loaded_bool gauge
metallb_k8s_client_config_loaded_bool ` + row.loaded + `
# HELP metallb_k8s_client_config_stale_bool 1 while a part of the configuration is left out: an object that is not valid, or one whose Secret cannot be used.
# TYPE metallb_k8s_client_config_stale_bool gauge
metallb_k8s_client_config_stale_bool ` + row.stale + "\n"
		err := testutil.GatherAndCompare(registry, strings.NewReader(want), "metallb_k8s_client_config_loaded_bool", "metallb_k8s_client_config_stale_bool")
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestMetricsCountTheProblemsOfTheNode(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m := NewMetrics(registry, "n1")
	missing := reason.New(reason.PasswordSecretMissing, "")
	m.update(Outcome{
		Node: "n1", World: World{Policy: routed(nil)}, Unable: reason.New(reason.NoCarrier, ""),
		Plan:    Plan{LeftOut: map[string]*reason.Problem{"a": missing, "b": missing}, Warned: map[string]*reason.Problem{"c": reason.New(reason.PasswordEmpty, "")}},
		Reports: map[string]announcers.Report{"l2": {Problem: reason.New(reason.RawSocketDenied, "")}, "bgp": {}},
	})
	want := `
# HELP metallb_speaker_problems Number of current problems of this speaker, by severity (error: a part of the configuration is left out; fault: a part of the speaker or its node does not work; warning) and reason.
# TYPE metallb_speaker_problems gauge
metallb_speaker_problems{node="n1",reason="NoCarrier",severity="fault"} 1
metallb_speaker_problems{node="n1",reason="PasswordEmpty",severity="warning"} 1
metallb_speaker_problems{node="n1",reason="PasswordSecretMissing",severity="error"} 2
metallb_speaker_problems{node="n1",reason="RawSocketDenied",severity="fault"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "metallb_speaker_problems"); err != nil {
		t.Error(err)
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
