// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/kube"
)

// process is one life of the controller in a world: the real Reconciler and the real writers, each of whose steps is taken when the test
// says so.
type process struct {
	*Reconciler
	world    *world
	writers  *writers
	requests []Request        // each once
	services []allocation.Key // to be written, each once
	pools    []string
	// reservations are to be written.
	reservations []string
	// decided is called with every decision before it is posted; a Service that is gone leaves.
	decided func(allocation.Key, desired)
	// judged is called when the pools were read and judged anew.
	judged func()
	// fault is what reading the cluster fails with.
	fault error
	// rings is when the alarm rings; zero when it is not set.
	rings time.Time
}

func newProcess(w *world, o Options, events EventRecorder) *process {
	w.restart()
	p := &process{world: w, decided: func(allocation.Key, desired) {}, judged: func() {}, requests: []Request{everything}}
	p.writers = newWriters(connection{world: w}, events, kube.StateWriter{Namespace: o.Namespace}, logr.Discard())
	p.Reconciler = newReconciler(faulty{w, &p.fault}, o, logr.Discard(), func(context.Context) error { return nil }, p)
	p.now = func() time.Time { return w.now }
	p.alarm = func(at time.Time) {
		if p.rings.IsZero() || at.Before(p.rings) {
			p.rings = at
		}
	}
	return p
}

// ring asks for what is due at a time, if the alarm is set to that or earlier.
func (p *process) ring(now time.Time) {
	if !p.rings.IsZero() && !now.Before(p.rings) {
		p.rings = time.Time{}
		p.requests = addOnce(p.requests, lookAgain)
	}
}

// end joins what the writers' queues started.
func (p *process) end() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for _, run := range []func(context.Context) error{p.writers.services.Run, p.writers.pools.Run, p.writers.reservations.Run, p.writers.states.Run} {
		if err := run(over); err != nil {
			panic(err)
		}
	}
}

// faulty reads what was heard, unless there is a fault.
type faulty struct {
	world *world
	fault *error
}

func (f faulty) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if *f.fault != nil {
		return *f.fault
	}
	return f.world.heard.Get(ctx, key, o, opts...)
}

func (f faulty) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if _, pools := list.(*v1beta1.IPAddressPoolList); pools && *f.fault != nil {
		return *f.fault
	}
	return f.world.heard.List(ctx, list, opts...)
}

func (p *process) service(key allocation.Key, d desired) {
	p.decided(key, d)
	p.writers.service(key, d)
	p.services = addOnce(p.services, key)
}

func (p *process) reservation(name string, report reservationReport) {
	p.writers.reservation(name, report)
	p.reservations = addOnce(p.reservations, name)
}

func (p *process) gone(key allocation.Key) {
	p.decided(key, desired{leaves: true})
	p.writers.gone(key)
}

func (p *process) pool(name string, counts allocation.Counts) {
	p.writers.pool(name, counts)
	p.pools = addOnce(p.pools, name)
}

func (p *process) policy(pools map[string]poolReport, s summary) {
	p.judged()
	p.writers.policy(pools, s)
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		p.pools = addOnce(p.pools, name)
	}
}

func addOnce[T comparable](list []T, one T) []T {
	if slices.Contains(list, one) {
		return list
	}
	return append(list, one)
}

// hear takes the next news of a kind to the cache and asks for the decision that it calls for.
func (p *process) hear(kind string) bool {
	c, ok := p.world.hear(kind)
	if !ok {
		return false
	}
	o := c.after
	if o == nil {
		o = c.before
	}
	switch o := o.(type) {
	case *corev1.Service:
		p.requests = addOnce(p.requests, Request{Service: keyOf(o)})
	case *v1beta1.AddressConflict:
		p.requests = addOnce(p.requests, lookAgain)
	case *v1beta1.IPAddressPool:
		p.pools = addOnce(p.pools, o.Name)
		if c.matters() {
			p.requests = addOnce(p.requests, everything)
		}
	default:
		if c.matters() {
			p.requests = addOnce(p.requests, everything)
		}
	}
	return true
}

// reconcile serves the request at place i; one that failed comes again.
func (p *process) reconcile(i int) error {
	request := p.requests[i]
	p.requests = slices.Delete(p.requests, i, i+1)
	_, err := p.Reconcile(context.Background(), request)
	if err != nil {
		p.requests = addOnce(p.requests, request)
	}
	return err
}

// write writes the Service at place i of those that are due; one that could not be written, or not all of it, stays due.
func (p *process) write(i int) error {
	key := p.services[i]
	p.services = slices.Delete(p.services, i, i+1)
	posted, _ := p.writers.board.service(key)
	err := p.writers.writeService(context.Background(), key)
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsInvalid(err) {
		return fmt.Errorf("writing %s: %w", key, err)
	}
	s := &corev1.Service{}
	s.Namespace, s.Name = key.Namespace, key.Name
	if found, ok := p.world.served.find(s).(*corev1.Service); ok && posted.turn != 0 && !equality.Semantic.DeepEqual(found, posted.apply(found)) {
		p.services = addOnce(p.services, key)
	}
	return nil
}

// writeNext writes the first of the pools or reservations that are due; one that could not be written stays due.
func writeNext(due *[]string, write func(context.Context, string) error) error {
	name := (*due)[0]
	*due = (*due)[1:]
	err := write(context.Background(), name)
	if apierrors.IsConflict(err) {
		*due = addOnce(*due, name)
		return nil
	}
	return err
}

// enough is how many rounds a world may take to come to rest.
const enough = 200

// settle goes on until nothing is left to do. It fails when that does not end: then two states follow each other for ever.
func (p *process) settle() error {
	for range enough {
		busy := false
		p.ring(p.world.now.Add(gathering))
		for _, kind := range slices.Sorted(maps.Keys(p.world.news)) {
			for p.hear(kind) {
				busy = true
			}
		}
		for len(p.requests) > 0 {
			busy = true
			if err := p.reconcile(0); err != nil {
				return err
			}
		}
		for i := len(p.services); i > 0; i-- {
			busy = true
			if err := p.write(0); err != nil {
				return err
			}
		}
		for len(p.pools) > 0 && len(p.world.news["IPAddressPool"]) == 0 {
			busy = true
			if err := writeNext(&p.pools, p.writers.writePool); err != nil {
				return err
			}
		}
		for len(p.reservations) > 0 && len(p.world.news["IPReservation"]) == 0 {
			busy = true
			if err := writeNext(&p.reservations, p.writers.writeReservation); err != nil {
				return err
			}
		}
		if !busy {
			return nil
		}
	}
	return fmt.Errorf("no rest after %d rounds: requests %v, services %v", enough, p.requests, p.services)
}

// toldEvents counts the events of objects by name and reason.
type toldEvents map[string]map[string]int

func (t toldEvents) Eventf(regarding, _ runtime.Object, _, reason, _, _ string, _ ...any) {
	o := regarding.(client.Object)
	name := kindOf(regarding) + "/" + o.GetNamespace() + "/" + o.GetName()
	if t[name] == nil {
		t[name] = map[string]int{}
	}
	t[name][reason]++
}

// silence records no event.
type silence struct{}

func (silence) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}
