// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Indexes of the cache.
const (
	// indexSource finds target Services by the namespace/name of their source, in every namespace.
	indexSource = "endpointcopier/source"
	// indexTarget finds all target Services under the one value "true".
	indexTarget = "endpointcopier/target"
	// indexOwner finds slices by the name of the Service they belong to, by label or by owner reference.
	indexOwner = "endpointcopier/owner"
)

// Back-off after an error: from 100 ms, doubled each time, up to 30 s. Endpoints of an API server should not wait longer.
const (
	firstRetry   = 100 * time.Millisecond
	slowestRetry = 30 * time.Second
)

// SetupWithManager adds the indexes, the watches and the reconciler to the manager. A replica that does not lead fills its memory all
// the same, so that it can take over at once.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := r.addIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, slowestRetry)
	err := ctrl.NewControllerManagedBy(mgr).
		Named("endpoint-copier").
		For(&corev1.Service{}, builder.WithPredicates(r.isOrWasTarget())).
		Watches(&discoveryv1.EndpointSlice{}, handler.EnqueueRequestsFromMapFunc(r.targetsOfSlice)).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(r.allTargets), builder.WithPredicates(nodeMoved())).
		WithOptions(controller.Options{RateLimiter: limiter, MaxConcurrentReconciles: 2, EnableWarmup: ptr.To(true)}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("setting up the endpoint-copier: %w", err)
	}
	return nil
}

func (r *Reconciler) addIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	source := func(o client.Object) []string {
		if source, ok := r.Config.SourceOf(o.(*corev1.Service)); ok {
			return []string{source.String()}
		}
		return nil
	}
	target := func(o client.Object) []string {
		if r.isTarget(o) {
			return []string{"true"}
		}
		return nil
	}
	if err := indexer.IndexField(ctx, &corev1.Service{}, indexSource, source); err != nil {
		return fmt.Errorf("indexing Services by source: %w", err)
	}
	if err := indexer.IndexField(ctx, &corev1.Service{}, indexTarget, target); err != nil {
		return fmt.Errorf("indexing targets: %w", err)
	}
	if err := indexer.IndexField(ctx, &discoveryv1.EndpointSlice{}, indexOwner, owners); err != nil {
		return fmt.Errorf("indexing endpoint slices by Service: %w", err)
	}
	return nil
}

// owners finds a slice of ours again even when somebody has changed its label or its owner reference.
func owners(o client.Object) []string {
	var names []string
	if name := o.GetLabels()[discoveryv1.LabelServiceName]; name != "" {
		names = append(names, name)
	}
	for _, owner := range o.GetOwnerReferences() {
		if owner.Kind == "Service" && (len(names) == 0 || names[0] != owner.Name) {
			names = append(names, owner.Name)
		}
	}
	return names
}

func (r *Reconciler) isTarget(o client.Object) bool {
	_, ok := r.Config.SourceOf(o.(*corev1.Service))
	return ok
}

// isOrWasTarget lets a Service through that lost its annotation a moment ago. One that lost it while nobody watched is found through
// its slices.
func (r *Reconciler) isOrWasTarget() predicate.Predicate {
	is := predicate.NewPredicateFuncs(r.isTarget)
	is.UpdateFunc = func(e event.UpdateEvent) bool { return r.isTarget(e.ObjectOld) || r.isTarget(e.ObjectNew) }
	return is
}

// nodeMoved lets through what changes a node's place: kubelets write status far more often than addresses change.
func nodeMoved() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld.(*corev1.Node), e.ObjectNew.(*corev1.Node)
		return before.Labels[corev1.LabelTopologyZone] != after.Labels[corev1.LabelTopologyZone] ||
			!apiequality.Semantic.DeepEqual(before.Status.Addresses, after.Status.Addresses)
	}}
}

// targetsOfSlice maps a slice to the targets that copy it and, if it is one of ours, to the target it was written for, so that drift
// and leftovers are repaired.
func (r *Reconciler) targetsOfSlice(ctx context.Context, o client.Object) []reconcile.Request {
	if o.GetLabels()[discoveryv1.LabelManagedBy] == ManagedBy {
		var requests []reconcile.Request
		for _, name := range owners(o) {
			requests = append(requests, request(o.GetNamespace(), name))
		}
		return requests
	}
	name := o.GetLabels()[discoveryv1.LabelServiceName]
	if name == "" {
		return nil
	}
	source := types.NamespacedName{Namespace: o.GetNamespace(), Name: name}
	return r.targets(ctx, client.MatchingFields{indexSource: source.String()})
}

func (r *Reconciler) allTargets(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.targets(ctx, client.MatchingFields{indexTarget: "true"})
}

func (r *Reconciler) targets(ctx context.Context, where client.MatchingFields) []reconcile.Request {
	services := &corev1.ServiceList{}
	if err := r.Client.List(ctx, services, where); err != nil {
		// The list comes from memory; it fails only when the index is missing, which every spec would notice.
		ctrl.LoggerFrom(ctx).Error(err, "Listing targets failed")
		return nil
	}
	var requests []reconcile.Request
	for i := range services.Items {
		requests = append(requests, request(services.Items[i].Namespace, services.Items[i].Name))
	}
	return requests
}

func request(namespace, name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}
