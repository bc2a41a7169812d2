// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"
)

// maxInstructions is the longest classic BPF program that the kernel accepts (BPF_MAXINSNS).
const maxInstructions = 4096

// Packet types as the kernel numbers them (packet(7)). Higher ones are frames to other stations and frames that this host sends.
const (
	packetBroadcast = 1
	packetMulticast = 2
)

// dialect is what the programs of the two protocols differ in.
type dialect struct {
	// kind is the highest packet type to let up.
	kind uint32
	// fixed have exactly one right value each.
	fixed []field
	// operation has one of two right values.
	operation field
	other     uint32
	// addresses are the offsets of the protocol addresses: one of them must be in a prefix.
	addresses []uint32
	// last is the offset of the last four bytes that every message has.
	last uint32
}

// field is a value of 2 or 4 bytes in a frame.
type field struct {
	off   uint32
	size  int
	value uint32
}

func dialectOf(p Protocol) dialect {
	if p == NDP {
		return dialect{
			kind: packetMulticast,
			// EtherType IPv6; next header ICMPv6 and hop limit 255, so that no router forwarded the message (RFC 4861 7.1).
			fixed: []field{{12, 2, 0x86dd}, {20, 2, 58<<8 | 255}},
			// Neighbor Solicitation or Neighbor Advertisement, code 0.
			operation: field{54, 2, 135 << 8}, other: 136 << 8,
			addresses: []uint32{62},
			last:      74,
		}
	}
	return dialect{
		kind: packetBroadcast,
		// EtherType ARP; Ethernet and IPv4.
		fixed: []field{{12, 2, 0x0806}, {14, 4, 1<<16 | 0x0800}},
		// Lengths 6 and 4 and a request or a reply.
		operation: field{18, 4, 6<<24 | 4<<16 | 1}, other: 6<<24 | 4<<16 | 2,
		addresses: []uint32{38, 28},
		last:      38,
	}
}

// program returns the filter that lets up the protocol's messages about the prefixes; no prefix at all means about any address. If the
// prefixes take more instructions than the kernel accepts, it lets up the messages about any address too.
func program(p Protocol, prefixes []netip.Prefix) []bpf.Instruction {
	whole := slices.Concat(kindTest(p), frameTest(p, prefixes))
	if len(whole) > maxInstructions {
		return program(p, nil)
	}
	return whole
}

// kindTest goes on with the instruction after it when the frame is one for this station that bears no VLAN tag. It looks at what the
// kernel knows about the frame, not at its bytes.
func kindTest(p Protocol) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: dialectOf(p).kind, SkipTrue: 2},
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
}

// frameTest returns Snap for a frame whose bytes are right, and 0 for another one. A load past the end of a frame returns 0 as well.
func frameTest(p Protocol, prefixes []netip.Prefix) []bpf.Instruction {
	d := dialectOf(p)
	a := &assembler{}
	accept := newExit(a.emit(bpf.RetConstant{Val: Snap}))
	if len(prefixes) > 0 {
		reject := newExit(a.emit(bpf.RetConstant{Val: 0}))
		concerned := distinct(p, prefixes)
		for _, off := range slices.Backward(d.addresses) {
			reject = newExit(a.word(concerned, 0, off, accept, reject))
		}
	}
	return slices.Concat(headerTest(d), a.program())
}

// headerTest goes on with the instruction after it when the frame is a whole message of the protocol.
func headerTest(d dialect) []bpf.Instruction {
	var code []bpf.Instruction
	for _, f := range d.fixed {
		code = append(code, bpf.LoadAbsolute{Off: f.off, Size: f.size},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: f.value, SkipTrue: 1}, bpf.RetConstant{Val: 0})
	}
	return append(code,
		bpf.LoadAbsolute{Off: d.operation.off, Size: d.operation.size},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: d.operation.value, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: d.other, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: d.last, Size: 4})
}

// distinct returns the prefixes of the protocol's family sorted, without those that another one covers.
func distinct(p Protocol, prefixes []netip.Prefix) []netip.Prefix {
	var of []netip.Prefix
	for _, prefix := range prefixes {
		if prefix.IsValid() && prefix.Addr().Is4() == (p == ARP) {
			of = append(of, prefix.Masked())
		}
	}
	slices.SortFunc(of, netip.Prefix.Compare)
	kept := of[:0]
	for _, prefix := range of {
		if last := len(kept) - 1; last < 0 || !kept[last].Contains(prefix.Addr()) {
			kept = append(kept, prefix)
		}
	}
	return kept
}

// word adds the program that loads one word of the address at an offset and looks for it among the prefixes, which agree in all words
// before. It returns the program's first instruction.
func (a *assembler) word(prefixes []netip.Prefix, word int, off uint32, accept, reject *exit) label {
	var spans []span
	for i := 0; i < len(prefixes); {
		value, rest := wordOf(prefixes[i].Addr(), word), prefixes[i].Bits()-32*word
		if rest <= 32 {
			spans = widen(spans, span{lo: value, hi: value | uint32(1<<(32-rest)-1), found: accept})
			i++
			continue
		}
		end := i + 1
		for end < len(prefixes) && wordOf(prefixes[end].Addr(), word) == value {
			end++
		}
		next := a.word(prefixes[i:end], word+1, off, accept, reject)
		spans = append(spans, span{lo: value, hi: value, found: newExit(next)})
		i = end
	}
	a.search(spans, 0, reject)
	return a.emit(bpf.LoadAbsolute{Off: off + uint32(4*word), Size: 4})
}

// widen appends a span, joined to the last one if it goes on where that ends.
func widen(spans []span, s span) []span {
	if last := len(spans) - 1; last >= 0 && spans[last].found == s.found && spans[last].hi+1 == s.lo {
		spans[last].hi = s.hi
		return spans
	}
	return append(spans, s)
}

func wordOf(a netip.Addr, word int) uint32 {
	b := a.AsSlice()
	return binary.BigEndian.Uint32(b[4*word:])
}
