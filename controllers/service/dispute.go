// SPDX-License-Identifier: Apache-2.0

package service

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
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
// Services that have to give way, on which the caller has to decide again.
func (r *Reconciler) arbitrate(key allocation.Key) []allocation.Key {
	rec := r.records[key]
	if !rec.speaks || !r.loaded.Load() {
		return nil
	}
	var younger []allocation.Key
	foreign := false
	for _, a := range rec.service.Current {
		if slices.Contains(rec.issued, a) {
			continue
		}
		foreign = true
		for _, other := range r.allocator.Holders(a) {
			if other == key || allocation.MayShare(tenantOf(rec.service), tenantOf(r.records[other].service), a) == nil {
				continue
			}
			if r.records[other].seniority().Compare(rec.seniority()) < 0 {
				return nil
			}
			younger = append(younger, other)
		}
	}
	if !foreign {
		return nil
	}
	r.log.Info("Another controller has written addresses, the older Service keeps them", "service", key.String(), "address", rec.service.Current, "younger", younger)
	for _, other := range younger {
		r.allocator.Release(other)
	}
	r.allocator.Release(key)
	r.allocator.Adopt(rec.service)
	return younger
}

func tenantOf(s allocation.Service) allocation.Tenant {
	return allocation.Tenant{Key: s.Key, SharingKey: s.SharingKey, BackendKey: s.BackendKey, Ports: s.Ports}
}
