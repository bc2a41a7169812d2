// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"metalsuite.io/api/v1beta1"
)

// CacheOptions is what the manager's cache may hold: MetalLB resources of all namespaces, from the operator's own namespace its workloads
// and the one Secret, and from all others the identities of objects that do nothing there. The operator's roles allow no more.
func CacheOptions(namespace string) cache.Options {
	own := map[string]cache.Config{namespace: {}}
	by := map[client.Object]cache.ByObject{
		&appsv1.Deployment{}: {Namespaces: own},
		&appsv1.DaemonSet{}:  {Namespaces: own},
		&corev1.Node{}:       {Transform: schedulingOnly},
		&corev1.Secret{}:     {Namespaces: own, Field: fields.OneTermEqualSelector("metadata.name", GossipSecret)},
	}
	for _, kind := range strayKinds() {
		by[metadataOf(kind)] = cache.ByObject{Field: fields.OneTermNotEqualSelector("metadata.namespace", namespace), Transform: identityOnly}
	}
	return cache.Options{ByObject: by}
}

// SetupWithManager registers the reconciler: it runs when a resource or one of its workloads changes in any way, when the Secret of
// the speakers comes or goes, and when nodes become ready, cease to be, or change their labels or taints. Of the Secret only the metadata is
// read. Changes of a resource's status count as well: what was decided while the cache was behind is decided again once the status arrives.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	controlled := ctrl.NewControllerManagedBy(mgr).
		Named("metallb").
		For(&v1beta1.MetalLB{}).
		Owns(&appsv1.Deployment{}).
		Owns(&appsv1.DaemonSet{}).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(r.served), builder.WithPredicates(nodeChanges())).
		WithOptions(controller.Options{RateLimiter: retries()}).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.served))
	if r.Strays != nil {
		if err := mgr.Add(r.Strays); err != nil {
			return fmt.Errorf("registering the check for stray objects: %w", err)
		}
		controlled = controlled.WatchesRawSource(source.Channel(r.Strays.changes, handler.EnqueueRequestsFromMapFunc(r.served)))
	}
	return controlled.Complete(r)
}

// Back-off after an error: from 100 ms, doubled each time, up to 30 s. What was in the way may be gone by then, and nothing says so.
const (
	firstRetry   = 100 * time.Millisecond
	slowestRetry = 30 * time.Second
)

func retries() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, slowestRetry)
}

// served is the one resource that is served, whatever the event.
func (r *Reconciler) served(context.Context, client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: r.Options.Namespace, Name: ResourceName}}}
}
