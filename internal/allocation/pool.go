// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"go4.org/netipx"

	"metalsuite.io/api/reason"
)

// Pool is a set of addresses with the rules that say who may have them. It is a value: nobody changes it after SetPools.
type Pool struct {
	// Name is unique among the pools.
	Name string
	// Ranges are valid, do not overlap with each other or with another pool's, and are given out in this order, ascending in each.
	Ranges []netipx.IPRange
	// Excluded is what the pool leaves out although users might think it has it. It explains refusals and nothing else.
	Excluded []netipx.IPRange
	// AutoAssign allows the pool to serve Services that ask for nothing in particular.
	AutoAssign bool
	// AvoidBuggyIPs takes the IPv4 addresses that end in .0 and .255 out of the pool.
	AvoidBuggyIPs bool
	// Pin restricts the pool to some Services; nil means any Service.
	Pin *Pin
	// Frozen says why the pool grants nothing new while what it granted stays; nil for a pool that works.
	Frozen *reason.Problem
}

// Pin says whom a pool is for. A Service must be in the namespaces AND match one of the Services.
type Pin struct {
	// Priority orders pinned pools: the smallest above 0 first, 0 last.
	Priority int
	// Namespaces are the names of the namespaces served. Nil means any; an empty set means none.
	Namespaces map[string]struct{}
	// Services are matched against the Service's labels, one match is enough. Nil means any; an empty list means none.
	Services []Matcher
}

// Matcher decides on the labels of a Service; it neither blocks nor keeps the labels.
type Matcher interface {
	Matches(labels map[string]string) bool
}

// admits reports whether the pool may serve a Service with this namespace and these labels.
func (p *Pool) admits(namespace string, labels map[string]string) bool {
	return p.Pin.Admits(namespace, labels)
}

// Admits reports whether a pin, or none, lets a Service with this namespace and these labels in.
func (p *Pin) Admits(namespace string, labels map[string]string) bool {
	if p == nil {
		return true
	}
	if p.Namespaces != nil {
		if _, ok := p.Namespaces[namespace]; !ok {
			return false
		}
	}
	return p.Services == nil || matchesAny(p.Services, labels)
}

func matchesAny(matchers []Matcher, labels map[string]string) bool {
	for _, m := range matchers {
		if m.Matches(labels) {
			return true
		}
	}
	return false
}
