// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// withoutNodes explains why no node is to run a speaker: it counts the nodes that the selector matches. A cluster without nodes may still
// get some; a selector that keeps speakers off every node does not mend by waiting.
func (r *Reconciler) withoutNodes(ctx context.Context, ds *appsv1.DaemonSet, h health) health {
	nodes := &metav1.PartialObjectMetadataList{}
	nodes.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NodeList"))
	if err := r.Live.List(ctx, nodes); err != nil {
		h.problem = reason.New(reason.NoNodesForSpeakers, "%s: no node is eligible for a speaker; the nodes cannot be listed: %v", ds.Name, err)
		return h
	}
	matching := 0
	selector := labels.SelectorFromSet(ds.Spec.Template.Spec.NodeSelector)
	for i := range nodes.Items {
		if selector.Matches(labels.Set(nodes.Items[i].Labels)) {
			matching++
		}
	}
	h.stuck = len(nodes.Items) > 0
	h.problem = noNodesProblem(ds.Name, selector.String(), matching, len(nodes.Items))
	return h
}

func noNodesProblem(name, selector string, matching, all int) *reason.Problem {
	const format = "%s: no node is eligible for a speaker: the node selector %s (spec.nodeSelector) matches %d of %d nodes"
	if matching > 0 {
		return reason.New(reason.NoNodesForSpeakers, format+", and spec.speakerConfig.affinity or a taint keeps the speakers off these",
			name, selector, matching, all)
	}
	return reason.New(reason.NoNodesForSpeakers, format, name, selector, matching, all)
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
