// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// L2 is what one L2Advertisement says on a pool and a Service.
type L2 struct {
	// Name of the L2Advertisement.
	Name string
	// Nodes that may announce, each with its preference score: the sum of the weights that it matches.
	Nodes map[string]int
	// Interfaces to announce on, sorted; empty means every usable one.
	Interfaces []string
	// ServiceSelected is true when the advertisement chooses among Services. It excludes addresses that Services share.
	ServiceSelected bool
}

type l2Advertisement struct {
	L2
	services selectors
}

// L2 returns what each L2Advertisement of the pool that matches the labels of a Service says, sorted by name.
func (p *Policy) L2(pool string, serviceLabels map[string]string) []L2 {
	var out []L2
	for _, ad := range p.l2[pool] {
		if ad.services.matchesOrEmpty(serviceLabels) {
			out = append(out, ad.L2)
		}
	}
	return out
}

func (p *Policy) compileL2(o Objects, found findings) {
	p.l2 = map[string][]l2Advertisement{}
	for i := range o.L2Advertisements {
		in := &o.L2Advertisements[i]
		ad, pools, problem := compileL2Advertisement(in, o)
		if problem != nil {
			found.addOn(scopeOf(in.Spec.NodeSelectors, ad.Nodes), ObjectRef{KindL2Advertisement, in.Name}, problem)
			continue
		}
		for _, pool := range pools {
			p.l2[pool] = append(p.l2[pool], ad)
		}
		selection{in.Spec.IPAddressPools, in.Spec.IPAddressPoolSelectors, in.Spec.NodeSelectors, pools, ad.Nodes}.
			note(ObjectRef{KindL2Advertisement, in.Name}, o, p.noted)
	}
	for _, ads := range p.l2 {
		slices.SortFunc(ads, func(a, b l2Advertisement) int { return cmp.Compare(a.Name, b.Name) })
	}
}

func compileL2Advertisement(in *v1beta1.L2Advertisement, o Objects) (l2Advertisement, []string, *reason.Problem) {
	pools, poolProblem := selectPools(in.Spec.IPAddressPools, in.Spec.IPAddressPoolSelectors, o.Pools)
	nodes, nodeProblem := selectNodes(in.Spec.NodeSelectors, o.Nodes)
	services, problem := compileSelectors("serviceSelectors", in.Spec.ServiceSelectors)
	if p := firstOf(poolProblem, nodeProblem, problem); p != nil {
		return l2Advertisement{L2: L2{Nodes: nodes}}, nil, p
	}
	if p := addScores(nodes, in.Spec.PreferredNodeSelectors, o.Nodes); p != nil {
		return l2Advertisement{L2: L2{Nodes: nodes}}, nil, p
	}
	interfaces := slices.Compact(slices.Sorted(slices.Values(in.Spec.Interfaces)))
	return l2Advertisement{
		L2:       L2{Name: in.Name, Nodes: nodes, Interfaces: interfaces, ServiceSelected: len(services) > 0},
		services: services,
	}, pools, nil
}

// addScores adds the weights of the preferences to the nodes that match them.
func addScores(scores map[string]int, preferred []v1beta1.PreferredNodeSelector, nodes map[string]map[string]string) *reason.Problem {
	for i := range preferred {
		preference, problem := compileSelectors("preferredNodeSelectors", []metav1.LabelSelector{preferred[i].Preference})
		if problem != nil {
			return problem
		}
		for name := range scores {
			if preference[0].Matches(labels.Set(nodes[name])) {
				scores[name] += int(preferred[i].Weight)
			}
		}
	}
	return nil
}

// selectPools returns the names of the pools that are named or selected, sorted; all when nothing is given. Names of pools that do not
// exist are left out.
func selectPools(names []string, given []metav1.LabelSelector, pools []v1beta1.IPAddressPool) ([]string, *reason.Problem) {
	selected, problem := compileSelectors("ipAddressPoolSelectors", given)
	if p := firstOf(repeated("ipAddressPools", names), problem); p != nil {
		return nil, p
	}
	var out []string
	for i := range pools {
		pool := &pools[i]
		if len(names)+len(given) == 0 || slices.Contains(names, pool.Name) || selected.Matches(pool.Labels) {
			out = append(out, pool.Name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// selectNodes returns the nodes that the selectors match, each with score 0; all when there are no selectors.
func selectNodes(given []metav1.LabelSelector, nodes map[string]map[string]string) (map[string]int, *reason.Problem) {
	selected, problem := compileSelectors("nodeSelectors", given)
	if problem != nil {
		return nil, problem
	}
	scores := map[string]int{}
	for name, of := range nodes {
		if selected.matchesOrEmpty(of) {
			scores[name] = 0
		}
	}
	return scores, nil
}
