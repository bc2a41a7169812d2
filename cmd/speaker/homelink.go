// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net"
	"net/netip"
)

// homeLink returns a function that says whether the interface with this address has carrier. An address that is on no interface says
// nothing about links, so then the answer is yes.
func homeLink(address netip.Addr) func() bool {
	return func() bool {
		links, err := net.Interfaces()
		if err != nil {
			return true
		}
		for _, l := range links {
			if has(l, address) {
				return l.Flags&net.FlagRunning != 0
			}
		}
		return true
	}
}

func has(l net.Interface, address netip.Addr) bool {
	addresses, err := l.Addrs()
	if err != nil {
		return false
	}
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Unmap() == address.Unmap() {
			return true
		}
	}
	return false
}
