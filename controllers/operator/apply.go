// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"fmt"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	applyappsv1 "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
)

// ensure makes a workload what was rendered and leaves its newest state in live. It writes only when what this operator owns of the
// object is not exactly what was rendered, be it that the rendering changed or that somebody else changed the object. An object that the
// cache has and the API server has no more is not created again here: the next look decides on that. A missing one is created unless
// uncreatable says why not.
func (r *Reconciler) ensure(ctx context.Context, desired, live client.Object, uncreatable error) error {
	err := r.Client.Get(ctx, client.ObjectKeyFromObject(desired), live)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading %s: %w", desired.GetName(), err)
	}
	if err != nil && uncreatable != nil {
		return uncreatable
	}
	if p := selectorProblem(desired, live); p != nil {
		return p
	}
	config, err := applyConfiguration(desired)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", desired.GetName(), err)
	}
	if same, err := upToDate(live, config); err != nil || same {
		return err
	}
	u := &unstructured.Unstructured{Object: config}
	if uid := live.GetUID(); uid != "" {
		u.SetUID(uid) // a precondition: the API server answers Conflict if it has no object of this UID
	}
	err = r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(FieldOwner), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("applying %s: %w", desired.GetName(), err)
	}
	return runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, live)
}

// applyConfiguration returns the fields of a rendered object that the operator claims: all that is set.
func applyConfiguration(desired client.Object) (map[string]any, error) {
	config, err := runtime.DefaultUnstructuredConverter.ToUnstructured(desired)
	if err != nil {
		return nil, err
	}
	delete(config, "status")
	dropNulls(config)
	return config, nil
}

// dropNulls removes what is null: an applied null is a claim, and none is meant.
func dropNulls(value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, child := range v {
			if child == nil {
				delete(v, key)
			}
			dropNulls(child)
		}
	case []any:
		for _, child := range v {
			dropNulls(child)
		}
	}
}

// upToDate reports whether what the operator owns of the live object is exactly what it would apply.
func upToDate(live client.Object, config map[string]any) (bool, error) {
	if live.GetUID() == "" {
		return false, nil
	}
	owned, err := ownedFields(live)
	if err != nil {
		return false, fmt.Errorf("reading who owns the fields of %s: %w", live.GetName(), err)
	}
	return reflect.DeepEqual(owned, config), nil
}

func ownedFields(live client.Object) (map[string]any, error) {
	var extracted any
	var err error
	switch o := live.(type) {
	case *appsv1.Deployment:
		extracted, err = applyappsv1.ExtractDeployment(o, FieldOwner)
	case *appsv1.DaemonSet:
		extracted, err = applyappsv1.ExtractDaemonSet(o, FieldOwner)
	default:
		err = fmt.Errorf("kind %T is not supported", live)
	}
	if err != nil {
		return nil, err
	}
	return runtime.DefaultUnstructuredConverter.ToUnstructured(extracted)
}

// prune deletes the workloads that an earlier rendering of this resource asked for and the present one does not. Only what carries the
// operator's label and is owned by the resource is ever deleted.
func (r *Reconciler) prune(ctx context.Context, cr *v1beta1.MetalLB, desired []client.Object) error {
	live, err := r.workloads(ctx)
	if err != nil {
		return err
	}
	for _, o := range live {
		if isDesired(o, desired) || !metav1.IsControlledBy(o, cr) || o.GetDeletionTimestamp() != nil {
			continue
		}
		uid := o.GetUID()
		err := r.Client.Delete(ctx, o, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("deleting %s: %w", o.GetName(), err)
		}
	}
	return nil
}

func isDesired(o client.Object, desired []client.Object) bool {
	for _, d := range desired {
		if d.GetName() == o.GetName() && reflect.TypeOf(d) == reflect.TypeOf(o) {
			return true
		}
	}
	return false
}

// workloads returns everything in the namespace that carries the operator's label.
func (r *Reconciler) workloads(ctx context.Context) ([]client.Object, error) {
	var deployments appsv1.DeploymentList
	var daemonSets appsv1.DaemonSetList
	where := []client.ListOption{client.InNamespace(r.Options.Namespace), client.MatchingLabels{labelManagedBy: FieldOwner}}
	if err := r.Client.List(ctx, &deployments, where...); err != nil {
		return nil, fmt.Errorf("listing deployments: %w", err)
	}
	if err := r.Client.List(ctx, &daemonSets, where...); err != nil {
		return nil, fmt.Errorf("listing daemon sets: %w", err)
	}
	var all []client.Object
	for i := range deployments.Items {
		all = append(all, &deployments.Items[i])
	}
	for i := range daemonSets.Items {
		all = append(all, &daemonSets.Items[i])
	}
	return all, nil
}
