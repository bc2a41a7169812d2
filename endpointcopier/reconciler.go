// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/kube"
)

// Reconciler keeps the slices of each target Service equal to those of its source. Its requests name target Services.
type Reconciler struct {
	// Client reads from a cache that has the indexes of SetupWithManager.
	Client client.Client
	// Config says which Services are targets.
	Config Config
	// Events tells users on the target Service what became of it.
	Events recorder.EventRecorder
	// Metrics count what was done.
	Metrics *Metrics

	outcomes outcomes
}

// Reconcile observes one Service, decides and writes. An error means that something could not be read or written; the caller tries
// again with back-off.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	err := r.reconcile(ctx, request.NamespacedName)
	if err != nil {
		r.Metrics.failed(request.NamespacedName)
	}
	return ctrl.Result{}, err
}

func (r *Reconciler) reconcile(ctx context.Context, key types.NamespacedName) error {
	service := &corev1.Service{}
	err := r.Client.Get(ctx, key, service)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the target: %w", err)
	}
	existing, listErr := r.slices(ctx, client.InNamespace(key.Namespace), client.MatchingFields{indexOwner: key.Name})
	if listErr != nil {
		return listErr
	}
	source, isTarget := r.Config.SourceOf(service)
	if err != nil || !isTarget {
		return r.dismiss(ctx, key, existing)
	}
	if problem := r.Config.Refusal(service, source); problem != nil {
		r.Metrics.observed(key, 0, 0, true)
		r.tell(ctx, service, warning(problem))
		return r.carryOut(ctx, key, Clear(existing))
	}
	return r.mirror(ctx, service, source, existing)
}

// dismiss removes what was written for a Service that is gone or is no target any more.
func (r *Reconciler) dismiss(ctx context.Context, key types.NamespacedName, existing []discoveryv1.EndpointSlice) error {
	if err := r.carryOut(ctx, key, Clear(existing)); err != nil {
		return err
	}
	r.outcomes.forget(key)
	r.Metrics.forget(key)
	return nil
}

func (r *Reconciler) mirror(
	ctx context.Context, service *corev1.Service, source types.NamespacedName, existing []discoveryv1.EndpointSlice,
) error {
	key := client.ObjectKeyFromObject(service)
	sources, err := r.slices(ctx, client.InNamespace(source.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: source.Name})
	if err != nil {
		return err
	}
	nodes := &corev1.NodeList{}
	if err := r.Client.List(ctx, nodes); err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	plan := Mirror(Observed{Target: service, Sources: sources, Existing: existing, Nodes: IndexNodes(nodes.Items)})
	if err := r.carryOut(ctx, key, plan); err != nil {
		if problem := r.taken(ctx, plan.Create); problem != nil {
			r.tell(ctx, service, warning(problem))
		}
		return err
	}
	r.Metrics.observed(key, count(sources), plan.Endpoints, false)
	r.tell(ctx, service, result(source, len(sources), plan))
	return nil
}

// taken says which slice could not be created because another manager has one of that name; nil means that none is known.
func (r *Reconciler) taken(ctx context.Context, wanted []discoveryv1.EndpointSlice) *reason.Problem {
	for i := range wanted {
		there := &discoveryv1.EndpointSlice{}
		key := client.ObjectKeyFromObject(&wanted[i])
		if err := r.Client.Get(ctx, key, there); err == nil && there.Labels[discoveryv1.LabelManagedBy] != ManagedBy {
			return reason.New(reason.SliceNameTaken, "the EndpointSlice %s belongs to another manager", key)
		}
	}
	return nil
}

func count(slices []discoveryv1.EndpointSlice) int {
	n := 0
	for i := range slices {
		n += len(slices[i].Endpoints)
	}
	return n
}

func result(source types.NamespacedName, slices int, plan Plan) outcome {
	if slices == 0 {
		return warning(reason.New(reason.EndpointSourceMissing, "the source Service %s has no EndpointSlices, so the target has no endpoints", source))
	}
	if len(plan.Unserved) > 0 {
		return warning(reason.New(reason.EndpointFamilyMissing, "the source Service %s has no endpoints of %s, which the target serves",
			source, families(plan.Unserved)))
	}
	return normal(reason.New(reason.EndpointsCopied, "%d endpoints of %s are copied into the target", plan.Endpoints, source))
}

func families(all []corev1.IPFamily) string {
	names := make([]string, len(all))
	for i, family := range all {
		names[i] = string(family)
	}
	return strings.Join(names, " and ")
}

func (r *Reconciler) slices(ctx context.Context, options ...client.ListOption) ([]discoveryv1.EndpointSlice, error) {
	list := &discoveryv1.EndpointSliceList{}
	if err := r.Client.List(ctx, list, options...); err != nil {
		return nil, fmt.Errorf("listing endpoint slices: %w", err)
	}
	return list.Items, nil
}

// carryOut writes a plan: what the target gains first, what it loses last, so that it never has fewer endpoints than before and after.
func (r *Reconciler) carryOut(ctx context.Context, key types.NamespacedName, plan Plan) error {
	if plan.Empty() {
		return nil
	}
	var errs []error
	for i := range plan.Create {
		errs = append(errs, r.write(key, "create", &plan.Create[i], r.Client.Create(ctx, &plan.Create[i])))
	}
	for i := range plan.Update {
		errs = append(errs, r.write(key, "update", &plan.Update[i], r.Client.Update(ctx, &plan.Update[i])))
	}
	for i := range plan.Delete {
		errs = append(errs, r.write(key, "delete", &plan.Delete[i], r.remove(ctx, &plan.Delete[i])))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	log.FromContext(ctx).Info("Endpoints copied", "service", key.String(),
		"created", len(plan.Create), "updated", len(plan.Update), "deleted", len(plan.Delete), "endpoints", plan.Endpoints)
	return nil
}

// remove deletes exactly the version that was judged: a slice that somebody else has taken over in the meantime stays.
func (r *Reconciler) remove(ctx context.Context, slice *discoveryv1.EndpointSlice) error {
	return client.IgnoreNotFound(r.Client.Delete(ctx, slice,
		client.Preconditions{UID: &slice.UID, ResourceVersion: &slice.ResourceVersion}))
}

func (r *Reconciler) write(key types.NamespacedName, operation string, slice *discoveryv1.EndpointSlice, err error) error {
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating endpoint slice %s/%s, which the copier has not seen yet or does not manage: %w", slice.Namespace, slice.Name, err)
	}
	if err != nil {
		return fmt.Errorf("writing endpoint slice %s/%s (%s): %w", slice.Namespace, slice.Name, operation, err)
	}
	r.Metrics.wrote(key, operation)
	return nil
}

func (r *Reconciler) tell(ctx context.Context, service *corev1.Service, next outcome) {
	key := client.ObjectKeyFromObject(service)
	if !r.outcomes.change(key, service.UID, next) {
		return
	}
	log.FromContext(ctx).Info("State of the target Service changed", "service", key.String(), "reason", next.reason, "message", next.message)
	r.Events.Eventf(service, nil, next.kind, string(next.reason), "CopyEndpoints", "%s", kube.Note(next.message))
}
