// SPDX-License-Identifier: Apache-2.0

package service

import (
	"net/netip"
	"slices"
	"sync"

	"metalsuite.io/internal/allocation"
)

// inFlight are the grants that were written and that the cache has not heard of: there the Service is as it was before. A write is made on
// top of what the cache has, so there is one for a Service at most. It is safe for concurrent use.
type inFlight struct {
	mu        sync.Mutex
	flights   map[allocation.Key]flight
	byAddress map[netip.Addr][]allocation.Key
}

// flight is one write: the addresses that it adds to the status, and the version on top of which it was made.
type flight struct {
	addresses []netip.Addr
	base      string
}

func newInFlight() *inFlight {
	return &inFlight{flights: map[allocation.Key]flight{}, byAddress: map[netip.Addr][]allocation.Key{}}
}

// sent takes note of a write that is about to be made. Whether one that failed was made after all shows when the cache hears of the next
// version.
func (f *inFlight) sent(key allocation.Key, added []netip.Addr, base string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flights[key].base != base {
		f.drop(key)
	}
	added = without(added, f.flights[key].addresses)
	if len(added) == 0 {
		return
	}
	f.flights[key] = flight{append(added, f.flights[key].addresses...), base}
	for _, a := range added {
		f.byAddress[a] = append(f.byAddress[a], key)
	}
}

// forget drops the write of a Service that is gone.
func (f *inFlight) forget(key allocation.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(key)
}

// heard forgets the write of a Service that the cache has at this version, unless that is the one on top of which it was made.
func (f *inFlight) heard(key allocation.Key, version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flights[key].base != version {
		f.drop(key)
	}
}

func (f *inFlight) drop(key allocation.Key) {
	for _, a := range f.flights[key].addresses {
		f.byAddress[a] = slices.DeleteFunc(f.byAddress[a], func(k allocation.Key) bool { return k == key })
		if len(f.byAddress[a]) == 0 {
			delete(f.byAddress, a)
		}
	}
	delete(f.flights, key)
}

// bearers are the Services to whose status the address is being added.
func (f *inFlight) bearers(a netip.Addr) []allocation.Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.byAddress[a])
}
