// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"metalsuite.io/api/reason"
)

// nodesNamed is how many nodes a condition names.
const nodesNamed = 3

// readinessOnly is a transform of the cache that keeps of a Node what the operator looks at.
func readinessOnly(in any) (any, error) {
	node, ok := in.(*corev1.Node)
	if !ok {
		return in, nil
	}
	kept := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion, Labels: node.Labels}}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			kept.Status.Conditions = []corev1.NodeCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	return kept, nil
}

// nodeChanges passes on that nodes come, go, change their labels or their readiness.
func nodeChanges() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e ctrlevent.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*corev1.Node)
		after, same := e.ObjectNew.(*corev1.Node)
		return !ok || !same || nodeReady(before) != nodeReady(after) || !labels.Equals(before.Labels, after.Labels)
	}}
}

func nodeReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// notReady returns the names, sorted, of the nodes that a node selector selects and that are not ready.
func notReady(nodes []corev1.Node, selector map[string]string) []string {
	var names []string
	for i := range nodes {
		if labels.SelectorFromSet(selector).Matches(labels.Set(nodes[i].Labels)) && !nodeReady(&nodes[i]) {
			names = append(names, nodes[i].Name)
		}
	}
	slices.Sort(names)
	return names
}

// allowUnavailable lets an update of the speakers go on beside the pods of nodes that are not ready: Kubernetes counts those as
// unavailable, and no update reaches them. One speaker at a time is replaced on the other nodes, whatever their number; a percentage would
// do neither in a small cluster.
func allowUnavailable(speakers *appsv1.DaemonSet, down int) {
	speakers.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr(intstr.FromInt(1 + down))
}

// blameNodes names the nodes that are not ready in what is said of speakers that lack pods or are not updated.
func blameNodes(h health, down []string) health {
	if h.complete || h.stuck || len(down) == 0 || h.problem == nil || h.problem.Reason == reason.NoNodesForSpeakers {
		return h
	}
	text := strings.Join(down[:min(len(down), nodesNamed)], ", ")
	if more := len(down) - nodesNamed; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	h.problem = reason.New(reason.SpeakerNodeNotReady, "%s; not ready: %s", h.problem.Detail, text)
	return h
}

// nodesDown returns the nodes for speakers that are not ready.
func (r *Reconciler) nodesDown(ctx context.Context, speakers *appsv1.DaemonSet) ([]string, error) {
	var nodes corev1.NodeList
	if err := r.Client.List(ctx, &nodes); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	return notReady(nodes.Items, speakers.Spec.Template.Spec.NodeSelector), nil
}
