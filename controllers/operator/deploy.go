// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
)

// deploy ensures one workload and says how it fares.
func (r *Reconciler) deploy(ctx context.Context, desired client.Object, seen *observation) (health, error) {
	if d, ok := desired.(*appsv1.Deployment); ok {
		live := &appsv1.Deployment{}
		if err := r.ensure(ctx, d, live, seen.uncreatable); err != nil {
			return notApplied(err), err
		}
		return deploymentHealth(live), seen.look(live)
	}
	speakers, ok := desired.(*appsv1.DaemonSet)
	if !ok {
		return health{}, fmt.Errorf("kind %T is not supported", desired)
	}
	return r.deploySpeaker(ctx, speakers, seen)
}

// deploySpeaker creates the speakers only once the Secret that they mount exists: a kubelet that finds it missing tries again ever more
// slowly, for up to two minutes. Speakers that exist are kept up to date in any case.
func (r *Reconciler) deploySpeaker(ctx context.Context, desired *appsv1.DaemonSet, seen *observation) (health, error) {
	nodes, err := r.nodes(ctx)
	if err != nil {
		return notApplied(err), err
	}
	down := findDown(nodes, desired.Spec.Template.Spec)
	before, live := &appsv1.DaemonSet{}, &appsv1.DaemonSet{}
	err = r.Client.Get(ctx, client.ObjectKeyFromObject(desired), before)
	switch {
	case apierrors.IsNotFound(err) && seen.keyMissing != nil:
		return health{problem: seen.keyMissing}, nil
	case client.IgnoreNotFound(err) != nil:
		err = fmt.Errorf("reading %s: %w", desired.Name, err)
		return notApplied(err), err
	}
	lost, _ := down.lost(before.Status)
	allowUnavailable(desired, lost)
	if err := r.ensure(ctx, desired, live, seen.uncreatable); err != nil {
		return notApplied(err), err
	}
	_, names := down.lost(live.Status)
	h := blameNodes(daemonSetHealth(live), names)
	if seen.keyMissing != nil && !h.complete {
		h.problem = seen.keyMissing
	}
	switch {
	case lacksPods(live):
		seen.incomplete = true
		h = r.explain(ctx, live, h)
	case h.problem != nil && h.problem.Reason == reason.NoNodesForSpeakers:
		seen.incomplete = true
		h = withoutNodes(live, nodes, down, h)
	}
	return h, seen.look(live)
}

// look notes what others have set in a workload.
func (o *observation) look(live client.Object) error {
	found, err := foreignFields(kindOf(live), live)
	o.foreign = append(o.foreign, found...)
	return err
}

// explain replaces the health of a DaemonSet that lacks pods by the refusal that its events tell of, if there is one and no pod has been
// created since: events outlive what they tell by an hour.
func (r *Reconciler) explain(ctx context.Context, ds *appsv1.DaemonSet, h health) health {
	refused := r.newestEvent(ctx, ds, "FailedCreate")
	if refused == nil {
		return h
	}
	if created := r.newestEvent(ctx, ds, "SuccessfulCreate"); created != nil && !created.LastTimestamp.Before(&refused.LastTimestamp) {
		return h
	}
	h.stuck, h.problem = true, reason.New(reason.PodsRefused, "%s: %s", ds.Name, refused.Message)
	return h
}

// newestEvent returns the last event about a DaemonSet with this reason; nil when there is none or none can be read.
func (r *Reconciler) newestEvent(ctx context.Context, ds *appsv1.DaemonSet, why string) *corev1.Event {
	var events corev1.EventList
	err := r.Live.List(ctx, &events, client.InNamespace(ds.Namespace),
		client.MatchingFields{"involvedObject.uid": string(ds.UID), "reason": why})
	if err != nil || len(events.Items) == 0 {
		return nil
	}
	newest := &events.Items[0]
	for i := range events.Items {
		if newest.LastTimestamp.Before(&events.Items[i].LastTimestamp) {
			newest = &events.Items[i]
		}
	}
	return newest
}

func notApplied(err error) health {
	p := applyProblem(err)
	return health{problem: &p}
}

// keyProblem says why the speakers have no Secret to mount. A namespace that is being deleted is the cause of everything else.
func keyProblem(err error) *reason.Problem {
	if p := applyProblem(err); p.Reason != reason.ApplyFailed {
		return &p
	}
	return reason.New(reason.GossipKeyMissing, "%v", err)
}

func applyProblem(err error) reason.Problem {
	if p := (*reason.Problem)(nil); errors.As(err, &p) {
		return *p
	}
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return reason.Problem{Reason: reason.NamespaceTerminating}
	}
	return reason.Problem{Reason: reason.ApplyFailed, Detail: err.Error()}
}
