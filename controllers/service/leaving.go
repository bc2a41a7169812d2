// SPDX-License-Identifier: Apache-2.0

package service

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/kube"
)

// replace forgets the Service that had the name of this one before it, if there is a record of one: a Service that was deleted and created
// again starts afresh. It reports whether one that waits may profit.
func (r *Reconciler) replace(s *corev1.Service) (frees bool) {
	key := keyOf(s)
	if rec, known := r.records[key]; !known || rec.uid == s.UID {
		return false
	}
	return r.forget(key)
}

// leave releases a Service that is not served, or not any more: its type or class is another one, or it is being deleted. The marks and the
// addresses that this installation wrote are taken back, as its name on the Service shows.
func (r *Reconciler) leave(s *corev1.Service) (frees bool) {
	key := keyOf(s)
	rec, known := r.records[key]
	written := lately(rec.issued, rec.decision.Addresses)
	if !known {
		var marked bool
		if written, marked = r.leftovers(s); !marked {
			return r.occupy(s, nil)
		}
	}
	frees = r.release(key)
	r.occupy(s, written)
	r.out.service(key, desired{leaves: true, uid: s.UID, decision: allocation.Decision{Service: key, Addresses: written}})
	return frees
}

// leftovers returns the addresses that an earlier process of this installation wrote into the status of a Service that is not served, and
// whether there is anything to take back. A Service that names another installation is that one's. Of a Service that names none, MetalLB's for
// example, nothing is taken back while it is of another class: another controller may serve it.
func (r *Reconciler) leftovers(s *corev1.Service) (written []netip.Addr, marked bool) {
	by, recorded := s.Annotations[v1beta1.AnnotationControllerNamespace]
	pool, annotated := kube.AllocatedFrom(s)
	has := addressesOf(s)
	ofPool := annotated && r.allocator.Contains(pool, has)
	switch {
	case !isMarked(s) || recorded && by != r.namespace:
		return nil, false
	case s.Spec.Type != corev1.ServiceTypeLoadBalancer:
		return nil, true
	case recorded && writtenByOthers(s) && !(kube.OfClass(s, r.class) && ofPool):
		return nil, true // the marks only
	case recorded:
		return has, true
	case !kube.OfClass(s, r.class):
		return nil, false
	case annotated && len(has) > 0:
		return has, ofPool
	case len(s.Status.LoadBalancer.Ingress) == 0:
		return nil, isRefused(s)
	}
	return nil, false
}

func writtenByOthers(s *corev1.Service) bool {
	return slices.ContainsFunc(ingressWriter(s), func(e metav1.ManagedFieldsEntry) bool { return !slices.Contains(ownManagers, e.Manager) })
}

func isRefused(s *corev1.Service) bool {
	return meta.IsStatusConditionFalse(s.Status.Conditions, v1beta1.ConditionAddressAllocated)
}

// occupy keeps the addresses of a Service that is not served from being granted while they are in its status. Those that are taken back may
// be granted: the writers see to it that no status names them twice.
func (r *Reconciler) occupy(s *corev1.Service, takenBack []netip.Addr) (frees bool) {
	return r.allocator.Occupy(keyOf(s), without(borneAbroad(s), takenBack), whyNotServed(s))
}

// whyNotServed completes the sentence about a Service that is not served.
func whyNotServed(s *corev1.Service) string {
	if s.DeletionTimestamp == nil {
		return "this controller does not serve"
	}
	if len(s.Finalizers) == 0 {
		return "is being deleted"
	}
	return "is being deleted; finalizers: " + strings.Join(s.Finalizers, ", ")
}

// forget releases a Service that does not exist any more.
func (r *Reconciler) forget(key allocation.Key) (frees bool) {
	r.out.gone(key)
	return r.release(key)
}

func (r *Reconciler) release(key allocation.Key) (frees bool) {
	delete(r.records, key)
	delete(r.waiting, key)
	frees = r.allocator.Release(key)
	r.track(key)
	r.refresh()
	return frees
}
