// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"
	"time"

	"go4.org/netipx"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
)

// compileReservations lists what is kept. An address that two reservations name is kept by the older one; an entry that cannot be
// understood is left out alone, for the others are kept in any case.
func (p *Policy) compileReservations(o Objects, found findings) {
	p.Ended = map[string]bool{}
	var taken claims
	for _, in := range byAge(o.Reservations) {
		end := endOf(in)
		if !end.IsZero() && !o.Now.IsZero() && !o.Now.Before(end) {
			p.Ended[in.Name] = true
			continue
		}
		if !end.IsZero() && (p.Wake.IsZero() || end.Before(p.Wake)) {
			p.Wake = end
		}
		taken = p.compileReservation(in, taken, found)
	}
	slices.SortFunc(p.Reservations, func(a, b allocation.Reservation) int { return cmp.Compare(a.Name, b.Name) })
}

// endOf is when a reservation ends; zero when nothing ends it yet.
func endOf(in *v1beta1.IPReservation) time.Time {
	var end time.Time
	if in.Spec.ExpiresAt != nil {
		end = in.Spec.ExpiresAt.Time
	}
	if in.Spec.KeepFor != nil && in.Status.UnusedSince != nil {
		if unused := in.Status.UnusedSince.Add(in.Spec.KeepFor.Duration); end.IsZero() || unused.Before(end) {
			end = unused
		}
	}
	return end
}

// KeepsWhatServiceHas reports whether a reservation keeps the addresses that its Service has, rather than some of its own.
func KeepsWhatServiceHas(in *v1beta1.IPReservation) bool {
	return len(in.Spec.Addresses) == 0 && in.Spec.Service != nil
}

func (p *Policy) compileReservation(in *v1beta1.IPReservation, taken claims, found findings) claims {
	ref := ObjectRef{KindIPReservation, in.Name}
	out := allocation.Reservation{Name: in.Name, For: serviceOf(in)}
	entries := in.Spec.Addresses
	if KeepsWhatServiceHas(in) {
		entries = in.Status.Addresses
	}
	for _, entry := range entries {
		r, err := ParseAddresses(entry)
		if err != nil {
			found.add(ref, reason.New(reason.InvalidAddressRange, "reservation %q: %v", in.Name, err))
			continue
		}
		common := taken.overlapping(r)
		if i := slices.IndexFunc(common, func(c claim) bool { return c.pool != in.Name }); i >= 0 {
			found.add(ref, reason.New(reason.ReservationOverlap, "%q in reservation %q overlaps with %q of reservation %q",
				entry, in.Name, common[i].entry, common[i].pool))
		}
		var free []netipx.IPRange
		taken, free = taken.with(claim{bounds: r, entry: entry, pool: in.Name})
		out.Ranges = append(out.Ranges, free...)
	}
	if len(out.Ranges) > 0 {
		p.Reservations = append(p.Reservations, out)
	}
	return taken
}

func serviceOf(in *v1beta1.IPReservation) *allocation.Key {
	if in.Spec.Service == nil {
		return nil
	}
	return &allocation.Key{Namespace: in.Spec.Service.Namespace, Name: in.Spec.Service.Name}
}
