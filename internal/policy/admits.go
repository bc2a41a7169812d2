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
	return p.Pools[i].Frozen != nil || p.Pools[i].Pin.Admits(namespace, labels)
}
