// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
)

func TestAReplicaThatNoLongerLeadsTellsNothingOfTargets(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	target := types.NamespacedName{Namespace: "default", Name: "kubernetes-vip"}
	m.observed(target, 3, 2, true)
	m.wrote(target, "create")
	m.failed(target)
	const writes, failures = "metallb_endpoint_copier_writes_total", "metallb_endpoint_copier_errors_total"
	if got := series(t, registry); len(got) != 5 || !slices.Contains(got, writes) {
		t.Fatalf("while it leads: %v", got)
	}
	m.ForgetTargets()
	if got := series(t, registry); !slices.Equal(got, []string{failures, writes}) {
		t.Errorf("afterwards: %v, want the counters alone", got)
	}
}

// series returns the names of the metrics that have a series, sorted.
func series(t *testing.T, registry *prometheus.Registry) []string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	return names
}
