// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// selection is what an advertisement says of pools and nodes, and what that selects.
type selection struct {
	names                  []string
	poolsGiven, nodesGiven []metav1.LabelSelector
	pools                  []string
	nodes                  map[string]int
}

// note says which pools of a selection there are not, and that it selects no pool or no node. It stops nothing: objects and labels come in
// any order. A selection of no node concerns every node, since otherwise none would report it; where no node is known, nothing is said of them.
func (s selection) note(object ObjectRef, o Objects, noted findings) {
	nodes := scopeOf(s.nodesGiven, s.nodes)
	if len(s.nodes) == 0 && len(s.nodesGiven) > 0 && len(o.Nodes) > 0 {
		noted.add(object, reason.New(reason.NoNodeSelected, "nodeSelectors match no node"))
		nodes = everyNode
	}
	noted.addOn(nodes, object, s.missingPools(o.Pools))
}

func (s selection) missingPools(all []v1beta1.IPAddressPool) *reason.Problem {
	missing := slices.DeleteFunc(slices.Clone(s.names), func(name string) bool {
		return slices.ContainsFunc(all, func(p v1beta1.IPAddressPool) bool { return p.Name == name })
	})
	nothing := ""
	if len(s.pools) == 0 {
		nothing = "; the advertisement announces nothing"
	}
	switch {
	case len(missing) > 0:
		return reason.New(reason.UnknownPool, "no IPAddressPool %s%s", quoted(missing), nothing)
	case len(s.poolsGiven) > 0 && nothing != "":
		return reason.New(reason.UnknownPool, "ipAddressPoolSelectors match no IPAddressPool%s", nothing)
	}
	return nil
}
