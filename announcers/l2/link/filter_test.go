// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
)

// allows says what the filter is to do with the bytes of a frame, in the plainest way.
func allows(p Protocol, prefixes []netip.Prefix, f []byte) bool {
	if p == NDP {
		return len(f) >= 78 && f[12] == 0x86 && f[13] == 0xdd && f[20] == 58 && f[21] == 255 &&
			(f[54] == 135 || f[54] == 136) && f[55] == 0 && covers(prefixes, f[62:78])
	}
	return len(f) >= 42 && slices.Equal(f[12:20], []byte{0x08, 0x06, 0, 1, 0x08, 0, 6, 4}) && f[20] == 0 &&
		(f[21] == 1 || f[21] == 2) && (covers(prefixes, f[38:42]) || covers(prefixes, f[28:32]))
}

func covers(prefixes []netip.Prefix, address []byte) bool {
	a, _ := netip.AddrFromSlice(address)
	return len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// check runs a filter over a frame.
func check(t *testing.T, vm *bpf.VM, p Protocol, prefixes []netip.Prefix, frame []byte) {
	t.Helper()
	n, err := vm.Run(frame)
	if err != nil {
		t.Fatalf("running the filter: %v", err)
	}
	want := 0
	if allows(p, prefixes, frame) {
		want = Snap
	}
	if n != want {
		t.Fatalf("%v with %d prefixes delivers %d bytes, want %d, of %x", p, len(prefixes), n, want, frame)
	}
}

func newVM(t *testing.T, p Protocol, prefixes []netip.Prefix) *bpf.VM {
	t.Helper()
	vm, err := bpf.NewVM(frameTest(p, prefixes))
	if err != nil {
		t.Fatalf("%v with %d prefixes: %v", p, len(prefixes), err)
	}
	return vm
}

func arpMessage(sender, target netip.Addr) []byte {
	f := make([]byte, 60)
	copy(f[12:], []byte{0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1})
	copy(f[28:], sender.AsSlice())
	copy(f[38:], target.AsSlice())
	return f
}

func ndpMessage(target netip.Addr) []byte {
	f := make([]byte, 86)
	copy(f[12:], []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255})
	f[54] = 135
	copy(f[62:], target.AsSlice())
	return f
}

// message asks for an address with the protocol of its family.
func message(a netip.Addr) []byte {
	if a.Is4() {
		return arpMessage(netip.MustParseAddr("203.0.113.255"), a)
	}
	return ndpMessage(a)
}

func prefixesOf(texts ...string) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, text := range texts {
		prefixes = append(prefixes, netip.MustParsePrefix(text))
	}
	return prefixes
}

func TestFilterKnowsItsProtocol(t *testing.T) {
	for _, p := range []Protocol{ARP, NDP} {
		good := message(netip.MustParseAddr("192.0.2.1"))
		if p == NDP {
			good = message(netip.MustParseAddr("2001:db8::1"))
		}
		for _, prefixes := range [][]netip.Prefix{nil, prefixesOf("192.0.2.0/24", "2001:db8::/64")} {
			vm := newVM(t, p, prefixes)
			for length := range good {
				check(t, vm, p, prefixes, good[:length])
			}
			for i := range good {
				for bit := range 8 {
					bad := slices.Clone(good)
					bad[i] ^= 1 << bit
					check(t, vm, p, prefixes, bad)
				}
			}
			check(t, vm, p, prefixes, append(good, make([]byte, 1000)...))
		}
	}
}

func TestFilterConcernsSenderAndTarget(t *testing.T) {
	in, out := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.3.1")
	prefixes := prefixesOf("192.0.2.0/24")
	vm := newVM(t, ARP, prefixes)
	for _, pair := range [][2]netip.Addr{{in, out}, {out, in}, {in, in}, {out, out}, {netip.IPv4Unspecified(), in}} {
		check(t, vm, ARP, prefixes, arpMessage(pair[0], pair[1]))
	}
}

func TestFilterKnowsPrefixes(t *testing.T) {
	for name, prefixes := range map[string][]netip.Prefix{
		"everything":      prefixesOf("0.0.0.0/0", "::/0"),
		"single":          prefixesOf("192.0.2.7/32", "2001:db8::7/128"),
		"both ends":       prefixesOf("0.0.0.0/32", "255.255.255.255/32", "::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"),
		"both halves":     prefixesOf("0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"),
		"word ends":       prefixesOf("2001:db8::/32", "2001:db9::/33", "2001:dba::/64", "2001:dbb::/65", "2001:dbc::/96", "2001:dbd::/97"),
		"nested":          prefixesOf("10.0.0.0/8", "10.0.0.0/16", "10.1.0.0/16", "10.1.2.3/32", "2001:db8::/32", "2001:db8:1::/48", "2001:db8:2::/48"),
		"neighbours":      prefixesOf("10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/23", "2001:db8::/127", "2001:db8::2/128"),
		"not masked":      prefixesOf("10.0.0.77/24", "2001:db8::77/64"),
		"twice":           prefixesOf("10.0.0.0/24", "10.0.0.0/24", "2001:db8::/64", "2001:db8::/64"),
		"one subnet each": prefixesOf("10.0.0.0/28", "10.0.0.32/27", "10.0.1.0/24", "10.0.2.0/32", "10.0.2.2/31", "10.0.3.0/24", "10.0.4.0/22", "10.9.0.0/16", "10.11.0.0/16"),
		"only IPv4":       prefixesOf("192.0.2.0/24"),
		"only IPv6":       prefixesOf("2001:db8::/64"),
	} {
		t.Run(name, func(t *testing.T) { checkEdges(t, prefixes, prefixes) })
	}
}

// checkEdges asks for the first and last address of every probe and for their neighbours.
func checkEdges(t *testing.T, prefixes, probes []netip.Prefix) {
	t.Helper()
	vms := map[Protocol]*bpf.VM{ARP: newVM(t, ARP, prefixes), NDP: newVM(t, NDP, prefixes)}
	for _, probe := range probes {
		first, last := probe.Masked().Addr(), lastOf(probe)
		for _, a := range []netip.Addr{first, first.Prev(), first.Next(), last, last.Prev(), last.Next()} {
			switch {
			case a.Is4():
				check(t, vms[ARP], ARP, prefixes, message(a))
			case a.Is6():
				check(t, vms[NDP], NDP, prefixes, message(a))
			}
		}
	}
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func TestFilterWithRandomPrefixes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		prefixes := make([]netip.Prefix, random.IntN(120))
		for i := range prefixes {
			prefixes[i] = randomPrefix(random)
		}
		checkEdges(t, prefixes, prefixes)
	}
}

// randomPrefix draws from few networks, so that prefixes nest and touch, and from all lengths.
func randomPrefix(random *rand.Rand) netip.Prefix {
	if random.IntN(2) == 0 {
		b := [4]byte{10, byte(random.IntN(3)), byte(random.IntN(6)), byte(random.IntN(256))}
		return netip.PrefixFrom(netip.AddrFrom4(b), 6+random.IntN(27))
	}
	b := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	for i := 7; i < 16; i += 1 + random.IntN(3) {
		b[i] = byte(random.IntN(3))
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), 30+random.IntN(99))
}

func TestManyPrefixesFit(t *testing.T) {
	for _, row := range []struct {
		name  string
		of    func(i uint32) netip.Prefix
		count uint32
	}{
		{"1,000 addresses", func(i uint32) netip.Prefix { return v4(10<<24+i*7, 32) }, 1000},
		{"1,000 networks", func(i uint32) netip.Prefix { return v4(10<<24+i*3<<8, 24) }, 1000},
		{"1,500 networks of one size", func(i uint32) netip.Prefix { return v4(10<<24+i*3<<6, 26) }, 1500},
		{"900 networks and addresses", func(i uint32) netip.Prefix { return v4(10<<24+i*3<<8, 24+int(i%2)*8) }, 900},
		{"1,000 networks of IPv6", func(i uint32) netip.Prefix { return v6(i*3, 0, 64) }, 1000},
		{"900 addresses of IPv6", func(i uint32) netip.Prefix { return v6(i%30, i*3, 128) }, 900},
	} {
		t.Run(row.name, func(t *testing.T) {
			prefixes := make([]netip.Prefix, row.count)
			for i := range prefixes {
				prefixes[i] = row.of(uint32(i))
			}
			p := NDP
			if prefixes[0].Addr().Is4() {
				p = ARP
			}
			code := program(p, prefixes)
			t.Logf("%d instructions", len(code))
			if len(code) <= len(program(p, nil)) || len(code) > 4096 {
				t.Errorf("the program has %d instructions and so does not look at the prefixes", len(code))
			}
			if _, err := bpf.Assemble(code); err != nil {
				t.Error(err)
			}
			checkEdges(t, prefixes, prefixes)
		})
	}
}

func v4(a uint32, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, a))), bits)
}

func v6(subnet, host uint32, bits int) netip.Prefix {
	b := binary.BigEndian.AppendUint32([]byte{0x20, 0x01, 0x0d, 0xb8}, subnet)
	b = binary.BigEndian.AppendUint32(append(b, 0, 0, 0, 0), host)
	return netip.PrefixFrom(netip.AddrFrom16([16]byte(b)), bits)
}

func TestTooManyPrefixesLetEverythingUp(t *testing.T) {
	var prefixes []netip.Prefix
	for i := range uint32(5000) {
		prefixes = append(prefixes, v4(10<<24+i*7, 32), v6(i*3, i, 128))
	}
	for _, p := range []Protocol{ARP, NDP} {
		if got, want := fmt.Sprint(program(p, prefixes)), fmt.Sprint(program(p, nil)); got != want {
			t.Errorf("%v: the program is %s, want %s", p, got, want)
		}
	}
}

// FuzzFilter reads prefixes (5 bytes of IPv4 or 17 of IPv6 each) from the first argument and a frame from the second.
func FuzzFilter(f *testing.F) {
	f.Add([]byte{24, 192, 0, 2, 0}, message(netip.MustParseAddr("192.0.2.1")))
	f.Add(append([]byte{0x80 | 64, 0x20, 0x01, 0x0d, 0xb8}, make([]byte, 12)...), message(netip.MustParseAddr("2001:db8::1")))
	f.Fuzz(func(t *testing.T, encoded, frame []byte) {
		prefixes := decodePrefixes(encoded)
		for _, p := range []Protocol{ARP, NDP} {
			check(t, newVM(t, p, prefixes), p, prefixes, frame)
		}
		checkEdges(t, prefixes, prefixes[:min(len(prefixes), 50)])
	})
}

func decodePrefixes(b []byte) []netip.Prefix {
	var prefixes []netip.Prefix
	for len(b) >= 17 || len(b) >= 5 && b[0] < 0x80 {
		if b[0] < 0x80 {
			prefixes = append(prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte(b[1:5])), int(b[0])%33))
			b = b[5:]
			continue
		}
		prefixes = append(prefixes, netip.PrefixFrom(netip.AddrFrom16([16]byte(b[1:17])), int(b[0]&0x7f)+int(b[1]&1)))
		b = b[17:]
	}
	return prefixes
}
