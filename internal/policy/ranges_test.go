// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"strings"
	"testing"

	"go4.org/netipx"
)

func TestParseRange(t *testing.T) {
	for _, row := range []struct{ entry, want, fault string }{
		{entry: "192.0.2.0/24", want: "192.0.2.0-192.0.2.255"},
		{entry: "192.0.2.77/24", want: "192.0.2.0-192.0.2.255"},
		{entry: "192.0.2.1/32", want: "192.0.2.1-192.0.2.1"},
		{entry: "192.0.2.1-192.0.2.1", want: "192.0.2.1-192.0.2.1"},
		{entry: " 192.0.2.1 - 192.0.2.9 ", want: "192.0.2.1-192.0.2.9"},
		{entry: "2001:DB8::/127", want: "2001:db8::-2001:db8::1"},
		{entry: "2001:db8::1-2001:db8::f", want: "2001:db8::1-2001:db8::f"},
		{entry: "0.0.0.0/0", want: "0.0.0.0-255.255.255.255"},
		{entry: "", fault: "invalid CIDR"},
		{entry: "192.0.2.1", fault: "invalid CIDR"},
		{entry: "192.0.2.0/33", fault: "invalid CIDR"},
		{entry: "192.0.2.0/24 ", fault: "invalid CIDR"},
		{entry: "::ffff:192.0.2.0/120", fault: "invalid CIDR"},
		{entry: "fe80::%eth0/64", fault: "invalid CIDR"},
		{entry: "192.0.2.9-192.0.2.1", fault: "start IP 192.0.2.9 is after the end IP 192.0.2.1"},
		{entry: "192.0.2.1-", fault: "invalid end IP"},
		{entry: "-192.0.2.1", fault: "invalid start IP"},
		{entry: "192.0.2.1-192.0.2.2-192.0.2.3", fault: "invalid end IP"},
		{entry: "192.0.2.1-2001:db8::1", fault: "different families"},
		{entry: "fe80::1%eth0-fe80::2%eth0", fault: "invalid start IP"},
	} {
		t.Run(row.entry, func(t *testing.T) {
			r, err := ParseRange(row.entry)
			if row.fault != "" {
				if err == nil || !strings.Contains(err.Error(), row.fault) {
					t.Errorf("error %v, want %s", err, row.fault)
				}
				return
			}
			if err != nil || r.String() != row.want {
				t.Errorf("%s, %v, want %s", r, err, row.want)
			}
		})
	}
}

// FuzzParseRange checks that whatever is accepted is a usable range that means the same when it is written out.
func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"192.0.2.0/24", "192.0.2.1-192.0.2.9", "2001:db8::/64", "::-::1", "1.1.1.1-::", "%-%", "fe80::1%a-fe80::2%a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		r, err := ParseRange(entry)
		if err != nil {
			return
		}
		if !r.IsValid() || r.From().Is4In6() || r.From().Zone() != "" || r.To().Zone() != "" {
			t.Fatalf("%q gives %s", entry, r)
		}
		again, err := ParseRange(r.String())
		if err != nil || again != r {
			t.Fatalf("%q gives %s, read again %s, %v", entry, r, again, err)
		}
	})
}

// FuzzClaims checks claims against a set of bits, on the addresses 10.0.0.0 to 10.0.0.255.
func FuzzClaims(f *testing.F) {
	f.Add([]byte{1, 5, 3, 9, 0, 255})
	f.Add([]byte{10, 20, 30, 40, 15, 35})
	f.Fuzz(func(t *testing.T, ends []byte) {
		var all claims
		var taken [256]bool
		for ; len(ends) >= 2; ends = ends[2:] {
			from, to := min(ends[0], ends[1]), max(ends[0], ends[1])
			r := netipx.IPRangeFrom(ten(from), ten(to))
			var free []netipx.IPRange
			all, free = all.with(claim{bounds: r})
			fresh := map[netip.Addr]bool{}
			for _, piece := range free {
				for a := piece.From(); piece.Contains(a); a = a.Next() {
					fresh[a] = true
				}
			}
			for i := int(from); i <= int(to); i++ {
				if fresh[ten(byte(i))] == taken[i] {
					t.Fatalf("%d: fresh %t, taken before %t", i, fresh[ten(byte(i))], taken[i])
				}
				taken[i] = true
			}
		}
		for i := range taken {
			if _, ok := all.at(ten(byte(i))); ok != taken[i] {
				t.Fatalf("%d: found %t, taken %t", i, ok, taken[i])
			}
		}
	})
}

func ten(last byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, last}) }
