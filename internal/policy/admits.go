// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"slices"

	"metalsuite.io/internal/allocation"
)

// Admits reports whether a Service in this namespace, with these labels, may keep addresses of the pool. A frozen pool takes nothing
// from anybody; a pool that does not exist admits nobody.
func (p *Policy) Admits(pool, namespace string, labels map[string]string) bool {
	i, found := slices.BinarySearchFunc(p.Pools, pool, func(x allocation.Pool, name string) int { return cmp.Compare(x.Name, name) })
	if !found {
		return false
	}
	return p.Pools[i].Frozen != nil || p.Pools[i].Pin == nil || pinAdmits(p.Pools[i].Pin, namespace, labels)
}

// pinAdmits is the rule of a pin: in the namespaces AND matched by one of the Services.
func pinAdmits(pin *allocation.Pin, namespace string, labels map[string]string) bool {
	if _, listed := pin.Namespaces[namespace]; pin.Namespaces != nil && !listed {
		return false
	}
	matches := func(m allocation.Matcher) bool { return m.Matches(labels) }
	return pin.Services == nil || slices.ContainsFunc(pin.Services, matches)
}
