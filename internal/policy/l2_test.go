// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

func l2(name string, spec v1beta1.L2AdvertisementSpec) v1beta1.L2Advertisement {
	return v1beta1.L2Advertisement{ObjectMeta: born(name, 0), Spec: spec}
}

func threeNodes() map[string]map[string]string {
	return map[string]map[string]string{"n1": {"rack": "r1"}, "n2": {"rack": "r2"}, "n3": {"rack": "r2", "disk": "ssd"}}
}

func twoPools() []v1beta1.IPAddressPool {
	blue, green := pool("blue", 0, "192.0.2.0/24"), pool("green", 0, "198.51.100.0/24")
	blue.Labels, green.Labels = map[string]string{"zone": "a"}, map[string]string{"zone": "b"}
	return []v1beta1.IPAddressPool{blue, green}
}

func TestL2Pools(t *testing.T) {
	for _, row := range []struct {
		name        string
		spec        v1beta1.L2AdvertisementSpec
		blue, green bool
	}{
		{name: "nothing given", blue: true, green: true},
		{name: "name", spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"blue"}}, blue: true},
		{name: "unknown name", spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"red"}}},
		{name: "selector", spec: v1beta1.L2AdvertisementSpec{IPAddressPoolSelectors: []metav1.LabelSelector{label("zone", "b")}}, green: true},
		{name: "selector that matches nothing", spec: v1beta1.L2AdvertisementSpec{IPAddressPoolSelectors: []metav1.LabelSelector{label("zone", "c")}}},
		{name: "name and selector add up", spec: v1beta1.L2AdvertisementSpec{
			IPAddressPools: []string{"blue"}, IPAddressPoolSelectors: []metav1.LabelSelector{label("zone", "b")}}, blue: true, green: true},
		{name: "name and selector of one pool", spec: v1beta1.L2AdvertisementSpec{
			IPAddressPools: []string{"blue"}, IPAddressPoolSelectors: []metav1.LabelSelector{label("zone", "a")}}, blue: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := Compile(Objects{Pools: twoPools(), Nodes: threeNodes(), L2Advertisements: []v1beta1.L2Advertisement{l2("ad", row.spec)}})
			for pool, want := range map[string]bool{"blue": row.blue, "green": row.green} {
				if got := p.L2(pool, nil); len(got) > 1 || (len(got) == 1) != want {
					t.Errorf("pool %s: %v", pool, got)
				}
			}
		})
	}
}

func TestL2Content(t *testing.T) {
	for _, row := range []struct {
		name     string
		spec     v1beta1.L2AdvertisementSpec
		services map[string]string
		want     []L2
	}{
		{name: "all nodes and interfaces", want: []L2{{Name: "ad", Nodes: map[string]int{"n1": 0, "n2": 0, "n3": 0}}}},
		{name: "some nodes", spec: v1beta1.L2AdvertisementSpec{NodeSelectors: []metav1.LabelSelector{label("rack", "r1"), label("disk", "ssd")}},
			want: []L2{{Name: "ad", Nodes: map[string]int{"n1": 0, "n3": 0}}}},
		{name: "no node", spec: v1beta1.L2AdvertisementSpec{NodeSelectors: []metav1.LabelSelector{label("rack", "r9")}},
			want: []L2{{Name: "ad", Nodes: map[string]int{}}}},
		{name: "interfaces", spec: v1beta1.L2AdvertisementSpec{Interfaces: []string{"eth1", "eth0", "eth1"}},
			want: []L2{{Name: "ad", Nodes: map[string]int{"n1": 0, "n2": 0, "n3": 0}, Interfaces: []string{"eth0", "eth1"}}}},
		{name: "preferences add up within the node set", spec: v1beta1.L2AdvertisementSpec{
			NodeSelectors: []metav1.LabelSelector{label("rack", "r2")},
			PreferredNodeSelectors: []v1beta1.PreferredNodeSelector{
				{Weight: 10, Preference: label("disk", "ssd")}, {Weight: 5, Preference: metav1.LabelSelector{}},
				{Weight: 5, Preference: metav1.LabelSelector{}}, {Weight: 90, Preference: label("rack", "r1")},
			}}, want: []L2{{Name: "ad", Nodes: map[string]int{"n2": 10, "n3": 20}}}},
		{name: "service selected", spec: v1beta1.L2AdvertisementSpec{ServiceSelectors: []metav1.LabelSelector{label("app", "web")}},
			services: map[string]string{"app": "web"},
			want:     []L2{{Name: "ad", Nodes: map[string]int{"n1": 0, "n2": 0, "n3": 0}, ServiceSelected: true}}},
		{name: "another service", spec: v1beta1.L2AdvertisementSpec{ServiceSelectors: []metav1.LabelSelector{label("app", "web")}},
			services: map[string]string{"app": "db"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := Compile(Objects{Pools: twoPools(), Nodes: threeNodes(), L2Advertisements: []v1beta1.L2Advertisement{l2("ad", row.spec)}})
			if diff := cmp.Diff(row.want, p.L2("blue", row.services)); diff != "" || len(p.Problems) > 0 {
				t.Errorf("%s %v", diff, p.Problems)
			}
		})
	}
}

func TestL2OfAFrozenPool(t *testing.T) {
	p := Compile(Objects{
		Pools: []v1beta1.IPAddressPool{pool("bad", 0, "192.0.2.0/30", "x")}, Nodes: threeNodes(),
		L2Advertisements: []v1beta1.L2Advertisement{l2("ad", v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"bad"}})},
	})
	if len(p.L2("bad", nil)) != 1 {
		t.Error("what a frozen pool granted is announced no more")
	}
}

func TestBadL2Advertisements(t *testing.T) {
	bad := []metav1.LabelSelector{expression("a", "Near")}
	twice := []metav1.LabelSelector{label("a", "b"), label("a", "b")}
	for _, row := range []struct {
		name   string
		spec   v1beta1.L2AdvertisementSpec
		reason reason.Reason
	}{
		{"pool twice", v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"blue", "blue"}}, reason.DuplicateEntry},
		{"pool selector", v1beta1.L2AdvertisementSpec{IPAddressPoolSelectors: bad}, reason.InvalidSelector},
		{"pool selector twice", v1beta1.L2AdvertisementSpec{IPAddressPoolSelectors: twice}, reason.DuplicateEntry},
		{"node selector", v1beta1.L2AdvertisementSpec{NodeSelectors: bad}, reason.InvalidSelector},
		{"node selector twice", v1beta1.L2AdvertisementSpec{NodeSelectors: twice}, reason.DuplicateEntry},
		{"service selector", v1beta1.L2AdvertisementSpec{ServiceSelectors: bad}, reason.InvalidSelector},
		{"service selector twice", v1beta1.L2AdvertisementSpec{ServiceSelectors: twice}, reason.DuplicateEntry},
		{"preference", v1beta1.L2AdvertisementSpec{PreferredNodeSelectors: []v1beta1.PreferredNodeSelector{{Weight: 1, Preference: bad[0]}}}, reason.InvalidSelector},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := Compile(Objects{Pools: twoPools(), Nodes: threeNodes(), L2Advertisements: []v1beta1.L2Advertisement{
				l2("good", v1beta1.L2AdvertisementSpec{}), l2("bad", row.spec),
			}})
			if problem, _ := p.ProblemOf(ObjectRef{KindL2Advertisement, "bad"}); problem.Reason != row.reason {
				t.Errorf("problem %+v, want %s", problem, row.reason)
			}
			if ads := p.L2("blue", nil); len(ads) != 1 || ads[0].Name != "good" {
				t.Errorf("advertisements %v", ads)
			}
		})
	}
}
