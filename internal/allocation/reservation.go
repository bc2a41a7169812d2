// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"metalsuite.io/api/reason"
)

// Reservation keeps the free addresses of its ranges from being granted. Who holds one keeps it, and who may share it may join.
type Reservation struct {
	// Name is unique among the reservations.
	Name string
	// Ranges are valid and overlap with no range of this or another reservation. They may lie outside of all pools.
	Ranges []netipx.IPRange
	// For is the Service that may have the addresses, and that is given them before all others; nil means nobody.
	For *Key
}

// isFor reports whether the Service may have what the reservation keeps; there may be no reservation.
func (r *Reservation) isFor(key Key) bool {
	return r == nil || r.For != nil && *r.For == key
}

// SetReservations makes reservations the complete set. What is held stays held. The caller has to decide on all Services again.
func (a *Allocator) SetReservations(reservations []Reservation) {
	a.reserved, a.favoured = nil, map[Key]struct{}{}
	for i := range reservations {
		r := &reservations[i]
		for _, bounds := range r.Ranges {
			a.reserved = append(a.reserved, piece[Reservation]{bounds, r})
		}
		if r.For != nil {
			a.favoured[*r.For] = struct{}{}
		}
	}
	slices.SortFunc(a.reserved, func(x, y piece[Reservation]) int { return x.bounds.From().Compare(y.bounds.From()) })
	a.rebuild()
}

// spare returns why a Service may not be granted a free address; nil when no reservation keeps it from the Service.
func (a *Allocator) spare(key Key, address netip.Addr) *reason.Problem {
	s := a.spanOf(address)
	if s == nil || s.reservation.isFor(key) || a.holdings[address] != nil {
		return nil
	}
	return reason.New(reason.AddressReserved, "%s is reserved by IPReservation %s", address, s.reservation.Name)
}

// favour grants what is reserved for the Service: from the first pool, by name, that may serve it and has some of it.
func (a *Allocator) favour(s *request) ([]netip.Addr, *poolState) {
	if _, ok := a.favoured[s.Key]; !ok {
		return nil, nil
	}
	families, oneIsEnough := s.wants()
	for _, p := range a.pools {
		if a.mayGrant(s, p) != nil {
			continue
		}
		var got []netip.Addr
		reserved := false
		for _, f := range families {
			if address, ok := a.firstIn(p, f, s); ok {
				got = append(got, address)
				by := a.spanOf(address).reservation
				reserved = reserved || by != nil && by.isFor(s.Key)
			}
		}
		if reserved && (len(got) == len(families) || oneIsEnough) {
			return got, p
		}
	}
	return nil, nil
}

// keepers names the reservations that keep free addresses of these families and pools from the Service; empty when none does.
func (a *Allocator) keepers(s *request, families []Family, pools []*poolState) string {
	var names []string
	for _, p := range pools {
		for _, sp := range p.spans {
			if !sp.reservation.isFor(s.Key) && slices.Contains(families, sp.family()) && !slices.Contains(names, sp.reservation.Name) && sp.spare() > 0 {
				names = append(names, sp.reservation.Name)
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	const most = 3
	if len(names) > most {
		names = append(names[:most], "others")
	}
	return "; reserved by IPReservation " + strings.Join(names, ", ")
}
