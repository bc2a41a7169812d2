// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
)

// deploy ensures one workload and says how it fares.
func (r *Reconciler) deploy(ctx context.Context, desired client.Object, seen *observation) (health, error) {
	if d, ok := desired.(*appsv1.Deployment); ok {
		live := &appsv1.Deployment{}
		if err := r.ensure(ctx, d, live); err != nil {
			return notApplied(err), err
		}
		return deploymentHealth(live), nil
	}
	return r.deploySpeaker(ctx, desired, seen)
}

// deploySpeaker creates the speakers only once the Secret that they mount exists: a kubelet that finds it missing tries again ever more
// slowly, for up to two minutes. Speakers that exist are kept up to date in any case.
func (r *Reconciler) deploySpeaker(ctx context.Context, desired client.Object, seen *observation) (health, error) {
	hold, err := r.holdSpeaker(ctx, desired)
	if err != nil {
		return notApplied(err), err
	}
	if hold {
		return health{problem: &reason.Problem{Reason: reason.GossipKeyMissing}}, nil
	}
	live := &appsv1.DaemonSet{}
	if err := r.ensure(ctx, desired, live); err != nil {
		return notApplied(err), err
	}
	h := daemonSetHealth(live)
	if lacksPods(live) {
		seen.incomplete = true
		h = r.explain(ctx, live, h)
	}
	return h, nil
}

func (r *Reconciler) holdSpeaker(ctx context.Context, desired client.Object) (bool, error) {
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Options.Namespace, Name: GossipSecret}, secret)
	if err == nil {
		return false, nil
	}
	if !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("looking for secret %s: %w", GossipSecret, err)
	}
	err = r.Client.Get(ctx, client.ObjectKeyFromObject(desired), &appsv1.DaemonSet{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, err
}

// explain replaces the health of a DaemonSet that lacks pods by the refusal that its events tell of, if there is one.
func (r *Reconciler) explain(ctx context.Context, ds *appsv1.DaemonSet, h health) health {
	var events corev1.EventList
	err := r.Live.List(ctx, &events, client.InNamespace(ds.Namespace),
		client.MatchingFields{"involvedObject.uid": string(ds.UID), "reason": "FailedCreate"})
	if err != nil || len(events.Items) == 0 {
		return h
	}
	newest := events.Items[0]
	for _, e := range events.Items[1:] {
		if newest.LastTimestamp.Before(&e.LastTimestamp) {
			newest = e
		}
	}
	h.stuck, h.problem = true, reason.New(reason.PodsRefused, "%s: %s", ds.Name, newest.Message)
	return h
}

func notApplied(err error) health {
	p := applyProblem(err)
	return health{problem: &p}
}

func applyProblem(err error) reason.Problem {
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return reason.Problem{Reason: reason.NamespaceTerminating}
	}
	return reason.Problem{Reason: reason.ApplyFailed, Detail: err.Error()}
}
