// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"net/netip"
	"slices"
)

// clusterIPs are those of all Services of the cluster, each way round. The API server gives a cluster IP to one Service only.
type clusterIPs struct {
	of map[Key][]netip.Addr
	at map[netip.Addr]Key
}

// SetClusterIPs makes addresses the complete set of cluster IPs of a Service, of whatever type it is. They are granted to nobody; a Service
// that holds one keeps it and is told so. Those within a withheld range are not kept in mind: they are withheld already, so the caller has to
// name all of them again after SetWithheld. It returns the addresses that are cluster IPs now and were none, or the other way round, and that
// a pool has: the caller has to decide again on who holds or awaits them.
func (a *Allocator) SetClusterIPs(key Key, addresses []netip.Addr) (changed []netip.Addr) {
	addresses = slices.DeleteFunc(slices.Clone(addresses), func(x netip.Addr) bool { return a.withheldSet.block(x) != nil })
	before := a.clusterIPs.of[key]
	if slices.Equal(before, addresses) {
		return nil
	}
	a.clusterIPs.of[key] = addresses
	if len(addresses) == 0 {
		delete(a.clusterIPs.of, key)
	}
	for _, gone := range without(before, addresses) {
		if a.clusterIPs.at[gone] != key {
			continue // another Service has it by now
		}
		delete(a.clusterIPs.at, gone)
		a.regain(gone)
		changed = append(changed, gone)
	}
	for _, address := range without(addresses, before) {
		a.clusterIPs.at[address] = key
		changed = append(changed, address)
	}
	changed = slices.DeleteFunc(changed, func(x netip.Addr) bool { return a.spanOf(x) == nil })
	if len(changed) > 0 {
		a.sorted = nil
		a.changesAt(changed...)
	}
	return changed
}
