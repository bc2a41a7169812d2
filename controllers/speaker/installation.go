// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"slices"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
)

// Installation is where the speakers come from.
type Installation struct {
	// Reader asks the API server itself.
	Reader client.Reader
	// Namespace and DaemonSet name the speakers' workload, DaemonSet its container as well; without DaemonSet nothing is known of it.
	Namespace, DaemonSet string
	// Node is the name of this node.
	Node string
	// Announcers returns the names of those that a speaker with these arguments runs.
	Announcers func(args []string) ([]string, error)
	Log        logr.Logger
}

// Removed returns why an announcer does not come back to this node once its speaker has ended; empty when it does. Nothing comes back when
// the speakers' DaemonSet is gone or going, or wants no pod on this node any more; some announcers may not, because the next speaker does not
// run them. A speaker that may not ask any more is removed as well: its account or its rights went first. What the API server does not tell
// within two seconds is no reason: a speaker that is not known to go for good comes back.
func (i Installation) Removed(ctx context.Context) func(announcer string) reason.Reason {
	all := func(why reason.Reason) func(string) reason.Reason { return func(string) reason.Reason { return why } }
	if i.DaemonSet == "" {
		return all("")
	}
	ctx, cancel := context.WithTimeout(ctx, removedTime)
	defer cancel()
	var workload appsv1.DaemonSet
	err := i.Reader.Get(ctx, types.NamespacedName{Namespace: i.Namespace, Name: i.DaemonSet}, &workload)
	pod := workload.Spec.Template.Spec
	container := slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == i.DaemonSet })
	switch {
	case apierrors.IsNotFound(err), apierrors.IsUnauthorized(err), apierrors.IsForbidden(err), err == nil && workload.DeletionTimestamp != nil:
		return all(reason.SpeakersRemoved)
	case err != nil:
		i.Log.Error(err, "Reading the DaemonSet of the speakers failed, this termination counts as a restart")
		return all("")
	case container < 0:
		return all("")
	case !i.wanted(ctx, pod):
		return all(reason.NodeNotSelected)
	}
	next, err := i.Announcers(pod.Containers[container].Args)
	if err != nil {
		return all("")
	}
	return func(announcer string) reason.Reason {
		if slices.Contains(next, announcer) {
			return ""
		}
		return reason.AnnouncerRemoved
	}
}

// wanted says whether a DaemonSet would make a pod on this node, by the labels and the taints of the node.
func (i Installation) wanted(ctx context.Context, pod corev1.PodSpec) bool {
	var node corev1.Node
	if err := i.Reader.Get(ctx, types.NamespacedName{Name: i.Node}, &node); err != nil {
		return true
	}
	return placementOf(pod).excludes(node.Name, node.Labels, node.Spec.Taints) == ""
}
