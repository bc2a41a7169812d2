// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"net/netip"
	"testing"

	"metalsuite.io/api/reason"
)

func TestMayShare(t *testing.T) {
	http, https, dns := Port{"TCP", 80}, Port{"TCP", 443}, Port{"UDP", 80}
	base := Tenant{Key: Key{"default", "a"}, SharingKey: "k", Ports: []Port{http}}
	for _, row := range []struct {
		name  string
		other Tenant
		want  reason.Reason
	}{
		{"other ports", Tenant{SharingKey: "k", Ports: []Port{https}}, ""},
		{"the same number of another protocol", Tenant{SharingKey: "k", Ports: []Port{dns}}, ""},
		{"a port in common", Tenant{SharingKey: "k", Ports: []Port{https, http}}, reason.SharingPortCollides},
		{"no sharing key", Tenant{Ports: []Port{https}}, reason.AddressInUse},
		{"another sharing key", Tenant{SharingKey: "l", Ports: []Port{https}}, reason.SharingKeyDiffers},
		{"other backends", Tenant{SharingKey: "k", BackendKey: "app=web", Ports: []Port{https}}, reason.SharingBackendDiffer},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, problem := range []*reason.Problem{
				MayShare(base, row.other, netip.MustParseAddr("198.18.0.1")), MayShare(row.other, base, netip.MustParseAddr("198.18.0.1")),
			} {
				if row.want == "" && problem != nil || row.want != "" && (problem == nil || problem.Reason != row.want) {
					t.Errorf("got %v, want %q", problem, row.want)
				}
			}
		})
	}
}
