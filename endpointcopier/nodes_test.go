// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func node(name, zone string, addresses ...corev1.NodeAddress) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Addresses: addresses}}
	if zone != "" {
		n.Labels = map[string]string{corev1.LabelTopologyZone: zone}
	}
	return n
}

func TestIndexNodes(t *testing.T) {
	got := IndexNodes([]corev1.Node{
		node("a", "z1",
			corev1.NodeAddress{Type: corev1.NodeHostName, Address: "192.0.2.77"},
			corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "192.0.2.1"},
			corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "192.0.2.1"},
			corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "2001:db8::1"},
			corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "198.51.100.1"}),
		node("b", "",
			corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "192.0.2.2"},
			corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "198.51.100.1"},
			corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "not an address"}),
	})
	want := Nodes{
		netip.MustParseAddr("192.0.2.1"):   {Name: "a", Zone: "z1"},
		netip.MustParseAddr("2001:db8::1"): {Name: "a", Zone: "z1"},
		netip.MustParseAddr("192.0.2.2"):   {Name: "b"},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Fatal(diff)
	}
}

func TestLocate(t *testing.T) {
	nodes := Nodes{netip.MustParseAddr("192.0.2.1"): {Name: "a", Zone: "z1"}}
	for _, row := range []struct {
		name, address      string
		node, zone         *string
		wantNode, wantZone *string
	}{
		{"known address", "192.0.2.1", nil, nil, ptr.To("a"), ptr.To("z1")},
		{"the source's own node and zone", "192.0.2.1", ptr.To("b"), ptr.To("z2"), ptr.To("b"), ptr.To("z2")},
		{"the source's own zone", "192.0.2.1", nil, ptr.To("z2"), ptr.To("a"), ptr.To("z2")},
		{"unknown address", "192.0.2.9", nil, nil, nil, nil},
		{"no address", "x", nil, ptr.To("z2"), nil, ptr.To("z2")},
	} {
		t.Run(row.name, func(t *testing.T) {
			gotNode, gotZone := nodes.locate(row.address, row.node, row.zone)
			if diff := cmp.Diff([]*string{row.wantNode, row.wantZone}, []*string{gotNode, gotZone}); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}
