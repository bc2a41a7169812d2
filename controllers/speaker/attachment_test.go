// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
)

// preferring returns what an advertisement says that prefers one node.
func preferring(node string, weight int32) v1beta1.PreferredNodeSelector {
	return v1beta1.PreferredNodeSelector{Weight: weight, Preference: metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/hostname": node}}}
}

func TestTheOwnerIsOnTheSubnetOfTheAddress(t *testing.T) {
	const four, six = "192.0.2.10", "2001:db8::10"
	const here, here6, elsewhere = "192.0.2.0/24", "2001:db8::/64", "198.51.100.0/24"
	prefersN1 := v1beta1.L2AdvertisementSpec{PreferredNodeSelectors: []v1beta1.PreferredNodeSelector{preferring("n1", 100)}}
	for _, row := range []struct {
		name string
		// subnets are what each node is on, n1 first; the empty word is a speaker that tells none.
		subnets   [3]string
		addresses string
		ad        v1beta1.L2AdvertisementSpec
		mend      func(*World)
		owner     string
	}{
		{name: "only the node on the subnet may own it", subnets: [3]string{elsewhere, elsewhere, here}, owner: "n3"},
		{name: "it comes before preference", subnets: [3]string{elsewhere, elsewhere, here}, ad: prefersN1, owner: "n3"},
		{name: "among those on the subnet preference decides", subnets: [3]string{here, elsewhere, here}, ad: prefersN1, owner: "n1"},
		{name: "nobody is on the subnet, so preference decides", subnets: [3]string{elsewhere, elsewhere, elsewhere}, ad: prefersN1, owner: "n1"},
		{name: "a speaker that tells no subnets is taken as being there", subnets: [3]string{"", elsewhere, elsewhere}, owner: "n1"},
		{name: "fitness comes first", subnets: [3]string{elsewhere, elsewhere, here}, mend: func(w *World) {
			w.Members[1].State.Fit, w.Members[2].State.Fit = false, false
		}, owner: "n1"},
		{name: "a node without endpoint is no candidate, wherever it is", subnets: [3]string{here, elsewhere, elsewhere}, mend: func(w *World) {
			w.Services[0].Local = true
		}, owner: "n2"},
		{name: "named interfaces: only their presence counts", subnets: [3]string{here, here, elsewhere}, mend: func(w *World) {
			w.Members[2].State.Links = map[string]string{"eth1": "02:00:00:00:00:03"}
			w.Members[0].State.Links = map[string]string{"eth0": "02:00:00:00:00:01"}
			w.Members[1].State.Links = w.Members[0].State.Links
		}, ad: v1beta1.L2AdvertisementSpec{Interfaces: []string{"eth1"}}, owner: "n3"},
		{name: "both families of a Service narrow", subnets: [3]string{here, here6, here + " " + here6}, addresses: four + " " + six, owner: "n3"},
		{name: "the lower address is more important", subnets: [3]string{here6, here6, here}, addresses: six + " " + four, owner: "n3"},
		{name: "Services that share an address are decided together", subnets: [3]string{here, here6, here6}, addresses: six, mend: func(w *World) {
			w.Services[0] = sharing("k", 80, w.Services[0])
			w.Services = append(w.Services, sharing("k", 443, service("api", six, four)))
		}, owner: "n1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := base()
			if row.addresses == "" {
				row.addresses = four
			}
			w.Services = []Service{service("web", strings.Fields(row.addresses)...)}
			w.Policy = compile([]v1beta1.IPAddressPool{pool("blue", here, here6)}, []v1beta1.L2Advertisement{advertisement("ad", row.ad)})
			for i := range w.Members {
				for _, p := range strings.Fields(row.subnets[i]) {
					w.Members[i].State.Subnets = append(w.Members[i].State.Subnets, netip.MustParsePrefix(p))
				}
			}
			if row.mend != nil {
				row.mend(&w)
			}
			for _, self := range []string{"n1", "n2", "n3"} {
				w.Self = self
				if got := Decide(w).Verdicts["default/web"]; got.Owner != row.owner {
					t.Fatalf("node %s says that %q is the owner, want %q (problem %v)", self, got.Owner, row.owner, got.Problem)
				}
			}
		})
	}
}
