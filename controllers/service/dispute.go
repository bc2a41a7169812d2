// SPDX-License-Identifier: Apache-2.0

package service

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/kube"
)

// speaksOf reports whether the condition of a Service says that it has the addresses that its status names.
func speaksOf(s *corev1.Service, seen allocation.Service) bool {
	c := meta.FindStatusCondition(s.Status.Conditions, v1beta1.ConditionAddressAllocated)
	if c == nil || c.Status != metav1.ConditionTrue || len(seen.Current) == 0 {
		return false
	}
	rest, ok := strings.CutPrefix(strings.TrimPrefix(c.Message, keeps), join(seen.Current))
	return ok && strings.HasPrefix(rest, ofPool)
}

// arbitrate looks whether another leader, whose lease ran out while it was stopped, wrote an address into the status of this Service that
// we gave to others. Of them and the Service the one keeps it whose condition is older, as the speakers already go by. It returns the
// Services that have to give way, on which the caller has to decide again, and whether one that waits may profit.
func (r *Reconciler) arbitrate(key allocation.Key) (younger []allocation.Key, frees bool) {
	rec := r.records[key]
	if !rec.speaks || !r.loaded.Load() || !r.allocator.Fits(rec.service) {
		return nil, false
	}
	younger, ok := r.outranked(rec)
	if !ok {
		return nil, false
	}
	r.log.Info("Another controller wrote addresses, the older Service keeps them", "service", key.String(), "address", rec.service.Current, "younger", younger)
	for _, other := range younger {
		frees = r.allocator.Release(other) || frees
	}
	frees = r.allocator.Release(key) || frees
	r.allocator.Adopt(rec.service)
	r.track(key)
	r.refresh()
	return younger, frees
}

// outranked returns the Services that hold addresses which the status of this one names, although we did not give it these; false when
// there is no such address, or when one of its holders may keep it.
func (r *Reconciler) outranked(rec record) (younger []allocation.Key, ok bool) {
	for _, a := range rec.service.Current {
		if slices.Contains(rec.issued, a) {
			continue
		}
		ok = true
		for _, other := range r.allocator.Holders(a) {
			holder := r.records[other]
			if other == rec.service.Key || allocation.MayShare(tenantOf(rec.service), tenantOf(holder.service), a) == nil {
				continue
			}
			if holder.standing().Compare(rec.standing()) < 0 {
				return nil, false
			}
			younger = append(younger, other)
		}
	}
	return younger, ok
}

// standing is the seniority of what a Service's status says: a Service that has waited has no standing by that.
func (r record) standing() kube.Seniority {
	s := r.seniority()
	if !r.speaks {
		s.Since = time.Time{}
	}
	return s
}

func tenantOf(s allocation.Service) allocation.Tenant {
	return allocation.Tenant{Key: s.Key, SharingKey: s.SharingKey, BackendKey: s.BackendKey, Ports: s.Ports}
}
