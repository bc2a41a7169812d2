// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"testing"
)

func TestLeftOversAreTheSectionsOfRoutersAndBFD(t *testing.T) {
	running := "hostname tor\n!\nrouter bgp 64999\n neighbor N bfd\nexit\n!\nbfd\n profile fast\n exit\nexit\n!\nroute-map X permit 10\nexit\nip prefix-list P seq 5 permit any\nend\n"
	want := []string{"router bgp 64999", "bfd", "route-map X permit 10", "ip prefix-list P seq 5 permit any"}
	if got := leftOvers(running); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
