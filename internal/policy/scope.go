// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// scope is the set of nodes that a problem concerns: those that would have used the object. Its zero value is every node, including nodes
// that the policy does not know.
type scope struct {
	some  bool
	nodes map[string]int
}

var everyNode = scope{}

// someNodes is the scope of the nodes in the map, which is copied.
func someNodes(nodes map[string]int) scope { return scope{some: true, nodes: maps.Clone(nodes)} }

// scopeOf is the scope of an object with these nodeSelectors, which select these nodes. An object without selectors is for every node, and
// one whose selectors are not valid may have been meant for any.
func scopeOf(given []metav1.LabelSelector, selected map[string]int) scope {
	if len(given) == 0 || selected == nil {
		return everyNode
	}
	return someNodes(selected)
}

// has reports whether a node is in the scope.
func (s scope) has(node string) bool {
	_, selected := s.nodes[node]
	return selected || !s.some
}

// united is the scope of objects that others refer to: the nodes of all of those. An object that nobody refers to concerns every node, so
// that its problem is reported by all rather than by none.
func united(all []scope) scope {
	if len(all) == 0 {
		return everyNode
	}
	nodes := map[string]int{}
	for _, s := range all {
		if !s.some {
			return everyNode
		}
		maps.Copy(nodes, s.nodes)
	}
	return someNodes(nodes)
}

// profileScope is the scope of a BFDProfile: the nodes of the BGPPeers that name it.
func (o Objects) profileScope(name string) scope {
	var users []scope
	for i := range o.BGPPeers {
		if spec := &o.BGPPeers[i].Spec; spec.BFDProfile == name {
			nodes, _ := selectNodes(spec.NodeSelectors, o.Nodes)
			users = append(users, scopeOf(spec.NodeSelectors, nodes))
		}
	}
	return united(users)
}

// communityScope is the scope of a name that a Community resource defines: the nodes of the BGPAdvertisements that use it.
func (o Objects) communityScope(name string) scope {
	var users []scope
	for i := range o.BGPAdvertisements {
		if spec := &o.BGPAdvertisements[i].Spec; slices.Contains(spec.Communities, name) {
			nodes, _ := selectNodes(spec.NodeSelectors, o.Nodes)
			users = append(users, scopeOf(spec.NodeSelectors, nodes))
		}
	}
	return united(users)
}
