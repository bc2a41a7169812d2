// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// Node is what a copied endpoint learns from the node that has its address.
type Node struct {
	// Name is the name of the Node object.
	Name string
	// Zone is the node's topology zone; empty when it has none.
	Zone string
}

// Nodes finds a node by one of its addresses.
type Nodes map[netip.Addr]Node

// IndexNodes indexes the internal and external addresses of the nodes. An address that two nodes claim says nothing about either, so
// it is left out.
func IndexNodes(nodes []corev1.Node) Nodes {
	index, ambiguous := Nodes{}, map[netip.Addr]bool{}
	for i := range nodes {
		node := Node{Name: nodes[i].Name, Zone: nodes[i].Labels[corev1.LabelTopologyZone]}
		for _, address := range nodeAddresses(&nodes[i]) {
			if other, ok := index[address]; ok && other.Name != node.Name {
				ambiguous[address] = true
			}
			index[address] = node
		}
	}
	for address := range ambiguous {
		delete(index, address)
	}
	return index
}

func nodeAddresses(node *corev1.Node) []netip.Addr {
	var addresses []netip.Addr
	for _, a := range node.Status.Addresses {
		if a.Type != corev1.NodeInternalIP && a.Type != corev1.NodeExternalIP {
			continue
		}
		if address, err := netip.ParseAddr(a.Address); err == nil {
			addresses = append(addresses, address.Unmap())
		}
	}
	return addresses
}

// locate returns the node name and zone of an endpoint: its own where the source has them, else those of the node with its address. The
// slices of default/kubernetes have neither, and without a node name externalTrafficPolicy Local has no node to send traffic to.
func (n Nodes) locate(address string, nodeName, zone *string) (*string, *string) {
	if nodeName != nil {
		return ptr.To(*nodeName), clone(zone)
	}
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return nil, clone(zone)
	}
	node, ok := n[parsed.Unmap()]
	if !ok {
		return nil, clone(zone)
	}
	if zone == nil && node.Zone != "" {
		zone = &node.Zone
	}
	return ptr.To(node.Name), clone(zone)
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return ptr.To(*p)
}
