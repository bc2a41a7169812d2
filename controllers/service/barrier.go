// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
)

// errBehind says that the cache has not caught up yet; catchUp is when to look again.
var errBehind = errors.New("the cache is older than the API server's state")

const catchUp = 10 * time.Millisecond

// pageSize is how many objects one request lists, so that neither side needs memory for all of them at once.
const pageSize = 500

// barrier holds a new leader up until its cache has everything that its predecessor knew. The cache follows the API server at some
// distance, each kind on its own: a grant that was written a moment before the lease changed hands may be missing in it and could be given
// again, or the pool that it came from may be missing and the grant be taken back.
//
// It reads once, after the election, which objects there are at the API server itself, and then waits for the cache to have each of them
// at least as new. It belongs to the one worker of the Reconciler.
type barrier struct {
	live, cached client.Reader
	namespace    string
	// undisturbed says that there was no predecessor since the cache was filled; nil when nobody knows.
	undisturbed func() bool
	// missing are the versions that the cache has to reach; nil until the API server was asked.
	missing map[barred]string
	passed  bool
}

type barred struct {
	kind schema.GroupVersionKind
	name types.NamespacedName
}

// input is a kind that decisions depend on, and where it is read.
type input struct {
	kind      schema.GroupVersionKind
	namespace string
	empty     func() client.Object
}

func (b *barrier) inputs() []input {
	return []input{
		{corev1.SchemeGroupVersion.WithKind("Service"), "", func() client.Object { return &corev1.Service{} }},
		{corev1.SchemeGroupVersion.WithKind("Namespace"), "", func() client.Object { return &corev1.Namespace{} }},
		{corev1.SchemeGroupVersion.WithKind("Node"), "", func() client.Object { return &corev1.Node{} }},
		{discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"), apiServerNamespace, func() client.Object { return &discoveryv1.EndpointSlice{} }},
		{v1beta1.GroupVersion.WithKind("IPAddressPool"), b.namespace, func() client.Object { return &v1beta1.IPAddressPool{} }},
		{v1beta1.GroupVersion.WithKind("AddressConflict"), b.namespace, func() client.Object { return &v1beta1.AddressConflict{} }},
		{v1beta1.GroupVersion.WithKind("IPReservation"), b.namespace, func() client.Object { return &v1beta1.IPReservation{} }},
	}
}

// pass returns an error until the cache has caught up; the caller tries again.
func (b *barrier) pass(ctx context.Context) error {
	if b.passed = b.passed || b.undisturbed != nil && b.undisturbed(); b.passed {
		return nil
	}
	if b.missing == nil {
		missing := map[barred]string{}
		for _, in := range b.inputs() {
			if err := b.list(ctx, in.kind, in.namespace, missing); err != nil {
				return err
			}
		}
		b.missing = missing
	}
	for o, version := range b.missing {
		if err := b.reached(ctx, o, version); err != nil {
			return err
		}
		delete(b.missing, o)
	}
	b.missing, b.passed = nil, true
	return nil
}

// list adds the versions of all objects of a kind as the API server has them now.
func (b *barrier) list(ctx context.Context, kind schema.GroupVersionKind, namespace string, into map[barred]string) error {
	page := ""
	for {
		var list metav1.PartialObjectMetadataList
		list.SetGroupVersionKind(kind)
		if err := b.live.List(ctx, &list, client.InNamespace(namespace), client.Limit(pageSize), client.Continue(page)); err != nil {
			return fmt.Errorf("listing %s at the API server: %w", kind.Kind, err)
		}
		for i := range list.Items {
			into[barred{kind, client.ObjectKeyFromObject(&list.Items[i])}] = list.Items[i].ResourceVersion
		}
		if page = list.Continue; page == "" {
			return nil
		}
	}
}

// gone returns an error if the API server has the object, which the cache has not. It lists one name, so that the role needs no get.
func (b *barrier) gone(ctx context.Context, o barred) error {
	var live metav1.PartialObjectMetadataList
	live.SetGroupVersionKind(o.kind)
	if err := b.live.List(ctx, &live, client.InNamespace(o.name.Namespace), client.MatchingFields{metav1.ObjectNameField: o.name.Name}); err != nil {
		return fmt.Errorf("looking up %s %s at the API server: %w", o.kind.Kind, o.name, err)
	}
	if len(live.Items) != 0 {
		return fmt.Errorf("%w: no %s %s", errBehind, o.kind.Kind, o.name)
	}
	return nil
}

// reached returns an error unless the cache has the object at this version or a later one, or the object is gone.
func (b *barrier) reached(ctx context.Context, o barred, version string) error {
	cached := b.object(o.kind)
	err := b.cached.Get(ctx, o.name, cached)
	if apierrors.IsNotFound(err) {
		return b.gone(ctx, o)
	}
	if err != nil {
		return fmt.Errorf("reading %s %s: %w", o.kind.Kind, o.name, err)
	}
	// A version that cannot be compared is taken as reached: better a moment's risk than a controller that never starts.
	if order, err := resourceversion.CompareResourceVersion(cached.GetResourceVersion(), version); err == nil && order < 0 {
		return fmt.Errorf("%w: no %s %s at version %s", errBehind, o.kind.Kind, o.name, version)
	}
	return nil
}

func (b *barrier) object(kind schema.GroupVersionKind) client.Object {
	for _, in := range b.inputs() {
		if in.kind == kind {
			return in.empty()
		}
	}
	return nil
}
