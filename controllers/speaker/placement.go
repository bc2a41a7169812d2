// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/membership"
)

// Placement is where the DaemonSet of the speakers wants pods. Nil is a placement that is not known and excludes no node.
type Placement struct {
	affinity    nodeaffinity.RequiredNodeAffinity
	tolerations []corev1.Toleration
}

func placementOf(pod corev1.PodSpec) *Placement {
	return &Placement{
		affinity:    nodeaffinity.GetRequiredNodeAffinity(&corev1.Pod{Spec: pod}),
		tolerations: kube.DaemonTolerations(pod.Tolerations),
	}
}

// excludes says why the DaemonSet wants no pod on a node with these labels and taints; empty when it wants one.
func (p *Placement) excludes(name string, labels map[string]string, taints []corev1.Taint) string {
	if p == nil {
		return ""
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if matches, err := p.affinity.Match(node); err == nil && !matches {
		return "the node selector or affinity of the speakers does not match it"
	}
	keepsAway := func(t *corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoExecute || t.Effect == corev1.TaintEffectNoSchedule
	}
	if taint, kept := corev1helpers.FindMatchingUntoleratedTaint(logr.Discard(), taints, p.tolerations, keepsAway, true); kept {
		return fmt.Sprintf("the speakers do not tolerate its taint %s", taint.ToString())
	}
	return ""
}

// Placement reads where the DaemonSet wants speakers, as it was when this one was started: a change replaces this speaker as well. It is nil
// when there is no DaemonSet, or the speaker may not read it.
func (i Installation) Placement(ctx context.Context) (*Placement, error) {
	if i.DaemonSet == "" {
		return nil, nil
	}
	var workload appsv1.DaemonSet
	err := i.Reader.Get(ctx, types.NamespacedName{Namespace: i.Namespace, Name: i.DaemonSet}, &workload)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading daemonset %s: %w", i.DaemonSet, err)
	}
	return placementOf(workload.Spec.Template.Spec), nil
}

// speaks reports whether a node has a live speaker. Members are sorted by name.
func (w World) speaks(node string) bool {
	_, found := slices.BinarySearchFunc(w.Members, node, func(m membership.Member, node string) int { return strings.Compare(m.Name, node) })
	return found
}

// mostNodes is how many nodes a problem names.
const mostNodes = 3

// speakerless returns the problem that the selected nodes, which are all that could announce, have no live speaker; nil when one of them has
// one or none is selected. The text says where the nodes come from, and names the first of them with the cause.
func speakerless[T any](w World, where string, nodes map[string]T) *reason.Problem {
	var first []string
	all := 0
	for node := range nodes {
		if node == "" {
			continue
		}
		all++
		if w.speaks(node) {
			return nil
		}
		at, _ := slices.BinarySearch(first, node)
		first = slices.Insert(first, at, node)
		first = first[:min(len(first), mostNodes)]
	}
	if len(first) == 0 {
		return nil
	}
	causes := make([]string, 0, len(first))
	for _, node := range first {
		causes = append(causes, fmt.Sprintf("node %s (%s)", node, w.speakerMissing(node)))
	}
	text := strings.Join(causes, ", ")
	if rest := all - len(first); rest > 0 {
		text += fmt.Sprintf(" and %d more", rest)
	}
	return reason.New(reason.NoSpeakerOnNode, "%s no node with a live speaker, only %s", where, text)
}

// speakerMissing says why a node has no live speaker, as far as this one knows.
func (w World) speakerMissing(node string) string {
	n, exists := w.Nodes[node]
	if !exists {
		return "it is not in the cluster"
	}
	if why := w.Placement.excludes(node, n.Labels, n.Taints); why != "" {
		return why
	}
	return "its speaker is not running or is not reachable from other speakers"
}

// endpointsWithoutSpeaker returns the problem that a Service with externalTrafficPolicy Local has endpoints on selected nodes, none of which
// has a live speaker; nil for any other Service.
func (w World) endpointsWithoutSpeaker(s Service, selected func(node string) bool) *reason.Problem {
	if !s.Local {
		return nil
	}
	nodes := maps.Clone(s.ServingNodes)
	maps.DeleteFunc(nodes, func(node string, _ bool) bool { return !selected(node) })
	return speakerless(w, "the Service has externalTrafficPolicy Local and endpoints on", nodes)
}
