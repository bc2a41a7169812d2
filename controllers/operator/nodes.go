// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/kube"
)

// nodesNamed is how many nodes a condition names.
const nodesNamed = 3

// schedulingOnly is a transform of the cache that keeps the labels, the taints and the readiness of a Node.
func schedulingOnly(in any) (any, error) {
	node, ok := in.(*corev1.Node)
	if !ok {
		return in, nil
	}
	kept := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion, Labels: node.Labels},
		Spec:       corev1.NodeSpec{Taints: node.Spec.Taints},
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			kept.Status.Conditions = []corev1.NodeCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	return kept, nil
}

// nodeChanges passes on that nodes come, go, change their labels, their taints or their readiness.
func nodeChanges() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e ctrlevent.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*corev1.Node)
		after, same := e.ObjectNew.(*corev1.Node)
		return !ok || !same || nodeReady(before) != nodeReady(after) || !labels.Equals(before.Labels, after.Labels) ||
			!equality.Semantic.DeepEqual(before.Spec.Taints, after.Spec.Taints)
	}}
}

func nodeReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// downNodes are the nodes that are not ready, by name, of those that the node selector and the affinity of the speakers select. The
// controller of DaemonSets counts a pod of the first kind in desiredNumberScheduled, and one of the second kind, if there is one, in
// numberMisscheduled (Kubernetes: NodeShouldRunDaemonPod).
type downNodes struct {
	// wanted have no taint that the speakers do not tolerate.
	wanted []string
	// tainted have one. The taint not-ready:NoSchedule, which Kubernetes itself sets, is one as well.
	tainted []string
}

// findDown sorts the nodes that are not ready and on which a speaker may run.
func findDown(nodes []corev1.Node, speaker corev1.PodSpec) (down downNodes) {
	affinity := nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: speaker})
	tolerations := kube.DaemonTolerations(speaker.Tolerations)
	keepsAway := func(t *corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoExecute || t.Effect == corev1.TaintEffectNoSchedule
	}
	for i := range nodes {
		node := &nodes[i]
		if selected, err := affinity.Match(node); nodeReady(node) || err != nil || !selected {
			continue
		}
		if _, kept := corev1helpers.FindMatchingUntoleratedTaint(logr.Discard(), node.Spec.Taints, tolerations, keepsAway, true); kept {
			down.tainted = append(down.tainted, node.Name)
		} else {
			down.wanted = append(down.wanted, node.Name)
		}
	}
	slices.Sort(down.wanted)
	slices.Sort(down.tainted)
	return down
}

// lost returns how many speakers Kubernetes counts as unavailable since their nodes are not ready, and the names of the nodes in question,
// sorted. The status of the DaemonSet bounds the number: a node without a speaker has none to lose, and a speaker that counts as available
// is not lost yet.
func (d downNodes) lost(s appsv1.DaemonSetStatus) (count int, names []string) {
	for _, kind := range []struct {
		nodes []string
		bound int32
	}{{d.wanted, s.DesiredNumberScheduled - s.NumberAvailable}, {d.tainted, s.NumberMisscheduled}} {
		if n := min(len(kind.nodes), int(kind.bound)); n > 0 {
			count += n
			names = append(names, kind.nodes...)
		}
	}
	slices.Sort(names)
	return count, names
}

// allowUnavailable lets an update of the speakers go on beside the pods that are lost with their nodes: Kubernetes counts those as
// unavailable, and no update reaches them. One speaker at a time is replaced on the other nodes, whatever their number; a percentage would
// do neither in a small cluster.
func allowUnavailable(speakers *appsv1.DaemonSet, lost int) {
	speakers.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr(intstr.FromInt(1 + lost))
}

// blameNodes names the nodes that are not ready in what is said of speakers that lack pods or are not updated.
func blameNodes(h health, down []string) health {
	if h.complete || h.stuck || len(down) == 0 || h.problem == nil || h.problem.Reason == reason.NoNodesForSpeakers {
		return h
	}
	h.problem = reason.New(reason.SpeakerNodeNotReady, "%s; not ready: %s", h.problem.Detail, someOf(down))
	return h
}

// someOf lists the first of these nodes and counts the rest.
func someOf(nodes []string) string {
	text := strings.Join(nodes[:min(len(nodes), nodesNamed)], ", ")
	if more := len(nodes) - nodesNamed; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}

// nodes returns the nodes of the cluster as the cache has them.
func (r *Reconciler) nodes(ctx context.Context) ([]corev1.Node, error) {
	var nodes corev1.NodeList
	if err := r.Client.List(ctx, &nodes); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	return nodes.Items, nil
}
