// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/kube"
)

// Request is what the Reconciler is asked for: one Service, or, with the zero value, everything.
type Request struct {
	Service allocation.Key
	// Again is set, beside no Service, when what changes by itself has to be looked at again: reservations and conflicts.
	Again bool
}

var (
	// everything asks for a pass over all Services under a policy compiled anew.
	everything = Request{}
	// lookAgain asks for what is due: the alarm has rung, or conflicts have changed.
	lookAgain = Request{Again: true}
)

// Reconciler decides. Its one worker owns everything in it but the board and loaded.
type Reconciler struct {
	reader    client.Reader
	namespace string
	class     string
	log       logr.Logger
	// serviceCIDRs lists the ServiceCIDRs, none where there are none.
	serviceCIDRs func(context.Context) (cidrs, error)
	// prepare is done before the first pass until it succeeds.
	prepare func(context.Context) error
	out     outlet
	now     func() time.Time
	// alarm asks for a lookAgain at a time, or earlier. It does not block.
	alarm func(time.Time)

	allocator *allocation.Allocator
	records   map[allocation.Key]record
	// waiting are the keys of the records that wait.
	waiting map[allocation.Key]struct{}
	keeping keeping
	// conflicts are the addresses that something else uses.
	conflicts conflicts
	// taken are the addresses that were given to somebody since those that wait were looked at.
	taken []netip.Addr
	// wake is when the next reservation ends; zero when none does. Likewise lookForCIDRs is when to look for ServiceCIDRs again.
	wake, lookForCIDRs time.Time
	// overdue is set while pools do not say yet which cluster IPs they have: the next alarm asks for a pass, one for all that have changed.
	overdue bool
	loaded  atomic.Bool
}

// outlet takes what was decided to where it is written. No method blocks.
type outlet interface {
	// service posts what a Service gets.
	service(allocation.Key, desired)
	// gone says that a Service does not exist any more.
	gone(allocation.Key)
	// pool posts the figures of a pool after they may have changed.
	pool(string, allocation.Counts)
	// reservation posts what a reservation keeps.
	reservation(string, reservationReport)
	// policy posts what is said about all pools and about the configuration.
	policy(map[string]poolReport, summary)
}

func newReconciler(reader client.Reader, o Options, log logr.Logger, prepare func(context.Context) error, out outlet) *Reconciler {
	listed := func(ctx context.Context) (cidrs, error) {
		var list networkingv1.ServiceCIDRList
		err := reader.List(ctx, &list)
		return cidrs{items: list.Items}, err
	}
	return &Reconciler{
		reader: reader, serviceCIDRs: listed, namespace: o.Namespace, class: o.Class, log: log, prepare: prepare, out: out, now: time.Now, alarm: func(time.Time) {},
		allocator: allocation.New(), records: map[allocation.Key]record{}, waiting: map[allocation.Key]struct{}{},
	}
}

// Reconcile decides on one Service or on all. Until everything was read and decided once, every request is one for everything; an error
// means that nothing was decided, and the caller tries again with back-off. When a reservation ends, everything is decided again.
func (r *Reconciler) Reconcile(ctx context.Context, request Request) (reconcile.Result, error) {
	err := r.serve(ctx, request)
	if errors.Is(err, errBehind) {
		return reconcile.Result{RequeueAfter: catchUp}, nil
	}
	return reconcile.Result{}, err
}

func (r *Reconciler) serve(ctx context.Context, request Request) error {
	err := r.answer(ctx, request)
	if r.loaded.Load() && r.awaited() {
		r.serveWaiting()
	}
	r.count()
	return err
}

func (r *Reconciler) answer(ctx context.Context, request Request) error {
	if request == everything || !r.loaded.Load() {
		return r.all(ctx)
	}
	if r.due() || request == lookAgain && r.overdue {
		if err := r.all(ctx); err != nil {
			return err
		}
	}
	if request == lookAgain {
		r.settleKept()
		err := r.review(ctx)
		r.setAlarm()
		return err
	}
	return r.one(ctx, request.Service)
}

// Loaded reports whether the first pass has ended. It is safe for concurrent use.
func (r *Reconciler) Loaded() bool { return r.loaded.Load() }

func (r *Reconciler) all(ctx context.Context) error {
	if !r.loaded.Load() {
		if err := r.prepare(ctx); err != nil {
			return err
		}
	}
	in, err := r.read(ctx)
	if err != nil {
		return fmt.Errorf("reading the cluster: %w", err)
	}
	r.adoptPolicy(in)
	r.overdue = false
	for _, key := range r.observeAll(in.services) {
		r.settle(key)
	}
	r.serveWaiting()
	r.track(r.keeping.services()...)
	r.settleKept()
	if !r.loaded.Swap(true) {
		r.log.Info("First reconciliation finished", "services", len(r.records), "pools", len(in.pools))
	}
	return nil
}

// observeAll takes note of all Services, lets those go that are not ours any more, and takes over what our Services' statuses name. It
// returns the keys of ours: who holds addresses first, then by age.
func (r *Reconciler) observeAll(services []corev1.Service) []allocation.Key {
	gone := maps.Clone(r.records)
	for i := range services {
		s := &services[i]
		r.clusterIPs(keyOf(s), s)
		delete(gone, keyOf(s))
		r.replace(s)
		if kube.Served(s, r.class) {
			r.note(s)
		} else {
			r.leave(s)
		}
	}
	for key := range gone {
		r.forget(key)
	}
	keys := r.inOrder(slices.Collect(maps.Keys(r.records)))
	for _, key := range keys {
		r.allocator.Adopt(r.records[key].service)
	}
	return keys
}

// one decides on a single Service, and on those that wait if that frees anything.
func (r *Reconciler) one(ctx context.Context, key allocation.Key) error {
	var s corev1.Service
	err := r.reader.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, &s)
	found := &s
	switch {
	case apierrors.IsNotFound(err):
		found = nil
	case err != nil:
		return fmt.Errorf("reading service: %w", err)
	}
	clusterIPs := r.clusterIPs(key, found)
	if found != nil && r.replace(found) {
		r.serveWaiting()
	}
	frees := false
	abroad := r.allocator.Occupies(key)
	switch {
	case found == nil:
		frees = r.forget(key)
	case !kube.Served(&s, r.class):
		frees = r.leave(&s)
	default:
		r.note(&s)
		r.forgetPost(key)
		frees = r.settle(key)
	}
	if now := r.allocator.Occupies(key); !slices.Equal(abroad, now) {
		frees = r.retell(abroad, now) || frees
	}
	frees = r.shift(clusterIPs) || frees
	if frees {
		r.serveWaiting()
	}
	return nil
}

// shift decides again on those that hold addresses of pools that have become cluster IPs or are none any more; it reports whether one that
// waits may profit. The pools themselves say so a moment later, once for all Services that come and go together.
func (r *Reconciler) shift(clusterIPs []netip.Addr) (frees bool) {
	if len(clusterIPs) == 0 {
		return false
	}
	for _, a := range clusterIPs {
		for _, holder := range r.allocator.Holders(a) {
			r.decide(holder)
		}
	}
	r.overdue = true
	r.alarm(r.now().Add(gathering))
	return true
}

// retell decides again on those of our Services that hold an address which a Service of others has begun or ceased to bear, since they are
// told of it; it reports whether one that waits may profit.
func (r *Reconciler) retell(before, after []netip.Addr) (frees bool) {
	r.taken = append(r.taken, without(after, before)...)
	for _, a := range append(without(before, after), without(after, before)...) {
		for _, holder := range r.allocator.Holders(a) {
			frees = r.decide(holder) || frees
		}
	}
	return frees
}

// settle decides on a Service that was noted, and on those that have to give way to it; it reports whether one that waits may profit.
func (r *Reconciler) settle(key allocation.Key) (frees bool) {
	younger, frees := r.arbitrate(key)
	frees = r.decide(key) || frees
	for _, other := range younger {
		frees = r.decide(other) || frees
	}
	return frees
}

// decide decides on a Service that was noted and posts the outcome if it is new; it reports whether one that waits may profit.
func (r *Reconciler) decide(key allocation.Key) (frees bool) {
	rec := r.records[key]
	d := r.allocator.Decide(rec.service)
	if r.remember(key, rec, d) {
		r.post(key)
	}
	r.taken = append(r.taken, d.Granted...)
	if len(d.Granted)+len(d.Lost) > 0 {
		r.log.Info("Addresses of the Service changed", "service", key.String(), "pool", d.Pool, "granted", d.Granted, "lost", d.Lost)
		r.track(key)
	}
	if d.Frees {
		r.refresh()
	}
	return d.Frees
}

// forgetPost makes the next decision on a Service be posted although it may be nothing new: the Service has changed, and the writers are
// to compare, so that what a foreign hand changed is repaired.
func (r *Reconciler) forgetPost(key allocation.Key) {
	rec := r.records[key]
	rec.posted = false
	r.records[key] = rec
}

// post hands what was decided on a Service to the writers.
func (r *Reconciler) post(key allocation.Key) {
	rec := r.records[key]
	r.out.service(key, desired{decision: rec.decision, conflict: rec.conflict, uid: rec.uid, generation: rec.generation, by: r.namespace})
}

// serveWaiting tries those that wait again, the oldest first, until nothing more comes free and each knows why it waits.
func (r *Reconciler) serveWaiting() {
	for again := true; again; {
		again, r.taken = false, nil
		for _, key := range r.inOrder(slices.Collect(maps.Keys(r.waiting))) {
			again = r.decide(key) || again
		}
		again = r.awaited() || again
	}
}

// awaited reports whether a Service that waits asks for an address that was given to somebody since it was looked at: it may wait for
// another reason now.
func (r *Reconciler) awaited() bool {
	taken := r.taken
	r.taken = nil
	if len(taken) == 0 {
		return false
	}
	for key := range r.waiting {
		if slices.ContainsFunc(r.records[key].service.Requested, func(a netip.Addr) bool { return slices.Contains(taken, a) }) {
			return true
		}
	}
	return false
}

// count posts the figures of the pools of which some may have changed.
func (r *Reconciler) count() {
	for _, name := range r.allocator.Changed() {
		if counts, ok := r.allocator.Counts(name); ok {
			r.out.pool(name, counts)
		}
	}
}
