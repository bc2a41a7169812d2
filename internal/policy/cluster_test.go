// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
)

func nodeAt(name string, podCIDRs []string, addresses ...string) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDRs: podCIDRs}}
	for _, a := range addresses {
		n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
	}
	return n
}

func serviceCIDR(name string, cidrs ...string) networkingv1.ServiceCIDR {
	return networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: cidrs}}
}

// sayings are what is withheld, as users read it.
func sayings(list []allocation.Withheld) []string {
	var out []string
	for _, w := range list {
		text, _ := w.Within(w.Range)
		out = append(out, fmt.Sprint(w.Reason, ": ", text))
	}
	return out
}

func TestAddressesThatTheClusterUses(t *testing.T) {
	old := nodeAt("old", nil, "n4.example.com", "fe80::1%eth0")
	old.Spec.PodCIDR = "10.244.4.0/24"
	c := Cluster{
		Nodes:        []corev1.Node{nodeAt("n1", []string{"10.244.1.0/24", "fd00:10:244:1::/64"}, "192.0.2.11", "::ffff:192.0.2.12"), nodeAt("n2", []string{"nonsense"}), old},
		APIServers:   []discoveryv1.EndpointSlice{{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}}}},
		ServiceCIDRs: []networkingv1.ServiceCIDR{serviceCIDR("kubernetes", "10.96.0.0/12", "fd00:10:96::/112"), serviceCIDR("more", "10.7.7.7/16")},
	}
	want := []string{
		"NodeAddress: 192.0.2.11 is an address of node n1",
		"NodeAddress: 192.0.2.12 is an address of node n1",
		"APIServerAddress: 192.0.2.1 is an address of the Kubernetes API server",
		"ServiceCIDRAddress: 10.96.0.0/12 lies in the Service CIDR 10.96.0.0/12 (ServiceCIDR kubernetes)",
		"ServiceCIDRAddress: fd00:10:96::/112 lies in the Service CIDR fd00:10:96::/112 (ServiceCIDR kubernetes)",
		"ServiceCIDRAddress: 10.7.0.0/16 lies in the Service CIDR 10.7.7.7/16 (ServiceCIDR more)",
		"PodCIDRAddress: 10.244.1.0/24 lies in the Pod CIDR 10.244.1.0/24 of node n1",
		"PodCIDRAddress: fd00:10:244:1::/64 lies in the Pod CIDR fd00:10:244:1::/64 of node n1",
		"PodCIDRAddress: 10.244.4.0/24 lies in the Pod CIDR 10.244.4.0/24 of node old",
	}
	if got := sayings(c.Withheld()); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, w := range c.Withheld() {
		if w.OnRequest {
			t.Errorf("%+v is granted on request", w)
		}
	}
}

func TestEdgesOfSubnets(t *testing.T) {
	const where = ", the CIDR of a pool in which node n1 has its address"
	nodes := []corev1.Node{nodeAt("n1", nil, "192.0.2.11", "2001:db8::11", "198.51.100.1")}
	for _, row := range []struct {
		entry string
		want  []string
	}{
		{"192.0.2.0/24", []string{"NetworkAddress: 192.0.2.0 is the network address of 192.0.2.0/24" + where, "BroadcastAddress: 192.0.2.255 is the broadcast address of 192.0.2.0/24" + where}},
		{"192.0.2.77/24", []string{"NetworkAddress: 192.0.2.0 is the network address of 192.0.2.0/24" + where, "BroadcastAddress: 192.0.2.255 is the broadcast address of 192.0.2.0/24" + where}},
		{"2001:db8::/64", []string{"SubnetRouterAnycastAddress: 2001:db8:: is the subnet-router anycast address of 2001:db8::/64" + where}},
		{"198.51.100.0/30", []string{"NetworkAddress: 198.51.100.0 is the network address of 198.51.100.0/30" + where, "BroadcastAddress: 198.51.100.3 is the broadcast address of 198.51.100.0/30" + where}},
		{"198.51.100.0/31", nil},          // RFC 3021
		{"2001:db8::10/127", nil},         // RFC 6164
		{"192.0.2.11/32", nil},            // one address
		{"192.0.2.0-192.0.2.255", nil},    // no CIDR
		{"203.0.113.0/24", nil},           // no node there
		{"::ffff:192.0.2.0/120", nil},     // refused as an entry
		{"192.0.2.300/24", nil},           // likewise
		{"2001:db8:0:1::/64", nil},        // another subnet
		{"192.0.2.128/25", nil},           // beside the node
		{"2001:db8:ffff:ffff::/112", nil}, // likewise
	} {
		pools := []v1beta1.IPAddressPool{{Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{row.entry}}}}
		got := SubnetEdges(pools, nodes)
		if !slices.Equal(sayings(got), row.want) {
			t.Errorf("%s: got %q, want %q", row.entry, sayings(got), row.want)
		}
		for _, w := range got {
			if !w.OnRequest {
				t.Errorf("%s: %+v is refused on request: the CIDR may be a part of the subnet", row.entry, w)
			}
		}
	}
}

func TestPoolsThatOverlapTheCluster(t *testing.T) {
	ranges := Cluster{
		Nodes: []corev1.Node{
			nodeAt("n1", []string{"10.244.1.0/24"}), nodeAt("n2", []string{"10.244.2.0/24"}), nodeAt("n3", []string{"10.244.3.0/24"}), nodeAt("n4", []string{"10.244.4.0/24"}),
		},
		ServiceCIDRs: []networkingv1.ServiceCIDR{serviceCIDR("kubernetes", "10.96.0.0/12")},
	}.Ranges()
	for _, row := range []struct {
		spec v1beta1.IPAddressPoolSpec
		want string
	}{
		{v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24"}}, ""},
		{v1beta1.IPAddressPoolSpec{Addresses: []string{"10.96.200.0/24"}}, "10.96.200.0/24 lies in the Service CIDR 10.96.0.0/12 (ServiceCIDR kubernetes)"},
		{v1beta1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24", "10.111.255.250-10.112.0.9"}}, "10.111.255.250-10.111.255.255 lies in the Service CIDR 10.96.0.0/12 (ServiceCIDR kubernetes)"},
		{v1beta1.IPAddressPoolSpec{Addresses: []string{"10.244.1.255/32"}}, "10.244.1.255 lies in the Pod CIDR 10.244.1.0/24 of node n1"},
		{v1beta1.IPAddressPoolSpec{Addresses: []string{"10.96.0.0/12"}, Exclude: []string{"10.96.0.0/12"}}, ""},
		{v1beta1.IPAddressPoolSpec{Addresses: []string{"10.0.0.0/8"}}, "10.96.0.0/12 lies in the Service CIDR 10.96.0.0/12 (ServiceCIDR kubernetes); " +
			"10.244.1.0/24 lies in the Pod CIDR 10.244.1.0/24 of node n1; 10.244.2.0/24 lies in the Pod CIDR 10.244.2.0/24 of node n2; and 2 more ranges"},
	} {
		compiled := Compile(Objects{Pools: []v1beta1.IPAddressPool{{ObjectMeta: metav1.ObjectMeta{Name: "blue"}, Spec: row.spec}}})
		if row.want != "" {
			row.want = `pool "blue" has addresses that are never assigned: ` + row.want
		}
		got := ""
		if p := Overlap(compiled.Pools[0], ranges); p != nil {
			got = p.Detail
		}
		if got != row.want {
			t.Errorf("%v: got %q, want %q", row.spec.Addresses, got, row.want)
		}
	}
}

// TestTheOrderOfClusterObjectsDoesNotMatter shuffles nodes that share addresses and Pod CIDRs, pools with one CIDR, and Services in a pool: each
// order says the same.
func TestTheOrderOfClusterObjectsDoesNotMatter(t *testing.T) {
	c := Cluster{
		APIServers: []discoveryv1.EndpointSlice{
			{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}},
			{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.2"}}}},
		},
		ServiceCIDRs: []networkingv1.ServiceCIDR{serviceCIDR("kubernetes", "10.96.0.0/24"), serviceCIDR("more", "10.96.0.0/23")},
	}
	var pools []v1beta1.IPAddressPool
	var services []corev1.Service
	for i := range 6 {
		c.Nodes = append(c.Nodes, nodeAt(fmt.Sprint("n", i), []string{fmt.Sprintf("10.244.0.0/%d", 20+i)}, "10.0.0.9", fmt.Sprintf("10.0.0.1%d", i)))
		pools = append(pools, v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i)}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"10.0.0.0/24"}}})
		services = append(services, corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprint("ns", i%2), Name: fmt.Sprint("s", i)}, Spec: corev1.ServiceSpec{ClusterIP: fmt.Sprintf("10.97.0.%d", i)}})
	}
	blue := Compile(Objects{Pools: []v1beta1.IPAddressPool{{Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"10.0.0.0/8"}}}}}).Pools[0]
	says := func() []string {
		all := slices.Concat(sayings(c.Withheld()), sayings(SubnetEdges(pools, c.Nodes)), sayings(ClusterIPRanges(services)))
		return append(all, Overlap(blue, c.Ranges()).Detail, Overlap(blue, ClusterIPRanges(services)).Detail)
	}
	want := says()
	r := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		shuffle(r, c.Nodes)
		shuffle(r, c.APIServers)
		shuffle(r, c.ServiceCIDRs)
		shuffle(r, pools)
		shuffle(r, services)
		if got := says(); !slices.Equal(got, want) {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
	}
}
