// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"

	"go4.org/netipx"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
)

// frozenPool are the ranges of a pool that grants nothing; they may overlap with those of other pools.
type frozenPool struct {
	name   string
	ranges claims
}

func (p *Policy) compilePools(o Objects, found findings) {
	p.buggy = map[string]bool{}
	var taken claims
	for _, pool := range byAge(o.Pools) {
		taken = p.compilePool(pool, taken, o.Namespaces, found)
	}
	slices.SortFunc(p.Pools, func(a, b allocation.Pool) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.frozen, func(a, b frozenPool) int { return cmp.Compare(a.name, b.name) })
	slices.SortFunc(p.granting, func(a, b claim) int { return a.bounds.From().Compare(b.bounds.From()) })
}

// compilePool adds a pool and returns what is taken now: the ranges of this pool and of all older ones.
func (p *Policy) compilePool(in *v1beta1.IPAddressPool, taken claims, namespaces map[string]map[string]string, found findings) claims {
	ref := ObjectRef{KindIPAddressPool, in.Name}
	out := allocation.Pool{
		Name:          in.Name,
		AutoAssign:    in.Spec.AutoAssign == nil || *in.Spec.AutoAssign,
		AvoidBuggyIPs: in.Spec.AvoidBuggyIPs,
	}
	excluded, problems := excludedRanges(in)
	own, ranges, wrong := ownRanges(in, excluded)
	problems = append(problems, wrong...)
	for _, c := range own {
		if older := taken.overlapping(c.bounds); len(older) > 0 {
			problems = append(problems, reason.New(reason.PoolOverlap, "CIDR %q in pool %q overlaps with already defined CIDR %q of pool %q",
				c.entry, in.Name, older[0].entry, older[0].pool))
		}
	}
	pin, problem := compilePin(in.Spec.ServiceAllocation, namespaces)
	if problem != nil {
		problems = append(problems, problem)
	}
	out.Ranges, out.Excluded, out.Pin = ranges, excluded.bounds(), pin
	p.buggy[in.Name] = in.Spec.AvoidBuggyIPs
	if len(problems) > 0 {
		out.Frozen = join(problems)
		p.frozen = append(p.frozen, frozenPool{in.Name, own})
	} else {
		p.granting = append(p.granting, own...)
	}
	for _, problem := range problems {
		found.add(ref, problem)
	}
	p.Pools = append(p.Pools, out)
	for _, c := range own {
		taken, _ = taken.with(c)
	}
	return taken
}

// excludedRanges returns what a pool leaves out.
func excludedRanges(in *v1beta1.IPAddressPool) (excluded claims, problems []*reason.Problem) {
	for _, entry := range in.Spec.Exclude {
		r, err := ParseAddresses(entry)
		if err != nil {
			problems = append(problems, reason.New(reason.InvalidAddressRange, "pool %q: exclude: %v", in.Name, err))
			continue
		}
		excluded, _ = excluded.with(claim{bounds: r, entry: entry, pool: in.Name})
	}
	return excluded, problems
}

// ownRanges returns the ranges of a pool in ascending order and in the order of their entries, without what is excluded. Of entries that
// overlap the first has the common addresses.
func ownRanges(in *v1beta1.IPAddressPool, excluded claims) (own claims, ranges []netipx.IPRange, problems []*reason.Problem) {
	if len(in.Spec.Addresses) == 0 {
		return nil, nil, []*reason.Problem{reason.New(reason.NoAddresses, "pool %q has no addresses", in.Name)}
	}
	for _, entry := range in.Spec.Addresses {
		r, err := ParseRange(entry)
		if err != nil {
			problems = append(problems, reason.New(reason.InvalidAddressRange, "pool %q: %v", in.Name, err))
			continue
		}
		if other := own.overlapping(r); len(other) > 0 {
			problems = append(problems, reason.New(reason.PoolOverlap, "CIDR %q in pool %q overlaps with already defined CIDR %q",
				entry, in.Name, other[0].entry))
		}
		for _, piece := range subtract(r, excluded.overlapping(r)) {
			var free []netipx.IPRange
			own, free = own.with(claim{bounds: piece, entry: entry, pool: in.Name})
			ranges = append(ranges, free...)
		}
	}
	return own, ranges, problems
}

// compilePin says whom a pool is for. Selectors that match nobody make it a pool for nobody.
func compilePin(in *v1beta1.ServiceAllocation, namespaces map[string]map[string]string) (*allocation.Pin, *reason.Problem) {
	if in == nil {
		return nil, nil
	}
	inNamespaces, nsProblem := compileSelectors("namespaceSelectors", in.NamespaceSelectors)
	services, problem := compileSelectors("serviceSelectors", in.ServiceSelectors)
	if p := firstOf(repeated("namespaces", in.Namespaces), nsProblem, problem); p != nil {
		return nil, p
	}
	pin := &allocation.Pin{Priority: in.Priority, Services: services.matchers()}
	if len(in.Namespaces)+len(inNamespaces) > 0 {
		pin.Namespaces = map[string]struct{}{}
		for _, name := range append(inNamespaces.names(namespaces), in.Namespaces...) {
			pin.Namespaces[name] = struct{}{}
		}
	}
	return pin, nil
}
