// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

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
		m.update(Outcome{World: World{Policy: row.policy}}, nil)
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
