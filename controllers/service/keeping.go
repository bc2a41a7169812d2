// SPDX-License-Identifier: Apache-2.0

package service

import (
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

// gathering is how long changes of what is kept may add up before the Allocator and the status hear of them, unless an address comes free;
// likewise changes of the cluster IPs in pools.
const gathering = 50 * time.Millisecond

// keeping are the reservations as this process knows them. What a reservation keeps for a Service follows what the Service gets, which is
// known here before it is written. It belongs to the one worker of the Reconciler.
type keeping struct {
	objects []v1beta1.IPReservation
	// known is what we know of a reservation beyond what its status said when it was first seen.
	known map[types.UID]known
	// dirty is set while the Allocator does not know yet what has changed.
	dirty bool
}

// known is the changing part of a reservation's status, and for whom and of what kind the reservation was then.
type known struct {
	addresses   []string
	inUse       bool
	unusedSince time.Time

	service v1beta1.ServiceReference
	follows bool
}

// reservationReport is what is to stand in the status of a reservation.
type reservationReport struct {
	known
	// problem is what there is to say, ended that it keeps nothing, faulty that the reservation itself is wrong.
	problem       *reason.Problem
	ended, faulty bool
	// uid and generation of the reservation that was judged.
	uid        types.UID
	generation int64
}

// reset takes over the reservations as they are now. What a reservation kept is forgotten when it is changed to be for another Service, or
// to keep other addresses than before.
func (k *keeping) reset(objects []v1beta1.IPReservation) {
	before := k.known
	k.objects, k.known, k.dirty = slices.Clone(objects), make(map[types.UID]known, len(objects)), false
	for i := range k.objects {
		o := &k.objects[i]
		state, ok := before[o.UID]
		if !ok {
			state = recorded(o)
		}
		now := known{follows: policy.KeepsWhatServiceHas(o)}
		if o.Spec.Service != nil {
			now.service = *o.Spec.Service
		}
		if ok && (now.service != state.service || now.follows != state.follows) {
			state = known{}
		}
		state.service, state.follows = now.service, now.follows
		if !state.follows {
			state.addresses = o.Spec.Addresses
		}
		k.known[o.UID] = state
		k.write(o)
	}
}

// recorded is what the status of a reservation says.
func recorded(o *v1beta1.IPReservation) known {
	state := known{addresses: o.Status.Addresses, inUse: o.Status.InUse}
	if o.Status.UnusedSince != nil {
		state.unusedSince = o.Status.UnusedSince.Time
	}
	return state
}

// write puts what is known into our copy of the object, for the policy to be compiled from.
func (k *keeping) write(o *v1beta1.IPReservation) {
	k.known[o.UID].fill(&o.Status)
}

func (s known) fill(status *v1beta1.IPReservationStatus) {
	status.Addresses, status.InUse, status.UnusedSince = s.addresses, s.inUse, nil
	if !s.unusedSince.IsZero() {
		status.UnusedSince = &metav1.Time{Time: s.unusedSince}
	}
}

// observe takes note of what a Service has now.
func (k *keeping) observe(key allocation.Key, has []netip.Addr, now time.Time) {
	for i := range k.objects {
		o := &k.objects[i]
		if s := o.Spec.Service; s == nil || s.Namespace != key.Namespace || s.Name != key.Name {
			continue
		}
		before := k.known[o.UID]
		after := before.having(has, now)
		if !slices.Equal(before.addresses, after.addresses) || before.inUse != after.inUse || !before.unusedSince.Equal(after.unusedSince) {
			k.known[o.UID] = after
			k.write(o)
			k.dirty = true
		}
	}
}

// having is what is known once the Service has these addresses.
func (s known) having(has []netip.Addr, now time.Time) known {
	if s.follows && len(has) > 0 {
		s.addresses = texts(has)
	}
	switch {
	case uses(s.addresses, has):
		s.inUse, s.unusedSince = true, time.Time{}
	case s.inUse:
		s.inUse, s.unusedSince = false, now.Truncate(time.Second)
	}
	return s
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

// track takes note of what Services have got or lost, for the reservations that are for them.
func (r *Reconciler) track(keys ...allocation.Key) {
	if len(r.keeping.objects) == 0 {
		return
	}
	for _, key := range keys {
		r.keeping.observe(key, r.has(key), r.now())
	}
	if r.keeping.dirty {
		r.alarm(r.now().Add(gathering))
	}
}

// has returns what a Service has. Until there was a pool nobody holds anything, and what the status names is left to the Service.
func (r *Reconciler) has(key allocation.Key) []netip.Addr {
	if held := r.allocator.Holds(key); len(held) > 0 {
		return held
	}
	return r.records[key].decision.Addresses
}

// refresh lets the Allocator know what is kept by now, and reports whether that is anything new. It is due before an address that came free is
// granted.
func (r *Reconciler) refresh() bool {
	if !r.keeping.dirty {
		return false
	}
	r.keeping.dirty = false
	r.reserve(policy.Compile(policy.Objects{Reservations: r.keeping.objects, Now: r.now()}))
	return true
}

// settleKept lets the Allocator know what is kept by now, and those that wait have what is not kept any more.
func (r *Reconciler) settleKept() {
	for r.refresh() {
		r.serveWaiting()
	}
}

// reserve hands the reservations of a policy to the Allocator and reports on each.
func (r *Reconciler) reserve(p *policy.Policy) {
	r.allocator.SetReservations(p.Reservations)
	r.wake = p.Wake
	r.setAlarm()
	for i := range r.keeping.objects {
		o := &r.keeping.objects[i]
		report := reservationReport{known: r.keeping.known[o.UID], uid: o.UID, generation: o.Generation}
		switch problem, wrong := p.ProblemOf(policy.ObjectRef{Kind: policy.KindIPReservation, Name: o.Name}); {
		case p.Ended[o.Name]:
			report.problem, report.ended = reason.New(reason.ReservationExpired, ""), true
		case wrong:
			report.problem, report.faulty = &problem, true
			report.ended = !slices.ContainsFunc(p.Reservations, func(a allocation.Reservation) bool { return a.Name == o.Name })
		case len(report.addresses) == 0:
			report.problem, report.ended = reason.New(reason.NothingToReserve, ""), true
		}
		r.out.reservation(o.Name, report)
	}
}

// setAlarm asks to be woken when the next reservation or conflict ends, and when to look for ServiceCIDRs. An alarm that rings is set no more.
func (r *Reconciler) setAlarm() {
	for _, at := range [...]time.Time{r.wake, r.conflicts.wake, r.lookForCIDRs} {
		if !at.IsZero() {
			r.alarm(at)
		}
	}
}

// due reports whether a reservation has ended since the last pass, or it is time to look for ServiceCIDRs.
func (r *Reconciler) due() bool {
	return slices.ContainsFunc([]time.Time{r.wake, r.lookForCIDRs}, func(at time.Time) bool { return !at.IsZero() && !r.now().Before(at) })
}
