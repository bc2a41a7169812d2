// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// withoutNodes explains why no node is to run a speaker: it counts the nodes that the selector matches, and names those that are not ready,
// which Kubernetes excludes by a taint. A cluster without nodes may still get some, and a node may become ready again; a selector that keeps
// speakers off every node does not mend by waiting.
func withoutNodes(ds *appsv1.DaemonSet, nodes []corev1.Node, down downNodes, h health) health {
	matching := 0
	selector := labels.SelectorFromSet(ds.Spec.Template.Spec.NodeSelector)
	for i := range nodes {
		if selector.Matches(labels.Set(nodes[i].Labels)) {
			matching++
		}
	}
	h.stuck = len(nodes) > 0 && len(down.tainted) == 0
	h.problem = noNodesProblem(ds.Name, selector.String(), matching, len(nodes), down.tainted)
	return h
}

func noNodesProblem(name, selector string, matching, all int, unready []string) *reason.Problem {
	if selector == "" {
		selector = "(none)"
	}
	text := fmt.Sprintf("%s: no node is eligible for a speaker: the node selector %s (spec.nodeSelector) matches %d of %d nodes", name, selector, matching, all)
	if matching > len(unready) {
		text += ", and spec.speakerConfig.affinity or a taint excludes these"
	}
	if len(unready) > 0 {
		text += "; not ready: " + someOf(unready)
	}
	return reason.New(reason.NoNodesForSpeakers, "%s", text)
}

// announcing adds to the health of the speakers whether they have anything to announce with. An empty list of announcers asks for
// allocation only; then no speaker is missed, and the condition gives that as its reason. A list of which the image holds no announcer
// is a mistake, and speakers without an announcer are not available.
func announcing(spec v1beta1.MetalLBSpec, known []string, h health) health {
	enabled, unknown, chosen := announcersOf(spec, known)
	switch {
	case !chosen || len(enabled) > 0:
		return h
	case len(unknown) > 0:
		return health{stuck: true, problem: unknownAnnouncers(unknown, known)}
	case h.complete || h.problem.Reason == reason.NoNodesForSpeakers:
		return health{available: true, complete: true, note: reason.AllocationOnly}
	}
	return h
}
