// SPDX-License-Identifier: Apache-2.0

package peering

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/policy"
)

// fieldManager is the name under which the API server notes what the role writes (Kubernetes: metadata.managedFields).
const fieldManager = "metallb-controller"

// EventRecorder is where users are told what happened to an object. It never blocks.
type EventRecorder interface {
	Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any)
}

// Request asks for a pass over everything; there is one only.
type Request struct{}

// Reconciler writes the conditions. It is called by one worker at a time.
type Reconciler struct {
	// Client reads from a cache or from the API server; what it reads is not changed. It writes to the API server.
	Client client.Client
	// Events receives what users should notice.
	Events EventRecorder
	// Namespace is where the objects are.
	Namespace string
}

// Reconcile looks at everything and writes the conditions that differ. What could not be written stops nothing else and is an error.
func (r *Reconciler) Reconcile(ctx context.Context, _ Request) (reconcile.Result, error) {
	seen, err := observe(ctx, r.Client, r.Namespace)
	if err != nil {
		return reconcile.Result{}, err
	}
	compiled := policy.Compile(seen.objects)
	var errs []error
	for _, t := range targets(&seen.objects) {
		errs = append(errs, r.tell(ctx, t, &seen, compiled))
	}
	return reconcile.Result{}, errors.Join(errs...)
}

// target is an object that gets conditions.
type target struct {
	kind   string
	object client.Object
	// conditions returns those of an object of the same kind.
	conditions func(client.Object) *[]metav1.Condition
}

// targets are all objects that get conditions, each as it was read.
func targets(o *policy.Objects) []target {
	return slices.Concat(
		targetsOf(policy.KindL2Advertisement, o.L2Advertisements, func(x *v1beta1.L2Advertisement) *[]metav1.Condition { return &x.Status.Conditions }),
		targetsOf(policy.KindBGPAdvertisement, o.BGPAdvertisements, func(x *v1beta1.BGPAdvertisement) *[]metav1.Condition { return &x.Status.Conditions }),
		targetsOf(policy.KindBGPPeer, o.BGPPeers, func(x *v1beta2.BGPPeer) *[]metav1.Condition { return &x.Status.Conditions }),
		targetsOf(policy.KindBFDProfile, o.BFDProfiles, func(x *v1beta1.BFDProfile) *[]metav1.Condition { return &x.Status.Conditions }),
		targetsOf(policy.KindCommunity, o.Communities, func(x *v1beta1.Community) *[]metav1.Condition { return &x.Status.Conditions }),
	)
}

func targetsOf[T any, P interface {
	*T
	client.Object
}](kind string, items []T, conditions func(P) *[]metav1.Condition) []target {
	all := make([]target, 0, len(items))
	for i := range items {
		all = append(all, target{kind: kind, object: P(&items[i]), conditions: func(o client.Object) *[]metav1.Condition { return conditions(o.(P)) }})
	}
	return all
}

// tell brings the conditions of an object up to date, and tells of a problem that is new. A password that is missing is one of them: speakers
// tell of sessions that begin and end, and this one does neither.
func (r *Reconciler) tell(ctx context.Context, t target, seen *world, compiled *policy.Policy) error {
	ref := policy.ObjectRef{Kind: t.kind, Name: t.object.GetName()}
	before, after := t.object, t.object.DeepCopyObject().(client.Object)
	conditions, generation := t.conditions(after), t.object.GetGeneration()
	valid, invalid := validity(compiled, ref)
	var news []verdict
	if kube.SetCondition(conditions, v1beta1.ConditionValid, valid.status, valid.why, valid.message, generation) && invalid {
		news = append(news, valid)
	}
	if t.kind == policy.KindBGPPeer {
		e := seen.established(compiled, ref.Name)
		if was := meta.FindStatusCondition(*conditions, v1beta1.ConditionEstablished); e.why == reason.PasswordSecretMissing && (was == nil || was.Reason != string(e.why)) {
			news = append(news, e)
		}
		kube.SetCondition(conditions, v1beta1.ConditionEstablished, e.status, e.why, e.message, generation)
	}
	if equality.Semantic.DeepEqual(t.conditions(before), conditions) {
		return nil
	}
	// The resource version goes along: what somebody else wrote meanwhile is looked at first.
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, after, patch, client.FieldOwner(fieldManager)); err != nil {
		return wrapped(client.IgnoreNotFound(err), ref)
	}
	for _, n := range news {
		r.Events.Eventf(after, nil, corev1.EventTypeWarning, string(n.why), "Validate", "%s", kube.Note(n.message))
	}
	return nil
}

func wrapped(err error, ref policy.ObjectRef) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("writing conditions of %s %s: %w", ref.Kind, ref.Name, err)
}

// validity says whether the policy uses an object, and whether it is invalid; a note on a valid one is told with it.
func validity(p *policy.Policy, ref policy.ObjectRef) (_ verdict, invalid bool) {
	if problem, wrong := p.ProblemOf(ref); wrong {
		return verdict{metav1.ConditionFalse, problem.Reason, problem.Message()}, true
	}
	if note, noted := p.NoteOf(ref); noted {
		return verdict{metav1.ConditionTrue, note.Reason, note.Message()}, false
	}
	return verdict{metav1.ConditionTrue, reason.Valid, ""}, false
}
