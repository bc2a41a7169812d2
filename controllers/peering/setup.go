// SPDX-License-Identifier: Apache-2.0

package peering

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/kube"
)

// settling is how long changes gather before a pass: a router that restarts is news on every node.
const settling = 300 * time.Millisecond

// eventSource is the name under which events are reported, as users' tooling knows it.
const eventSource = "metallb-controller"

// AddToCache narrows a cache to what is read here.
func AddToCache(o *cache.Options, namespace string) {
	if o.ByObject == nil {
		o.ByObject = map[client.Object]cache.ByObject{}
	}
	here := cache.ByObject{Namespaces: map[string]cache.Config{namespace: {}}}
	for _, kind := range []client.Object{
		&v1beta1.L2Advertisement{}, &v1beta1.BGPAdvertisement{}, &v1beta2.BGPPeer{}, &v1beta1.BFDProfile{}, &v1beta1.Community{},
		&v1beta1.BGPSessionStatus{},
	} {
		o.ByObject[kind] = here
	}
}

// Setup adds the Reconciler with its watches to a manager, whose cache has all kinds that are read here in the namespace. It works while
// the manager leads, and writes only while mayWrite allows it; nil allows it always.
func Setup(mgr manager.Manager, namespace string, mayWrite func() (time.Time, error)) error {
	r := &Reconciler{Client: kube.Fenced(mgr.GetClient(), mayWrite), Events: mgr.GetEventRecorder(eventSource), Namespace: namespace}
	c, err := controller.NewTyped("peering", mgr, controller.TypedOptions[Request]{Reconciler: r, MaxConcurrentReconciles: 1})
	if err != nil {
		return fmt.Errorf("creating the reconciler of conditions: %w", err)
	}
	ch := mgr.GetCache()
	return errors.Join(
		c.Watch(source.TypedKind(ch, &v1beta1.IPAddressPool{}, on(sameSpec[*v1beta1.IPAddressPool]))),
		c.Watch(source.TypedKind(ch, &v1beta1.L2Advertisement{}, on(never[*v1beta1.L2Advertisement]))),
		c.Watch(source.TypedKind(ch, &v1beta1.BGPAdvertisement{}, on(never[*v1beta1.BGPAdvertisement]))),
		c.Watch(source.TypedKind(ch, &v1beta2.BGPPeer{}, on(never[*v1beta2.BGPPeer]))),
		c.Watch(source.TypedKind(ch, &v1beta1.BFDProfile{}, on(never[*v1beta1.BFDProfile]))),
		c.Watch(source.TypedKind(ch, &v1beta1.Community{}, on(never[*v1beta1.Community]))),
		c.Watch(source.TypedKind(ch, &v1beta1.BGPSessionStatus{}, on(sameSession))),
		c.Watch(source.TypedKind(ch, &v1beta1.ConfigurationState{}, on(always[*v1beta1.ConfigurationState]))),
		c.Watch(source.TypedKind(ch, &corev1.Node{}, on(sameNode))),
	)
}

type queue = workqueue.TypedRateLimitingInterface[Request]

// on asks for a pass when an object comes, goes, or is not the same as before.
func on[T client.Object](same func(x, y T) bool) handler.TypedEventHandler[T, Request] {
	pass := func(q queue) { q.AddAfter(Request{}, settling) }
	return handler.TypedFuncs[T, Request]{
		CreateFunc: func(_ context.Context, _ event.TypedCreateEvent[T], q queue) { pass(q) },
		DeleteFunc: func(_ context.Context, _ event.TypedDeleteEvent[T], q queue) { pass(q) },
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[T], q queue) {
			if !same(e.ObjectOld, e.ObjectNew) {
				pass(q)
			}
		},
	}
}

// sameSpec says that nothing but the status differs. Labels count too: advertisements select pools by them.
func sameSpec[T client.Object](x, y T) bool {
	return kube.SameSpec(x, y) && maps.Equal(x.GetLabels(), y.GetLabels())
}

// sameSession says that the session is in the same state for the same reason. What it carries changes all the time.
func sameSession(x, y *v1beta1.BGPSessionStatus) bool {
	a, b := &x.Status, &y.Status
	return a.Node == b.Node && a.Peer == b.Peer && a.State == b.State && a.Reason == b.Reason && a.Message == b.Message
}

func sameNode(x, y *corev1.Node) bool {
	return maps.Equal(x.Labels, y.Labels) && silent(x) == silent(y)
}

// always is for objects of which only that they are there counts.
func always[T any](_, _ T) bool { return true }

// never is for objects whose conditions are written here: whoever changes them, they are looked at again.
func never[T any](_, _ T) bool { return false }
