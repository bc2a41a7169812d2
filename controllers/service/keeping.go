// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/policy"
)

// keeping are the reservations as this process knows them. What a reservation keeps for a Service follows what the Service gets, which is
// known here before it is written. It belongs to the one worker of the Reconciler.
type keeping struct {
	objects []v1beta1.IPReservation
	// known is what we know of a reservation beyond what its status said when it was first seen.
	known map[types.UID]known
}

// known is the changing part of a reservation's status.
type known struct {
	addresses   []string
	unusedSince time.Time
}

// reservationReport is what is to stand in the status of a reservation.
type reservationReport struct {
	known
	problem *reason.Problem
	// generation of the reservation that was judged.
	generation int64
}

// reset takes over the reservations as they are now.
func (k *keeping) reset(objects []v1beta1.IPReservation) {
	before := k.known
	k.objects, k.known = slices.Clone(objects), make(map[types.UID]known, len(objects))
	for i := range k.objects {
		o := &k.objects[i]
		state, ok := before[o.UID]
		if !ok {
			state = known{addresses: o.Status.Addresses}
			if o.Status.UnusedSince != nil {
				state.unusedSince = o.Status.UnusedSince.Time
			}
		}
		if !policy.KeepsWhatServiceHas(o) {
			state.addresses = o.Spec.Addresses
		}
		k.known[o.UID] = state
		k.write(o)
	}
}

// write puts what is known into our copy of the object, for the policy to be compiled from.
func (k *keeping) write(o *v1beta1.IPReservation) {
	state := k.known[o.UID]
	o.Status.Addresses, o.Status.UnusedSince = state.addresses, nil
	if !state.unusedSince.IsZero() {
		o.Status.UnusedSince = &metav1.Time{Time: state.unusedSince}
	}
}

// observe takes note of what a Service has now; it reports whether that changes what is kept, or for how long.
func (k *keeping) observe(key allocation.Key, has []netip.Addr, now time.Time) (changed bool) {
	for i := range k.objects {
		o := &k.objects[i]
		if s := o.Spec.Service; s == nil || s.Namespace != key.Namespace || s.Name != key.Name {
			continue
		}
		before := k.known[o.UID]
		after := before
		if policy.KeepsWhatServiceHas(o) && len(has) > 0 {
			after.addresses = texts(has)
		}
		switch used := uses(after.addresses, has); {
		case used || len(after.addresses) == 0:
			after.unusedSince = time.Time{}
		case after.unusedSince.IsZero():
			after.unusedSince = now.Truncate(time.Second)
		}
		if !slices.Equal(before.addresses, after.addresses) || !before.unusedSince.Equal(after.unusedSince) {
			k.known[o.UID] = after
			k.write(o)
			changed = true
		}
	}
	return changed
}

// uses reports whether one of the addresses is among those that are kept.
func uses(kept []string, has []netip.Addr) bool {
	return slices.ContainsFunc(kept, func(entry string) bool {
		r, err := policy.ParseAddresses(entry)
		return err == nil && slices.ContainsFunc(has, r.Contains)
	})
}

func texts(addresses []netip.Addr) []string {
	list := make([]string, len(addresses))
	for i, a := range addresses {
		list[i] = a.String()
	}
	return list
}

// services are those that a reservation is for.
func (k *keeping) services() []allocation.Key {
	var keys []allocation.Key
	for i := range k.objects {
		if s := k.objects[i].Spec.Service; s != nil {
			keys = append(keys, allocation.Key{Namespace: s.Namespace, Name: s.Name})
		}
	}
	return keys
}

// track brings the reservations up to date after a Service got or lost addresses, or went.
func (r *Reconciler) track(keys ...allocation.Key) {
	changed := false
	for _, key := range keys {
		changed = r.keeping.observe(key, r.allocator.Holds(key), r.now()) || changed
	}
	if changed {
		r.reserve(policy.Compile(policy.Objects{Reservations: r.keeping.objects, Now: r.now()}))
	}
}

// reserve hands the reservations of a policy to the Allocator and reports on each.
func (r *Reconciler) reserve(p *policy.Policy) {
	r.allocator.SetReservations(p.Reservations)
	r.wake = p.Wake
	for i := range r.keeping.objects {
		o := &r.keeping.objects[i]
		report := reservationReport{known: r.keeping.known[o.UID], generation: o.Generation}
		switch problem, wrong := p.ProblemOf(policy.ObjectRef{Kind: policy.KindIPReservation, Name: o.Name}); {
		case p.Ended[o.Name]:
			report.problem = reason.New(reason.ReservationExpired, "")
		case wrong:
			report.problem = &problem
		case len(report.addresses) == 0:
			report.problem = reason.New(reason.NothingToReserve, "")
		}
		r.out.reservation(o.Name, report)
	}
}

// due reports whether a reservation has ended since the last pass.
func (r *Reconciler) due() bool { return !r.wake.IsZero() && !r.now().Before(r.wake) }

// untilWake is how long the next end of a reservation is away; 0 when none is known.
func (r *Reconciler) untilWake() time.Duration {
	if r.wake.IsZero() {
		return 0
	}
	return cmp.Or(max(r.wake.Sub(r.now()), 0), time.Millisecond)
}
