// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"net/netip"
	"slices"
)

// occupation is the addresses that are in the status of a Service which is not served here, and why it is not: the end of a sentence.
type occupation struct {
	addresses []netip.Addr
	why       string
}

// Occupy makes addresses the complete set that a Service which is not served here bears; why completes the sentence "Service x, which".
// They are granted to nobody; a Service that holds one keeps it and is told so. It reports whether that frees anything. Whatever is asked
// about the Service here ends it.
func (a *Allocator) Occupy(key Key, addresses []netip.Addr, why string) (frees bool) {
	before := a.foreign[key].addresses
	if len(addresses) > 0 {
		a.foreign[key] = occupation{slices.Clone(addresses), why}
	}
	if slices.Equal(before, addresses) {
		return false
	}
	a.sorted = nil
	a.changesAt(before...)
	a.changesAt(addresses...)
	for _, gone := range without(before, addresses) {
		frees = a.vacate(key, gone) || frees
	}
	for _, address := range without(addresses, before) {
		if !slices.Contains(a.occupied[address], key) {
			a.occupied[address] = append(a.occupied[address], key)
			slices.SortFunc(a.occupied[address], Key.compare)
		}
	}
	if len(addresses) == 0 {
		delete(a.foreign, key)
	}
	return frees
}

// Occupies returns the addresses that the Service bears which somebody else serves.
func (a *Allocator) Occupies(key Key) []netip.Addr { return slices.Clone(a.foreign[key].addresses) }

func (a *Allocator) vacate(key Key, address netip.Addr) (frees bool) {
	rest := slices.DeleteFunc(a.occupied[address], func(k Key) bool { return k == key })
	if len(rest) > 0 {
		a.occupied[address] = rest
		return false
	}
	delete(a.occupied, address)
	a.regain(address)
	return true
}

// regain notes that nothing withholds the address any more.
func (a *Allocator) regain(address netip.Addr) {
	if s := a.spanOf(address); s != nil && a.holdings[address] == nil {
		s.freed(address)
	}
}
