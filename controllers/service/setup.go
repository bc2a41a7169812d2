// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/kube"
)

// stateName is the name of the controller's ConfigurationState, and of its component.
const stateName = "controller"

// eventSource is the name under which events are reported, as users' tooling knows it.
const eventSource = "metallb-controller"

// The Service of the API servers, whose endpoints are never granted (Kubernetes: default/kubernetes).
const apiServerNamespace = corev1.NamespaceDefault

var apiServerLabels = client.MatchingLabels{discoveryv1.LabelServiceName: "kubernetes"}

// Options are what the role's flags say.
type Options struct {
	// Namespace is where pools and the role's own objects are.
	Namespace string
	// Class is the load balancer class that is served; empty means Services without one.
	Class string
	// Deployment is the Deployment of this role, which owns the objects that the role creates; it may be empty.
	Deployment string
	// MayWrite says until when this process may write to the API server, or why it may not; it is asked before every write. Nil means
	// always.
	MayWrite func() (until time.Time, err error)
	// Undisturbed reports whether no other controller can have written since before this process began to read. Then what the cache had
	// at the start is all there is. Nil means that nobody knows.
	Undisturbed func() bool
	// Registry is where the metrics are while this replica decides; nil is controller-runtime's.
	Registry prometheus.Registerer
	// rivalry is how patient this role is with others who write what it writes; zero is as usual.
	rivalry rivalTimes
}

// CacheOptions narrows a cache to what the role reads; of who wrote what in a Service only who wrote its ingress is kept. Nothing is copied on reading: what comes from the cache must not be changed.
func CacheOptions(namespace string) cache.Options {
	shared := true
	here := cache.ByObject{Namespaces: map[string]cache.Config{namespace: {}}}
	return cache.Options{
		DefaultTransform:             cache.TransformStripManagedFields(),
		DefaultUnsafeDisableDeepCopy: &shared,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Service{}:             {Transform: keepIngressWriter},
			&v1beta1.IPAddressPool{}:      here,
			&v1beta1.IPReservation{}:      here,
			&v1beta1.AddressConflict{}:    here,
			&v1beta1.ConfigurationState{}: here,
			&discoveryv1.EndpointSlice{}:  {Namespaces: map[string]cache.Config{apiServerNamespace: {}}},
		},
	}
}

// Setup adds the role to a manager whose cache was made with CacheOptions: the Reconciler with its watches, the writers, and a readiness
// check that passes once everything was read and decided, or while another replica leads.
func Setup(mgr manager.Manager, o Options) error {
	log, writer := mgr.GetLogger(), kube.Fenced(mgr.GetClient(), o.MayWrite)
	state := kube.StateWriter{
		Client: writer, Namespace: o.Namespace, Name: stateName,
		Labels:    map[string]string{v1beta1.LabelComponentType: stateName},
		Condition: v1beta1.ConditionPoolReconcilerValid,
	}
	w := newWriters(writer, mgr.GetEventRecorder(eventSource), state, log)
	w.owners = (&deploymentOwner{live: mgr.GetAPIReader(), namespace: o.Namespace, name: o.Deployment}).references
	w.rivals.times = cmp.Or(o.rivalry, usualTimes)
	held := &barrier{live: mgr.GetAPIReader(), cached: mgr.GetClient(), namespace: o.Namespace, undisturbed: o.Undisturbed}
	r := newReconciler(mgr.GetClient(), o, log, held.pass, w)
	bell := newAlarm()
	r.alarm = bell.set
	c, err := controller.NewTyped("service", mgr, controller.TypedOptions[Request]{Reconciler: r, MaxConcurrentReconciles: 1})
	if err != nil {
		return fmt.Errorf("creating the reconciler: %w", err)
	}
	followed := &serviceCIDRs{mapper: mgr.GetRESTMapper(), live: mgr.GetAPIReader(), cached: mgr.GetClient(), now: time.Now, watch: func() error {
		return c.Watch(source.TypedKind(mgr.GetCache(), &networkingv1.ServiceCIDR{}, whenChanged(always, sameCIDRs, nil)))
	}}
	r.serviceCIDRs = followed.list
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &corev1.Service{}, bearerIndex, bearerKeys); err != nil {
		return fmt.Errorf("indexing Services: %w", err)
	}
	if err := errors.Join(watch(mgr, c, w), c.Watch(bell.source())); err != nil {
		return err
	}
	registry := o.Registry
	if registry == nil {
		registry = ctrlmetrics.Registry
	}
	publish := func(ctx context.Context) error { return w.metrics.publish(ctx, registry, log) }
	return errors.Join(
		mgr.Add(manager.RunnableFunc(publish)),
		mgr.Add(manager.RunnableFunc(w.services.Run)),
		mgr.Add(manager.RunnableFunc(w.pools.Run)),
		mgr.Add(manager.RunnableFunc(w.reservations.Run)),
		mgr.Add(manager.RunnableFunc(w.states.Run)),
		mgr.AddReadyzCheck("loaded", readiness(mgr.Elected(), r)),
	)
}

func readiness(elected <-chan struct{}, r *Reconciler) healthz.Checker {
	return func(*http.Request) error {
		select {
		case <-elected:
		default:
			return nil
		}
		if !r.Loaded() {
			return errors.New("the first reconciliation has not finished yet")
		}
		return nil
	}
}

// watch asks for a decision wherever one may come out differently. What changes only the status of pools or of the ConfigurationState
// goes to their writers, which repair it.
func watch(mgr manager.Manager, c controller.TypedController[Request], w *writers) error {
	ch := mgr.GetCache()
	repairPool := func(p *v1beta1.IPAddressPool) { w.pools.EnqueueAfter(p.Name, settling) }
	repairReservation := func(o *v1beta1.IPReservation) { w.reservations.Enqueue(o.Name) }
	repairState := func(s *v1beta1.ConfigurationState) {
		if s.Name == stateName {
			w.states.Enqueue(stateName)
		}
	}
	return errors.Join(
		c.Watch(source.TypedKind(ch, &corev1.Service{}, each(func(s *corev1.Service) Request { return Request{Service: keyOf(s)} }))),
		c.Watch(source.TypedKind(ch, &v1beta1.IPAddressPool{}, whenChanged(always, samePool, repairPool))),
		c.Watch(source.TypedKind(ch, &v1beta1.IPReservation{}, whenChanged(always, sameReservation, repairReservation))),
		c.Watch(source.TypedKind(ch, &v1beta1.AddressConflict{}, each(func(*v1beta1.AddressConflict) Request { return lookAgain }))),
		c.Watch(source.TypedKind(ch, &corev1.Namespace{}, whenChanged(always, sameLabels, nil))),
		c.Watch(source.TypedKind(ch, &corev1.Node{}, whenChanged(always, sameAddresses, nil))),
		c.Watch(source.TypedKind(ch, &discoveryv1.EndpointSlice{}, whenChanged(ofAPIServers, sameEndpoints, nil))),
		c.Watch(source.TypedKind(ch, &v1beta1.ConfigurationState{}, whenChanged(never, nil, repairState))),
	)
}

type queue = workqueue.TypedRateLimitingInterface[Request]

// each asks for what concerns one object, whatever happened to it.
func each[T client.Object](request func(T) Request) handler.TypedEventHandler[T, Request] {
	return handler.TypedFuncs[T, Request]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[T], q queue) { q.Add(request(e.Object)) },
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[T], q queue) { q.Add(request(e.ObjectNew)) },
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[T], q queue) { q.Add(request(e.Object)) },
	}
}

// whenChanged asks for everything when an object that matters comes, goes, or is not the same as before. Whatever happens, other is told,
// if given.
func whenChanged[T client.Object](matters func(T) bool, same func(x, y T) bool, other func(T)) handler.TypedEventHandler[T, Request] {
	hear := func(o T, q queue, changed bool) {
		if changed {
			q.Add(everything)
		}
		if other != nil {
			other(o)
		}
	}
	return handler.TypedFuncs[T, Request]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[T], q queue) { hear(e.Object, q, matters(e.Object)) },
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[T], q queue) {
			hear(e.ObjectNew, q, matters(e.ObjectNew) && !same(e.ObjectOld, e.ObjectNew))
		},
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[T], q queue) { hear(e.Object, q, matters(e.Object)) },
	}
}

func samePool(x, y *v1beta1.IPAddressPool) bool { return kube.SameSpec(x, y) }

func sameReservation(x, y *v1beta1.IPReservation) bool { return kube.SameSpec(x, y) }

func sameLabels(x, y *corev1.Namespace) bool { return maps.Equal(x.Labels, y.Labels) }

func sameAddresses(x, y *corev1.Node) bool {
	return slices.Equal(x.Status.Addresses, y.Status.Addresses) && x.Spec.PodCIDR == y.Spec.PodCIDR && slices.Equal(x.Spec.PodCIDRs, y.Spec.PodCIDRs)
}

func ofAPIServers(s *discoveryv1.EndpointSlice) bool {
	return s.Labels[discoveryv1.LabelServiceName] == "kubernetes"
}

func sameEndpoints(x, y *discoveryv1.EndpointSlice) bool {
	return ofAPIServers(x) && equality.Semantic.DeepEqual(x.Endpoints, y.Endpoints)
}

func always[T any](T) bool { return true }

func never[T any](T) bool { return false }
