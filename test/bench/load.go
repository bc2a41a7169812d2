// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/suite"
)

// load is a number of Services that several clients create as fast as they can. The Services have no endpoints and no node ports, so that
// what is measured is the allocation of addresses and not kube-proxy, nor the API server's search for free ports.
type load struct {
	bench
	namespace string
	services  int
	clients   int
	// labels of the Services.
	labels map[string]string
	// app are the servers behind the Services; empty for none.
	app string
}

// taken are the figures of one load.
type taken struct {
	// sinceFirst and sinceLast are from the start of the first create and the end of the last one until all have an address.
	sinceFirst, sinceLast time.Duration
	// cpu is what the controller used for it, memory what it held then.
	cpu, memory float64
	// others are the addresses that were assigned before.
	others int64
}

// thousand measures how long 1,000 Services wait for their addresses while speakers and kube-proxy run as ever.
func (b bench) thousand(ctx context.Context, trials int) error {
	var first, last, cpu, memory, deleted, freed []float64
	for range trials {
		l := load{bench: b, namespace: "bench-thousand", services: 1000, clients: 8}
		t, err := l.take(ctx)
		if err != nil {
			return err
		}
		goneFirst, goneLast, err := l.remove(ctx, t.others)
		if err != nil {
			return err
		}
		first, last = append(first, t.sinceFirst.Seconds()), append(last, t.sinceLast.Seconds())
		deleted, freed = append(deleted, goneFirst.Seconds()), append(freed, goneLast.Seconds())
		cpu, memory = append(cpu, t.cpu), append(memory, t.memory)
	}
	report("1,000 Services: first create -> all have an address", "s", first)
	report("1,000 Services: last create -> all have an address", "s", last)
	report("1,000 Services: controller's CPU until then", "s", cpu)
	report("1,000 Services: controller's memory", "MiB", memory)
	report("1,000 Services: first delete -> none in the pool's status", "s", deleted)
	report("1,000 Services: last delete -> none in the pool's status", "s", freed)
	return nil
}

// unproxied keeps kube-proxy from working on a Service (Kubernetes: well-known labels), so that the machine's time is the controller's.
var unproxied = map[string]string{"service.kubernetes.io/service-proxy-name": "none"}

// tenThousand measures what 10,000 Services cost the controller, and how soon one that starts anew serves the next one.
func (b bench) tenThousand(ctx context.Context, trials int) error {
	only := suite.MetalLB()
	only.Spec.Announcers = []v1beta1.Announcer{}
	if err := errors.Join(b.Apply(ctx, only), b.AwaitAvailable(ctx, 2*limit)); err != nil {
		return err
	}
	l := load{bench: b, namespace: "bench-ten-thousand", services: 10000, clients: 16, labels: unproxied}
	t, err := l.take(ctx)
	if err != nil {
		return err
	}
	report("10,000 Services: first create -> all have an address", "s", []float64{t.sinceFirst.Seconds()})
	report("10,000 Services: last create -> all have an address", "s", []float64{t.sinceLast.Seconds()})
	report("10,000 Services: controller's CPU until then", "s", []float64{t.cpu})
	report("10,000 Services: controller's memory", "MiB", []float64{t.memory})
	if err := l.restarts(ctx, trials); err != nil {
		return err
	}
	first, last, err := l.remove(ctx, t.others+int64(trials))
	report("10,000 Services: first delete -> none in the pool's status", "s", []float64{first.Seconds()})
	report("10,000 Services: last delete -> none in the pool's status", "s", []float64{last.Seconds()})
	return err
}

// take makes the Services and returns what that took.
func (l load) take(ctx context.Context) (t taken, err error) {
	if t.others, err = l.assigned(ctx); err != nil {
		return t, err
	}
	before, err := l.used(ctx)
	if err != nil {
		return t, err
	}
	if t.sinceFirst, t.sinceLast, err = l.create(ctx); err != nil {
		return t, err
	}
	after, err := l.used(ctx)
	t.cpu, t.memory = after.seconds-before.seconds, after.mebibytes
	return t, err
}

// create makes the Services and waits for their addresses. It returns how long that took from the start of the first create and from the
// end of the last one.
func (l load) create(ctx context.Context) (sinceFirst, sinceLast time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*limit)
	defer cancel()
	if err := l.Apply(ctx, suite.HelloNamespace(l.namespace)); err != nil {
		return 0, 0, err
	}
	seen, err := l.follow(ctx, l.namespace)
	if err != nil {
		return 0, 0, err
	}
	defer seen.stop()
	var creating errgroup.Group
	begin := time.Now()
	var end time.Time
	creating.Go(func() error {
		err := l.each(func(i int) error { return l.Client.Create(ctx, l.service(i)) })
		end = time.Now()
		return err
	})
	all, err := seen.addressed(ctx, l.services)
	if err := errors.Join(creating.Wait(), err); err != nil {
		return 0, 0, fmt.Errorf("creating %d Services: %w", l.services, err)
	}
	return all.Sub(begin), all.Sub(end), nil
}

// each calls do for the number of every Service, from all clients at once.
func (l load) each(do func(i int) error) error {
	var group errgroup.Group
	var next atomic.Int64
	for range l.clients {
		group.Go(func() error {
			for i := int(next.Add(1)); i <= l.services; i = int(next.Add(1)) {
				if err := do(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (l load) service(i int) *corev1.Service { return l.named(fmt.Sprintf("load-%d", i)) }

func (l load) named(name string) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: l.namespace, Labels: l.labels},
		Spec: corev1.ServiceSpec{
			Type:                          corev1.ServiceTypeLoadBalancer,
			AllocateLoadBalancerNodePorts: ptr.To(false),
			Ports:                         []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
	if l.app != "" {
		s.Spec.Selector = map[string]string{"app": l.app}
	}
	return s
}

// remove deletes the Services and returns how long it took, from the start of the first delete and from the end of the last one, until
// the pool's status counts none but the others.
func (l load) remove(ctx context.Context, others int64) (sinceFirst, sinceLast time.Duration, err error) {
	begin := time.Now()
	if err := l.each(func(i int) error { return l.Client.Delete(ctx, l.service(i)) }); err != nil {
		return 0, 0, fmt.Errorf("deleting %d Services: %w", l.services, err)
	}
	end := time.Now()
	err = suite.Await(ctx, limit, func(ctx context.Context) error {
		left, err := l.assigned(ctx)
		if err == nil && left != others {
			err = fmt.Errorf("%d addresses are assigned, want %d", left, others)
		}
		return err
	})
	return time.Since(begin), time.Since(end), err
}

func (b bench) assigned(ctx context.Context) (int64, error) {
	var pool v1beta1.IPAddressPool
	if err := b.Client.Get(ctx, client.ObjectKey{Namespace: suite.Namespace, Name: poolName}, &pool); err != nil {
		return 0, fmt.Errorf("reading the pool's status: %w", err)
	}
	return pool.Status.AssignedIPv4, nil
}

// restarts deletes the controller's pod several times, creates a Service at that moment, and measures until it has its address, and the
// parts of that as the new controller's log tells them. No other Service's address may change.
func (l load) restarts(ctx context.Context, trials int) error {
	parts := map[string][]float64{}
	before, err := l.addresses(ctx)
	if err != nil {
		return err
	}
	for trial := range trials {
		if err := l.restart(ctx, fmt.Sprintf("after-restart-%d", trial), parts); err != nil {
			return err
		}
	}
	for _, part := range []string{partServed, partStart, partRead, partLease, partDecide, partGrant} {
		report("10,000 Services, controller's pod deleted: "+part, "s", parts[part])
	}
	after, err := l.addresses(ctx)
	if err != nil {
		return err
	}
	changed := 0
	for name, address := range before {
		if after[name] != address {
			changed++
		}
	}
	report(fmt.Sprintf("10,000 Services, %d restarts: addresses that changed", trials), "", []float64{float64(changed)})
	return nil
}

func (l load) addresses(ctx context.Context) (map[string]string, error) {
	var list corev1.ServiceList
	if err := l.Client.List(ctx, &list, client.InNamespace(l.namespace)); err != nil {
		return nil, fmt.Errorf("listing services: %w", err)
	}
	all := map[string]string{}
	for i := range list.Items {
		maps.Copy(all, addressOf(&list.Items[i]))
	}
	return all, nil
}
