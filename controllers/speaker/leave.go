// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// How long a speaker that ends waits: for the answer whether it is to come back, and for its announcers to take leave. Both are well
// within the grace period of its pod.
const (
	removedTime = 500 * time.Millisecond
	leaveTime   = 5 * time.Second
)

// departure says why this node is to serve nobody any more; empty when it is.
func (w World) departure() reason.Reason {
	n, there := w.Nodes[w.Self]
	switch {
	case !there:
		return reason.NodeRemoved
	case w.draining():
		return reason.NodeDraining
	case n.ShuttingDown:
		return reason.NodeShuttingDown
	}
	return ""
}

// Departing says why this node will not serve again soon if its speaker ends now, as far as it has seen; empty when nothing says so.
func (s *Speaker) Departing() reason.Reason {
	if why := s.departing.Load(); why != nil {
		return *why
	}
	return ""
}

// Leave lets the announcers take leave of the network and returns when they have done so, after 5 s at the latest. Run is to end then.
func (s *Speaker) Leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	var group sync.WaitGroup
	for _, m := range s.modules {
		if l, ok := m.Announcer.(announcers.Leaver); ok {
			group.Go(func() { l.Leave(ctx) })
		}
	}
	group.Wait()
}

// Installation is where the speakers come from.
type Installation struct {
	// Reader asks the API server itself.
	Reader client.Reader
	// Namespace and DaemonSet name the speakers' workload; without DaemonSet nothing is known of it.
	Namespace, DaemonSet string
}

// Removed says whether the speakers' DaemonSet is gone or going. A speaker that may not ask any more is removed as well: its account or its
// rights went first. When the API server does not answer within half a second, it is not: a speaker that is not known to go for good comes
// back.
func (i Installation) Removed(ctx context.Context) bool {
	if i.DaemonSet == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, removedTime)
	defer cancel()
	var workload appsv1.DaemonSet
	err := i.Reader.Get(ctx, types.NamespacedName{Namespace: i.Namespace, Name: i.DaemonSet}, &workload)
	gone := apierrors.IsNotFound(err) || apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err)
	return gone || err == nil && workload.DeletionTimestamp != nil
}
