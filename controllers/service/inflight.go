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

// sent takes note of a write that is about to be made and returns what it adds to those before it. Whether one that got no answer was made
// after all shows when the cache hears of the next version.
func (f *inFlight) sent(key allocation.Key, added []netip.Addr, base string) []netip.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flights[key].base != base {
		f.drop(key)
	}
	added = without(added, f.flights[key].addresses)
	if len(added) == 0 {
		return nil
	}
	f.flights[key] = flight{append(added, f.flights[key].addresses...), base}
	for _, a := range added {
		f.byAddress[a] = append(f.byAddress[a], key)
	}
	return added
}

// refused takes back what a write added that was certainly not made. What an earlier one on top of the same version added stays, since
// that may have been made.
func (f *inFlight) refused(key allocation.Key, added []netip.Addr, base string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.flights[key]
	if was.base != base || len(added) == 0 {
		return
	}
	for _, a := range added {
		f.land(key, a)
	}
	if left := without(was.addresses, added); len(left) > 0 {
		f.flights[key] = flight{left, base}
	} else {
		delete(f.flights, key)
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
		f.land(key, a)
	}
	delete(f.flights, key)
}

func (f *inFlight) land(key allocation.Key, a netip.Addr) {
	f.byAddress[a] = slices.DeleteFunc(f.byAddress[a], func(k allocation.Key) bool { return k == key })
	if len(f.byAddress[a]) == 0 {
		delete(f.byAddress, a)
	}
}

// bearers are the Services to whose status the address is being added.
func (f *inFlight) bearers(a netip.Addr) []allocation.Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.byAddress[a])
}
