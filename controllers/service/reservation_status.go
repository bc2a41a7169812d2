// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/kube"
)

func (w *writers) reservation(name string, report reservationReport) {
	w.board.postReservation(name, report)
	w.reservations.Enqueue(name)
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
	after := before.DeepCopy()
	report.fill(&after.Status)
	if equality.Semantic.DeepEqual(before.Status, after.Status) {
		return nil
	}
	err = w.patch(ctx, &before, after)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (r reservationReport) fill(status *v1beta1.IPReservationStatus) {
	status.Addresses, status.UnusedSince = r.addresses, nil
	if !r.unusedSince.IsZero() {
		status.UnusedSince = &metav1.Time{Time: r.unusedSince}
	}
	kube.SetProblem(&status.Conditions, v1beta1.ConditionActive, r.problem, reason.ReservationActive, r.generation)
}
