// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
)

func TestAdmits(t *testing.T) {
	web := metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	pool := func(name, addresses string, pin *v1beta1.ServiceAllocation) v1beta1.IPAddressPool {
		return v1beta1.IPAddressPool{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       v1beta1.IPAddressPoolSpec{Addresses: []string{addresses}, ServiceAllocation: pin},
		}
	}
	p := Compile(Objects{
		Namespaces: map[string]map[string]string{"shop": {"tier": "gold"}, "other": {}},
		Pools: []v1beta1.IPAddressPool{
			pool("open", "198.18.0.0/24", nil),
			pool("shop", "198.18.1.0/24", &v1beta1.ServiceAllocation{Namespaces: []string{"shop"}, ServiceSelectors: []metav1.LabelSelector{web}}),
			pool("nobody", "198.18.2.0/24", &v1beta1.ServiceAllocation{
				NamespaceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"tier": "none"}}},
			}),
			pool("frozen", "nonsense", &v1beta1.ServiceAllocation{Namespaces: []string{"shop"}}),
		},
	})
	for name, c := range map[string]struct {
		pool, namespace string
		labels          map[string]string
		want            bool
	}{
		"no pin":                              {"open", "other", nil, true},
		"namespace and label":                 {"shop", "shop", map[string]string{"app": "web"}, true},
		"label of another":                    {"shop", "shop", map[string]string{"app": "db"}, false},
		"another namespace":                   {"shop", "other", map[string]string{"app": "web"}, false},
		"selectors that match nobody":         {"nobody", "shop", nil, false},
		"a frozen pool takes nothing away":    {"frozen", "other", nil, true},
		"a pool that does not exist":          {"gone", "shop", nil, false},
		"a name between those of other pools": {"openx", "shop", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := p.Admits(c.pool, c.namespace, c.labels); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
