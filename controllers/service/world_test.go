// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
)

// objects are Kubernetes objects by kind and name. They are never changed, only replaced. As a reader they stand for an API server or for
// a cache of it; a list comes in the order of names, or in any order when there is chance.
type objects struct {
	byKind map[string]map[types.NamespacedName]client.Object
	chance *rand.Rand
}

func newObjects(chance *rand.Rand) *objects {
	return &objects{byKind: map[string]map[types.NamespacedName]client.Object{}, chance: chance}
}

func kindOf(o runtime.Object) string { return reflect.TypeOf(o).Elem().Name() }

func nameOf(o client.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

func (s *objects) put(o client.Object) {
	kind := kindOf(o)
	if s.byKind[kind] == nil {
		s.byKind[kind] = map[types.NamespacedName]client.Object{}
	}
	s.byKind[kind][nameOf(o)] = o
}

func (s *objects) drop(o client.Object) { delete(s.byKind[kindOf(o)], nameOf(o)) }

// find returns the object of the same kind and name; nil when there is none.
func (s *objects) find(o client.Object) client.Object { return s.byKind[kindOf(o)][nameOf(o)] }

func (s *objects) clone() *objects {
	c := newObjects(s.chance)
	for kind, all := range s.byKind {
		c.byKind[kind] = maps.Clone(all)
	}
	return c
}

// of returns all objects of a kind, by name.
func (s *objects) of(kind string) []client.Object {
	list := slices.Collect(maps.Values(s.byKind[kind]))
	slices.SortFunc(list, func(x, y client.Object) int {
		return cmp.Or(cmp.Compare(x.GetNamespace(), y.GetNamespace()), cmp.Compare(x.GetName(), y.GetName()))
	})
	return list
}

// Get is part of client.Reader.
func (s *objects) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	found := s.byKind[kindOf(o)][key]
	if found == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: kindOf(o)}, key.String())
	}
	reflect.ValueOf(o).Elem().Set(reflect.ValueOf(found).Elem())
	return nil
}

// List is part of client.Reader. A field selector is taken for one by bearerIndex.
func (s *objects) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	o := client.ListOptions{}
	o.ApplyOptions(opts)
	var found []runtime.Object
	for _, one := range s.of(strings.TrimSuffix(kindOf(list), "List")) {
		if selected(one, &o) {
			found = append(found, one)
		}
	}
	if s.chance != nil {
		s.chance.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	}
	return meta.SetList(list, found)
}

func selected(one client.Object, o *client.ListOptions) bool {
	if o.Namespace != "" && o.Namespace != one.GetNamespace() {
		return false
	}
	if o.LabelSelector != nil && !o.LabelSelector.Matches(labels.Set(one.GetLabels())) {
		return false
	}
	if o.FieldSelector == nil {
		return true
	}
	value, _ := o.FieldSelector.RequiresExactMatch(bearerIndex)
	return slices.Contains(bearerKeys(one), value)
}

// world is a cluster in memory: an API server, what the controller has heard of it so far, and the news on their way. Its time goes on
// with every change that a user makes.
type world struct {
	now     time.Time
	version int
	served  *objects
	heard   *objects
	news    map[string][]change // by kind, which is how watches keep order
	// written is called after every write of a status.
	written func(before, after client.Object)
}

// change is an object as it was and as it is; one of them is nil when it came or went.
type change struct{ before, after client.Object }

func newWorld(chance *rand.Rand) *world {
	return &world{
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), served: newObjects(chance), heard: newObjects(chance),
		news: map[string][]change{}, written: func(client.Object, client.Object) {},
	}
}

// apply makes the object what a user wants it to be; what the controller wrote stays.
func (w *world) apply(o client.Object) {
	w.now = w.now.Add(time.Second)
	o = o.DeepCopyObject().(client.Object)
	before := w.served.find(o)
	if before == nil {
		if made := o.GetCreationTimestamp(); made.IsZero() {
			o.SetCreationTimestamp(metav1.NewTime(w.now))
		}
		o.SetUID(types.UID(fmt.Sprint(w.version)))
		o.SetGeneration(1)
	} else {
		o.SetCreationTimestamp(before.GetCreationTimestamp())
		o.SetUID(before.GetUID())
		o.SetGeneration(before.GetGeneration())
		o.SetDeletionTimestamp(before.GetDeletionTimestamp())
	}
	w.admit(before, o)
	if o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) == 0 {
		w.drop(before)
		return
	}
	w.store(before, o)
}

// admit fills in what the API server does.
func (w *world) admit(before, o client.Object) {
	switch o := o.(type) {
	case *corev1.Service:
		old, _ := before.(*corev1.Service)
		w.admitService(old, o)
	case *v1beta1.IPAddressPool:
		if old, _ := before.(*v1beta1.IPAddressPool); old != nil {
			o.Status = old.Status
			raise(o, equality.Semantic.DeepEqual(old.Spec, o.Spec))
		}
	case *v1beta1.IPReservation:
		if old, _ := before.(*v1beta1.IPReservation); old != nil {
			o.Status = old.Status
			raise(o, equality.Semantic.DeepEqual(old.Spec, o.Spec))
		}
	}
}

func (w *world) admitService(old, s *corev1.Service) {
	if old != nil {
		if len(s.Status.LoadBalancer.Ingress) == 0 {
			s.Status = *old.Status.DeepCopy()
		}
		for _, key := range []string{v1beta1.AnnotationAllocatedFromPool, v1beta1.AnnotationControllerNamespace} {
			if value, ok := old.Annotations[key]; ok {
				metav1.SetMetaDataAnnotation(&s.ObjectMeta, key, value)
			}
		}
		if s.Spec.Type != corev1.ServiceTypeLoadBalancer { // Kubernetes 1.29 and later do so
			s.Status.LoadBalancer = corev1.LoadBalancerStatus{}
		}
	}
	fillFamilies(s)
	if old != nil {
		raise(s, equality.Semantic.DeepEqual(old.Spec, s.Spec))
	}
}

func raise(o client.Object, same bool) {
	if !same {
		o.SetGeneration(o.GetGeneration() + 1)
	}
}

// fillFamilies gives a Service the families and cluster IPs that a dual-stack API server gives it, unless it names cluster IPs itself.
func fillFamilies(s *corev1.Service) {
	if len(s.Spec.ClusterIPs) > 0 {
		return
	}
	list := s.Spec.IPFamilies
	if len(list) == 0 {
		list = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	if p := s.Spec.IPFamilyPolicy; len(list) == 1 && p != nil && *p != corev1.IPFamilyPolicySingleStack {
		list = append(list, map[corev1.IPFamily]corev1.IPFamily{"IPv4": "IPv6", "IPv6": "IPv4"}[list[0]])
	}
	s.Spec.IPFamilies = list
	for _, f := range list {
		s.Spec.ClusterIPs = append(s.Spec.ClusterIPs, map[corev1.IPFamily]string{"IPv4": "10.96.0.9", "IPv6": "fd00:10:96::9"}[f])
	}
	s.Spec.ClusterIP = s.Spec.ClusterIPs[0]
}

// store makes the object what the API server has, and news.
func (w *world) store(before, after client.Object) {
	w.version++
	after.SetResourceVersion(fmt.Sprint(w.version))
	w.served.put(after)
	w.news[kindOf(after)] = append(w.news[kindOf(after)], change{before, after})
}

// remove takes an object away; it may be missing. One with finalizers is only marked.
func (w *world) remove(o client.Object) {
	w.now = w.now.Add(time.Second)
	before := w.served.find(o)
	switch {
	case before == nil:
	case len(before.GetFinalizers()) > 0:
		after := before.DeepCopyObject().(client.Object)
		after.SetDeletionTimestamp(&metav1.Time{Time: w.now})
		w.store(before, after)
	default:
		w.drop(before)
	}
}

func (w *world) drop(o client.Object) {
	w.served.drop(o)
	w.news[kindOf(o)] = append(w.news[kindOf(o)], change{o, nil})
}

// relist makes the news of a kind what a relist makes of them: one change for each name, from what was heard to what is there.
func (w *world) relist(kind string) {
	var news []change
	for _, before := range w.heard.of(kind) {
		if after := w.served.find(before); after != before {
			news = append(news, change{before, after})
		}
	}
	for _, after := range w.served.of(kind) {
		if w.heard.find(after) == nil {
			news = append(news, change{nil, after})
		}
	}
	w.news[kind] = news
}

// hear lets the controller's cache hear the next news of a kind.
func (w *world) hear(kind string) (change, bool) {
	waiting := w.news[kind]
	if len(waiting) == 0 {
		return change{}, false
	}
	w.news[kind] = waiting[1:]
	if c := waiting[0]; c.after != nil {
		w.heard.put(c.after)
	} else {
		w.heard.drop(c.before)
	}
	return waiting[0], true
}

// writeStatus is the API server's side of a status write under optimistic locking. New conditions get the time of the world.
func (w *world) writeStatus(o client.Object) error {
	before := w.served.find(o)
	if before == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: kindOf(o)}, o.GetName())
	}
	if before.GetResourceVersion() != o.GetResourceVersion() {
		return apierrors.NewConflict(schema.GroupResource{Resource: kindOf(o)}, o.GetName(), nil)
	}
	after := o.DeepCopyObject().(client.Object)
	if s, ok := after.(*corev1.Service); ok {
		if s.Spec.Type != corev1.ServiceTypeLoadBalancer && len(s.Status.LoadBalancer.Ingress) > 0 { // Kubernetes 1.29 and later
			return apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, s.Name, nil)
		}
		w.stamp(before.(*corev1.Service), s)
	}
	w.store(before, after)
	w.written(before, after)
	return nil
}

func (w *world) stamp(before, after *corev1.Service) {
	c := meta.FindStatusCondition(after.Status.Conditions, v1beta1.ConditionAddressAllocated)
	if c == nil {
		return
	}
	was := meta.FindStatusCondition(before.Status.Conditions, v1beta1.ConditionAddressAllocated)
	if was == nil || !was.LastTransitionTime.Equal(&c.LastTransitionTime) {
		c.LastTransitionTime = metav1.NewTime(w.now)
	}
}

// restart gives the controller a cache that is up to date, as a new process has.
func (w *world) restart() {
	w.heard, w.news = w.served.clone(), map[string][]change{}
}

// connection is how writers reach the world: they read what was heard and write to what is served.
type connection struct {
	client.Client // nil: a method that is not here must not be called
	*world
}

func (c connection) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	return c.heard.Get(ctx, key, o, opts...)
}

func (c connection) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return c.heard.List(ctx, list, opts...)
}

func (c connection) Status() client.SubResourceWriter { return statusWriter{world: c.world} }

type statusWriter struct {
	client.SubResourceWriter
	*world
}

func (s statusWriter) Patch(_ context.Context, o client.Object, _ client.Patch, _ ...client.SubResourcePatchOption) error {
	return s.writeStatus(o)
}

// matters reports whether a change makes the controller decide on everything, as its watches do.
func (c change) matters() bool {
	if c.before == nil || c.after == nil {
		return true
	}
	switch after := c.after.(type) {
	case *v1beta1.IPAddressPool:
		return !samePool(c.before.(*v1beta1.IPAddressPool), after)
	case *v1beta1.IPReservation:
		return !sameReservation(c.before.(*v1beta1.IPReservation), after)
	case *corev1.Namespace:
		return !sameLabels(c.before.(*corev1.Namespace), after)
	case *corev1.Node:
		return !sameAddresses(c.before.(*corev1.Node), after)
	case *networkingv1.ServiceCIDR:
		return !sameCIDRs(c.before.(*networkingv1.ServiceCIDR), after)
	case *discoveryv1.EndpointSlice:
		return !sameEndpoints(c.before.(*discoveryv1.EndpointSlice), after)
	}
	return true
}
