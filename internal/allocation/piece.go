// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"sort"

	"go4.org/netipx"
)

// piece is a part of a range with the value that applies to it; nil when none does.
type piece[T any] struct {
	bounds netipx.IPRange
	by     *T
}

// divide cuts a range where the given pieces, disjoint and in order, begin and end. The result covers the whole range.
func divide[T any](given []piece[T], r netipx.IPRange) []piece[T] {
	first := sort.Search(len(given), func(i int) bool { return !given[i].bounds.To().Less(r.From()) })
	var pieces []piece[T]
	from := r.From()
	for _, k := range given[first:] {
		if r.To().Less(k.bounds.From()) {
			break
		}
		if from.Less(k.bounds.From()) {
			pieces = append(pieces, piece[T]{netipx.IPRangeFrom(from, k.bounds.From().Prev()), nil})
			from = k.bounds.From()
		}
		to := k.bounds.To()
		if r.To().Less(to) {
			to = r.To()
		}
		pieces = append(pieces, piece[T]{netipx.IPRangeFrom(from, to), k.by})
		if from = to.Next(); to == r.To() {
			return pieces
		}
	}
	return append(pieces, piece[T]{netipx.IPRangeFrom(from, r.To()), nil})
}

// cut divides a range of a pool into spans: each is withheld, kept by one reservation, or free for all.
func (a *Allocator) cut(r netipx.IPRange) []*span {
	var spans []*span
	for _, w := range divide(a.withheldSet.blocks, r) {
		if w.by != nil {
			spans = append(spans, &span{bounds: w.bounds, next: w.bounds.From(), withheld: w.by})
			continue
		}
		for _, k := range divide(a.reserved, w.bounds) {
			spans = append(spans, &span{bounds: k.bounds, next: k.bounds.From(), reservation: k.by})
		}
	}
	return spans
}
