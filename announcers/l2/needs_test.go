// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"metalsuite.io/announcers"
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// wishes are so many addresses from one on, and others beside.
func wishes(n int, from netip.Addr, more ...netip.Addr) []announcers.Address {
	var out []announcers.Address
	for a := from; len(out) < n; a = a.Next() {
		out = append(out, announcers.Address{Addr: a})
	}
	for _, a := range more {
		out = append(out, announcers.Address{Addr: a})
	}
	return out
}

func TestNeeds(t *testing.T) {
	pools := prefixes("198.51.100.0/24", "192.0.2.0/24", "2001:db8::/64")
	many := netip.MustParseAddr("10.0.0.0")
	for _, row := range []struct {
		name    string
		desired announcers.Desired
		want    []netip.Prefix
		six     bool
	}{
		{"nothing desired", announcers.Desired{}, prefixes("::/128"), false},
		{"nothing desired from pools with IPv6", announcers.Desired{Prefixes: pools}, prefixes("::/128"), true},
		{"few addresses are told one by one", announcers.Desired{Prefixes: pools, Addresses: wishes(0, many, second, first, six)},
			prefixes("192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/128"), true},
		{"IPv4 alone", announcers.Desired{Addresses: wishes(1, first)}, prefixes("192.0.2.1/32"), false},
		{"many addresses are told by their prefixes", announcers.Desired{Prefixes: prefixes("192.0.2.0/24", "10.0.0.0/16"), Addresses: wishes(300, many, first)},
			prefixes("10.0.0.0/16", "192.0.2.0/24"), false},
		{"many addresses and one that no prefix covers", announcers.Desired{Prefixes: prefixes("10.0.0.0/16"), Addresses: wishes(300, many, first)},
			prefixes("10.0.0.0/16", "192.0.2.1/32"), false},
		{"many addresses of unknown prefixes", announcers.Desired{Addresses: wishes(300, many)}, nil, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := needsOf(row.desired)
			same := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
			if diff := cmp.Diff(row.want, got.prefixes, same); diff != "" {
				t.Errorf("prefixes (-want +got):\n%s", diff)
			}
			if got.six != row.six {
				t.Errorf("six = %t, want %t", got.six, row.six)
			}
		})
	}
}
