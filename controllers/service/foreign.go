// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/kube"
)

// fieldManager is the name under which the API server notes what we write (Kubernetes: metadata.managedFields).
const fieldManager = "metallb-controller"

// ownManagers are the names of our writes, now and before we gave one: a client that gives none is noted under the name of its program.
var ownManagers = []string{fieldManager, "metalsuite"}

// ingressField is how the fields of a manager that wrote status.loadBalancer.ingress read. The list is atomic (Kubernetes:
// LoadBalancerStatus.ingress), so who changed it last is the only one whose fields have it.
var ingressField = []byte(`"f:loadBalancer":{"f:ingress":`)

// keepIngressWriter is a transform of the cache. Of a Service's managed fields, which are larger than the rest of it, it keeps the name of
// who wrote the ingress, and when.
func keepIngressWriter(in any) (any, error) {
	s, ok := in.(*corev1.Service)
	if !ok {
		return cache.TransformStripManagedFields()(in)
	}
	// What has been through here before is in the cache, where others read it: it must not be written again.
	if n := len(s.ManagedFields); n > 1 || n == 1 && s.ManagedFields[0].FieldsV1 != nil {
		s.ManagedFields = ingressWriter(s)
	}
	return s, nil
}

// ingressWriter returns the entry of who wrote the ingress, without its fields; nothing if nobody did, or if somebody removed the last
// element, which leaves no trace.
func ingressWriter(s *corev1.Service) []metav1.ManagedFieldsEntry {
	for _, e := range s.ManagedFields {
		if e.FieldsV1 != nil && !bytes.Contains(e.FieldsV1.GetRawBytes(), ingressField) {
			continue
		}
		name := e.Manager
		if i := slices.Index(ownManagers, name); i >= 0 {
			name = ownManagers[i] // one string for all Services
		}
		return []metav1.ManagedFieldsEntry{{Manager: name, Time: e.Time}}
	}
	return nil
}

// meet says how to meet a Service that is about to be written.
func (w *writers) meet(before *corev1.Service, now desired) stance {
	if now.leaves {
		w.rivals.forget(keyOf(before))
		return stance{}
	}
	s := sight{
		uid: before.UID, version: before.ResourceVersion,
		have: before.Status.LoadBalancer.Ingress, want: now.decision.Addresses,
	}
	_, s.marked = before.Annotations[v1beta1.AnnotationAllocatedFromPool]
	for _, e := range ingressWriter(before) {
		s.by(e.Manager)
	}
	return w.rivals.look(keyOf(before), s, time.Now())
}

// yield leaves the ingress to the rival and says so. The Service keeps what it was given.
func (w *writers) yield(ctx context.Context, before *corev1.Service, now desired, s stance) error {
	after := now.apply(before)
	after.Status = before.DeepCopy().Status
	problem := now.contested(s.rival)
	was := meta.FindStatusCondition(before.Status.Conditions, v1beta1.ConditionAddressAllocated)
	kube.SetProblem(&after.Status.Conditions, v1beta1.ConditionAddressAllocated, problem, reason.Allocated, now.generation)
	now.tellConflict(&after.Status.Conditions)
	if equality.Semantic.DeepEqual(before, after) {
		return nil
	}
	if err := w.patch(ctx, before, after); err != nil {
		return client.IgnoreNotFound(err)
	}
	known := was != nil && was.Reason == string(problem.Reason)
	if w.rivals.news(keyOf(before)) && !known {
		w.events.Eventf(after, nil, corev1.EventTypeWarning, string(problem.Reason), "Allocate", "%s", kube.Note(problem.Message()))
	}
	return nil
}

// contested is the problem of a Service whose ingress is left to a rival.
func (d desired) contested(rival string) *reason.Problem {
	if rival == "" {
		rival = "an unknown manager"
	}
	if len(d.decision.Addresses) == 0 {
		_, _, why := d.verdict()
		return reason.New(reason.ForeignStatusWriter, "%s overwrites status.loadBalancer of this Service, to which no address is assigned: %s", rival, why)
	}
	return reason.New(reason.ForeignStatusWriter, "%s overwrites status.loadBalancer of this Service, for which %s stays reserved", rival, join(d.decision.Addresses))
}
