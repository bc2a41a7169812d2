// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/kube"
)

const (
	serviceWriters = 8
	poolWriters    = 1
	// settling is how long the figures of a pool may change before they are written: a burst of grants is one write.
	settling = 200 * time.Millisecond
)

// EventRecorder is where users are told what happened to an object. It never blocks.
type EventRecorder interface {
	Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any)
}

// writers bring the board to the API server. They are the outlet of the Reconciler.
type writers struct {
	client client.Client
	events EventRecorder
	state  kube.StateWriter
	board  *board
	// metrics hear of what is decided and written.
	metrics *metrics
	rivals  *rivals
	flights *inFlight
	// owners are given to the ConfigurationState when it is created; nil gives it none.
	owners func(context.Context) ([]metav1.OwnerReference, error)

	namespace    string
	services     *kube.Writer[allocation.Key]
	reservations *kube.Writer[string]
	pools        *kube.Writer[string]
	states       *kube.Writer[string]
}

func newWriters(c client.Client, events EventRecorder, state kube.StateWriter, log logr.Logger) *writers {
	w := &writers{events: events, state: state, board: newBoard(), namespace: state.Namespace}
	w.rivals, w.flights = newRivals(usualTimes), newInFlight()
	w.metrics = newMetrics(w.board, w.rivals)
	w.client = w.metrics.Counting(c)
	w.state.Client = w.client
	w.services = kube.NewWriter("service-status", serviceWriters, log, w.writeService)
	w.pools = kube.NewWriter("pool-status", poolWriters, log, w.writePool)
	w.reservations = kube.NewWriter("reservation-status", 1, log, w.writeReservation)
	w.states = kube.NewWriter("configuration-state", 1, log, w.writeState)
	return w
}

func (w *writers) service(key allocation.Key, d desired) {
	w.metrics.posted(key, d, time.Now())
	w.board.postService(key, d)
	w.services.Enqueue(key)
}

func (w *writers) gone(key allocation.Key) {
	w.board.dropService(key, anyTurn)
	w.rivals.forget(key)
	w.flights.forget(key)
	w.metrics.gone(key)
}

func (w *writers) pool(name string, counts allocation.Counts) {
	w.board.postPool(name, counts)
	w.pools.EnqueueAfter(name, settling)
}

func (w *writers) policy(pools map[string]poolReport, s summary) {
	w.board.postPolicy(pools, s)
	w.metrics.Judged(len(s.problems))
	for name := range pools {
		w.pools.EnqueueAfter(name, settling)
	}
	w.states.Enqueue(stateName)
}

// writeService brings the status of a Service to what the board says. A conflict comes back as an error, and the next try starts from
// what the cache has heard since.
func (w *writers) writeService(ctx context.Context, key allocation.Key) error {
	d, ok := w.board.service(key)
	if !ok {
		return nil
	}
	var before corev1.Service
	err := w.client.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, &before)
	if apierrors.IsNotFound(err) {
		return nil // the Reconciler hears of it, or of its return, and takes it from the board
	}
	if err != nil {
		return fmt.Errorf("reading service %s: %w", key, err)
	}
	if before.UID != d.uid {
		w.board.dropService(key, d.turn) // another one has the name by now; the Reconciler decides on it
		return nil
	}
	w.flights.heard(key, before.ResourceVersion)
	now, held, err := w.handover(ctx, d, &before)
	if err != nil {
		return err
	}
	if held != nil {
		waited := time.Since(d.since)
		w.services.EnqueueAfter(key, nextLook(waited))
		if waited < patience && !losesAny(&before, now) {
			return nil
		}
	}
	err = w.bring(ctx, &before, d, now)
	if _, still := w.board.service(key); !still {
		w.rivals.forget(key)
	}
	return err
}

// bring writes, of what was decided, what may be written now. While a rival has the ingress, that is only why.
func (w *writers) bring(ctx context.Context, before *corev1.Service, d, now desired) error {
	key := keyOf(before)
	stance := w.meet(before, now)
	if stance.hold > 0 {
		w.services.EnqueueAfter(key, stance.hold)
		return w.yield(ctx, before, now, stance)
	}
	after := now.apply(before)
	if !equality.Semantic.DeepEqual(before, after) {
		added := w.flights.sent(key, without(addressesOf(after), addressesOf(before)), before.ResourceVersion)
		if err := w.patch(ctx, before, after); err != nil {
			if notMade(err) {
				w.flights.refused(key, added, before.ResourceVersion)
			}
			return client.IgnoreNotFound(err)
		}
		w.tell(before, after, d, now, stance)
	}
	switch {
	case d.leaves:
		w.board.dropService(key, d.turn)
	case len(now.decision.Addresses) > 0:
		w.metrics.served(key, len(before.Status.LoadBalancer.Ingress) == 0, time.Now())
	}
	return nil
}

// tell takes note of a write of a Service, and reports what came of it. What is only written once more against a rival is not news.
func (w *writers) tell(before, after *corev1.Service, d, now desired, s stance) {
	if !d.leaves && !sameIngress(before.Status.LoadBalancer.Ingress, after.Status.LoadBalancer.Ingress) {
		w.rivals.wrote(keyOf(before), now.decision.Addresses, before.ResourceVersion, time.Now())
	}
	for _, e := range d.events(before, after, now.decision.Problem) {
		if e.kind == corev1.EventTypeWarning || !s.contested {
			w.events.Eventf(after, nil, e.kind, e.reason, "Allocate", "%s", kube.Note(e.message))
		}
	}
}

// notMade reports whether a write that failed was certainly not made: it was not sent, or the API server refused it. A conflict says only
// that somebody wrote since, which may have been an earlier try of ours; what timed out or came too often says nothing.
func notMade(err error) bool {
	if errors.Is(err, kube.ErrNotSent) {
		return true
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	switch code := status.Status().Code; code {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return false
	default:
		return code >= 400 && code < 500
	}
}

// patch writes the difference through the status subresource, which carries annotations too (Kubernetes: service status strategy). The
// resource version goes along, so nothing that somebody else wrote meanwhile is overwritten.
func (w *writers) patch(ctx context.Context, before, after client.Object) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := w.client.Status().Patch(ctx, after.DeepCopyObject().(client.Object), patch, client.FieldOwner(fieldManager)); err != nil {
		return fmt.Errorf("writing status of %s: %w", client.ObjectKeyFromObject(before), err)
	}
	return nil
}

// writePool brings the status of a pool to what the board says, and tells on the pool when it is not valid or has less than it says.
func (w *writers) writePool(ctx context.Context, name string) error {
	report, ok := w.board.pool(name)
	if !ok {
		return nil
	}
	var before v1beta1.IPAddressPool
	if err := w.client.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: name}, &before); err != nil {
		return client.IgnoreNotFound(err)
	}
	if before.UID != report.uid {
		return nil // another one has the name by now; the Reconciler judges it
	}
	after := before.DeepCopy()
	after.Status.AssignedIPv4, after.Status.AvailableIPv4 = report.counts.AssignedIPv4, report.counts.AvailableIPv4
	after.Status.AssignedIPv6, after.Status.AvailableIPv6 = report.counts.AssignedIPv6, report.counts.AvailableIPv6
	after.Status.ReservedIPv4, after.Status.ReservedIPv6 = report.counts.ReservedIPv4, report.counts.ReservedIPv6
	status, why, told := report.verdict()
	message := ""
	if told != nil {
		message = told.Message()
	}
	judged := kube.SetCondition(&after.Status.Conditions, v1beta1.ConditionValid, status, why, message, report.generation)
	if equality.Semantic.DeepEqual(before.Status, after.Status) {
		return nil
	}
	if err := w.patch(ctx, &before, after); err != nil {
		return client.IgnoreNotFound(err)
	}
	if told != nil && judged {
		w.events.Eventf(after, nil, corev1.EventTypeWarning, string(why), "Validate", "%s", kube.Note(message))
	}
	return nil
}

func (w *writers) writeState(ctx context.Context, _ string) error {
	said, judged := w.board.configuration()
	if !judged {
		return nil
	}
	state := w.state
	if w.owners != nil {
		owners, err := w.owners(ctx)
		if err != nil {
			return err
		}
		state.Owner = owners
	}
	return state.Write(ctx, said.problems, said.warnings, nil)
}
