// SPDX-License-Identifier: Apache-2.0

package link

import (
	"math/bits"
	"slices"

	"golang.org/x/net/bpf"
)

// Conditional jumps of classic BPF reach 255 instructions; a group of spans and the jumps behind it need less than room.
const (
	reach     = 255
	room      = 64
	groupSize = 8
)

// assembler writes a program from its end to its beginning: jumps lead forward only, so that every target is known when it is needed.
type assembler struct {
	reversed []bpf.Instruction
}

// label is an instruction, counted from the end of the program.
type label int

// exit is a place that many jumps lead to; near is the place itself or the last jump to it that was written.
type exit struct {
	place, near label
}

// span is a range of values and where to go on when a value is in it.
type span struct {
	lo, hi uint32
	found  *exit
}

func newExit(place label) *exit { return &exit{place: place, near: place} }

// emit puts an instruction before all others.
func (a *assembler) emit(i bpf.Instruction) label {
	a.reversed = append(a.reversed, i)
	return label(len(a.reversed))
}

// skip is how many instructions lie between the one emitted next and the label.
func (a *assembler) skip(to label) int { return len(a.reversed) - int(to) }

func (a *assembler) program() []bpf.Instruction {
	slices.Reverse(a.reversed)
	return a.reversed
}

// search adds a binary search for the register among sorted spans that do not overlap. The register is known to be at least from.
func (a *assembler) search(spans []span, from uint32, reject *exit) {
	if len(spans) <= groupSize {
		a.scan(spans, from, reject)
		return
	}
	middle := len(spans) / 2
	a.search(spans[middle:], spans[middle].lo, reject)
	right := label(len(a.reversed))
	a.search(spans[:middle], from, reject)
	if skip := a.skip(right); skip <= reach {
		a.emit(bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: spans[middle].lo, SkipTrue: uint8(skip)})
		return
	}
	a.emit(bpf.Jump{Skip: uint32(a.skip(right))})
	a.emit(bpf.JumpIf{Cond: bpf.JumpLessThan, Val: spans[middle].lo, SkipTrue: 1})
}

// scan adds one test after the other for a few spans.
func (a *assembler) scan(spans []span, from uint32, reject *exit) {
	a.approach(reject)
	for _, s := range spans {
		a.approach(s.found)
	}
	if len(spans) == 0 {
		a.emit(bpf.Jump{Skip: uint32(a.skip(reject.near))})
		return
	}
	spans, from, shift := coarsen(spans, from)
	for i, s := range slices.Backward(spans) {
		var missed uint8
		if i == len(spans)-1 {
			missed = uint8(a.skip(reject.near))
		}
		found := uint8(a.skip(s.found.near))
		if s.lo == s.hi {
			a.emit(bpf.JumpIf{Cond: bpf.JumpEqual, Val: s.lo, SkipTrue: found, SkipFalse: missed})
			continue
		}
		a.emit(bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: s.hi, SkipTrue: found, SkipFalse: missed})
		if s.lo > from {
			a.emit(bpf.JumpIf{Cond: bpf.JumpLessThan, Val: s.lo, SkipTrue: uint8(a.skip(reject.near))})
		}
	}
	if shift > 0 {
		a.emit(bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: uint32(shift)})
	}
}

// approach puts a jump to an exit here if its last one is about to get out of reach. Nothing written before falls into it, because it is
// put behind a group only, and every test of a group ends in a jump.
func (a *assembler) approach(e *exit) {
	if a.skip(e.near)+room > reach {
		e.near = a.emit(bpf.Jump{Skip: uint32(a.skip(e.place))})
	}
}

// coarsen drops the low bits that no bound of the spans depends on, if that turns enough ranges into single values to be worth it.
func coarsen(spans []span, from uint32) (coarse []span, coarseFrom uint32, shift int) {
	shift = 31
	for _, s := range spans {
		shift = min(shift, bits.TrailingZeros32(s.lo|(s.hi+1)))
	}
	gain := 0
	for _, s := range spans {
		if s.lo != s.hi && s.lo>>shift == s.hi>>shift {
			gain++
		}
	}
	if gain < 2 {
		return spans, from, 0
	}
	for _, s := range spans {
		coarse = append(coarse, span{s.lo >> shift, s.hi >> shift, s.found})
	}
	return coarse, from >> shift, shift
}
