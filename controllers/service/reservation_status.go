// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/kube"
)

func (w *writers) reservation(name string, report reservationReport) {
	if w.board.postReservation(name, report) {
		w.reservations.Enqueue(name)
	}
}

// writeReservation brings the status of a reservation to what the board says.
func (w *writers) writeReservation(ctx context.Context, name string) error {
	report, ok := w.board.reservation(name)
	if !ok {
		return nil
	}
	var before v1beta1.IPReservation
	err := w.client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: name}, &before)
	if apierrors.IsNotFound(err) {
		w.board.dropReservation(name)
		return nil
	}
	if err != nil {
		return err
	}
	if before.UID != report.uid {
		return nil // another one has the name by now; the Reconciler judges it
	}
	after := before.DeepCopy()
	judged := report.fill(&after.Status)
	if equality.Semantic.DeepEqual(before.Status, after.Status) {
		return nil
	}
	if err := w.patch(ctx, &before, after); err != nil {
		return client.IgnoreNotFound(err)
	}
	if p := report.problem; judged && report.faulty {
		w.events.Eventf(after, nil, corev1.EventTypeWarning, string(p.Reason), "Validate", "%s", kube.Note(p.Message()))
	}
	return nil
}

// fill brings the status to what the report says; it reports whether the condition changes.
func (r reservationReport) fill(status *v1beta1.IPReservationStatus) bool {
	r.known.fill(status)
	active, why, message := metav1.ConditionTrue, reason.ReservationActive, ""
	if r.problem != nil {
		why, message = r.problem.Reason, r.problem.Message()
	}
	if r.ended {
		active = metav1.ConditionFalse
	}
	return kube.SetCondition(&status.Conditions, v1beta1.ConditionActive, active, why, message, r.generation)
}
