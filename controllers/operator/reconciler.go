// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/installation"
)

// EventRecorder is where the operator tells what happened to a resource.
type EventRecorder interface {
	// Eventf records an event on regarding; it neither blocks nor fails. related may be nil.
	Eventf(regarding, related runtime.Object, eventType, reason, action, note string, args ...any)
}

// Reconciler makes the workloads what the MetalLB resource asks for. It is called by one worker at a time.
type Reconciler struct {
	// Client reads from a cache or from the API server and writes to the API server.
	Client client.Client
	// Live reads from the API server: the speakers' Secret, and events when pods are missing.
	Live client.Reader
	// Events receives what users should notice.
	Events EventRecorder
	// Strays knows the objects in the wrong place; with nil nobody looks for them.
	Strays *Strays
	// Options are what the rendering needs.
	Options Options
	// Now is the time.
	Now func() time.Time
	// key is what is known of the speakers' key.
	key gossipKey
}

// Reconcile brings one MetalLB resource and its workloads together and patches its status once.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (result ctrl.Result, err error) {
	cr := &v1beta1.MetalLB{}
	if err := r.Client.Get(ctx, req.NamespacedName, cr); err != nil {
		return result, client.IgnoreNotFound(err)
	}
	if !cr.DeletionTimestamp.IsZero() {
		return result, nil
	}
	var seen observation
	defer func() {
		after, finishErr := r.finish(ctx, cr, seen)
		err = errors.Join(err, finishErr)
		if err == nil {
			result.RequeueAfter = after
		}
	}()
	if seen.misplaced = r.misplaced(cr); seen.misplaced != nil {
		return result, nil
	}
	seen, err = r.install(ctx, cr)
	return result, err
}

// misplaced says why a resource is not the one that is served; nil when it is.
func (r *Reconciler) misplaced(cr *v1beta1.MetalLB) *reason.Problem {
	if cr.Namespace != r.Options.Namespace {
		return reason.New(reason.WrongNamespace, "only the MetalLB resource in namespace %s, where the operator runs, is served", r.Options.Namespace)
	}
	if cr.Name != ResourceName {
		return reason.New(reason.WrongName, "only the MetalLB resource named %s is served", ResourceName)
	}
	return nil
}

// install applies what the resource asks for, removes what it no longer asks for and reports how all of it fares. A failure at one
// workload does not keep the others from being applied, and settings that cannot be used are reported.
func (r *Reconciler) install(ctx context.Context, cr *v1beta1.MetalLB) (observation, error) {
	seen := observation{native: string(cr.Spec.BGPBackend), problems: r.unknownAnnouncers(cr.Spec)}
	usable := cr.DeepCopy()
	var unusable []reason.Problem
	usable.Spec, unusable = installation.Usable(cr.Spec)
	seen.problems = append(seen.problems, unusable...)
	seen.strays, seen.straysUnknown = r.Strays.problem()
	desired := Render(*usable, r.Options)
	if seen.uncreatable = r.uncreatable(ctx, cr, desired); errors.Is(seen.uncreatable, errGone) {
		return seen, nil
	}
	components := map[string]health{}
	keyExists, keyErr := r.ensureKey(ctx, cr)
	if !keyExists {
		seen.keyMissing = keyProblem(keyErr)
		keyErr = seen.keyMissing
	}
	failures := []error{keyErr}
	for _, object := range desired {
		h, err := r.deploy(ctx, object, &seen)
		components[object.GetName()] = h
		failures = append(failures, err)
	}
	components[speakerName] = announcing(cr.Spec, r.Options.KnownAnnouncers, components[speakerName])
	failures = append(failures, r.prune(ctx, cr, desired))
	for _, err := range failures {
		if err != nil {
			seen.problems = append(seen.problems, applyProblem(err))
		}
	}
	seen.components = []component{
		{controllerName, v1beta1.ConditionControllerAvailable, true, components[controllerName]},
		{speakerName, v1beta1.ConditionSpeakerAvailable, true, components[speakerName]},
		{copierName, v1beta1.ConditionEndpointCopierAvailable, copierEnabled(cr.Spec), components[copierName]},
	}
	return seen, errors.Join(failures...)
}

// errGone is the reason to create nothing for a resource that the API server has no more.
var errGone = errors.New("the MetalLB resource is deleted")

// uncreatable returns why a workload that is missing must not be created now; nil if it may be, or if none is missing. The API server is
// asked for the resource itself: the garbage collector removes the workloads of a deleted resource, and the cache may show that before it
// shows the deletion. Speakers that end would take a DaemonSet that is created again for their own restart.
func (r *Reconciler) uncreatable(ctx context.Context, cr *v1beta1.MetalLB, desired []client.Object) error {
	missing := false
	for _, object := range desired {
		err := r.Client.Get(ctx, client.ObjectKeyFromObject(object), object.DeepCopyObject().(client.Object))
		missing = missing || err != nil
	}
	if !missing {
		return nil
	}
	var list v1beta1.MetalLBList
	if err := r.Live.List(ctx, &list, client.InNamespace(cr.Namespace)); err != nil {
		return fmt.Errorf("reading the MetalLB resource again: %w", err)
	}
	if slices.ContainsFunc(list.Items, func(m v1beta1.MetalLB) bool { return m.UID == cr.UID && m.DeletionTimestamp.IsZero() }) {
		return nil
	}
	return errGone
}

func (r *Reconciler) unknownAnnouncers(spec v1beta1.MetalLBSpec) []reason.Problem {
	_, unknown, _ := announcersOf(spec, r.Options.KnownAnnouncers)
	if len(unknown) == 0 {
		return nil
	}
	return []reason.Problem{*unknownAnnouncers(unknown, r.Options.KnownAnnouncers)}
}

func unknownAnnouncers(unknown, known []string) *reason.Problem {
	return reason.New(reason.UnknownAnnouncer, "spec.announcers: unknown %s; known are %s", strings.Join(unknown, ", "), strings.Join(known, ", "))
}

// finish summarises what was seen and, only when that differs from what the status says already, patches the status and tells users
// about what changed for them. A status that the cache does not have yet is never written over: the next look judges by that.
func (r *Reconciler) finish(ctx context.Context, cr *v1beta1.MetalLB, seen observation) (time.Duration, error) {
	before := cr.DeepCopy()
	after := summarise(&cr.Status.Conditions, seen, cr.Generation, r.Now())
	cr.Status.ObservedGeneration = cr.Generation
	if equality.Semantic.DeepEqual(before.Status, cr.Status) {
		return after, nil
	}
	changes := changesBetween(before.Status.Conditions, cr.Status.Conditions)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, cr, patch); apierrors.IsConflict(err) {
		return firstRetry, nil // the newest state had not arrived in the cache
	} else if err != nil {
		return 0, client.IgnoreNotFound(fmt.Errorf("patching the status: %w", err))
	}
	for _, c := range changes {
		r.Events.Eventf(cr, nil, c.kind, c.reason, "Reconcile", "%s", c.note)
	}
	return after, nil
}
