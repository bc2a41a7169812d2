// SPDX-License-Identifier: Apache-2.0

package route

import (
	"encoding/binary"
	"slices"

	"metalsuite.io/api/reason"
)

// union is what several advertisements say together, or why that cannot be announced.
type union struct {
	attributes Attributes
	problem    *reason.Problem
}

// uniter unites advertisements; the same set of them is united once.
type uniter struct {
	all   []*Advertisement
	known map[string]union
	key   []byte
}

// of returns the union of mentions of one prefix, which are distinct and sorted by number.
func (u *uniter) of(mentions []mention) union {
	u.key = u.key[:0]
	for _, m := range mentions {
		u.key = binary.AppendUvarint(u.key, uint64(m.number))
	}
	found, known := u.known[string(u.key)]
	if !known {
		found = unite(u.all, mentions)
		u.known[string(u.key)] = found
	}
	return found
}

func unite(all []*Advertisement, mentions []mention) union {
	out := all[mentions[0].number].Attributes
	out.Communities, out.LargeCommunities = nil, nil
	for _, m := range mentions {
		out.add(&all[m.number].Attributes)
	}
	slices.Sort(out.Communities)
	out.Communities = slices.Compact(out.Communities)
	slices.SortFunc(out.LargeCommunities, func(a, b [3]uint32) int { return slices.Compare(a[:], b[:]) })
	out.LargeCommunities = slices.Compact(out.LargeCommunities)
	if n := len(out.Communities); n > MaxCommunities {
		return union{problem: reason.New(reason.TooManyCommunities, "the advertisements give a prefix %d communities, %d are possible", n, MaxCommunities)}
	}
	if n := out.MessageLength(); n > MaxMessageLength {
		return union{problem: reason.New(reason.TooManyCommunities,
			"the %d large communities, %d communities and other attributes of a prefix make a message of %d bytes, BGP has room for %d",
			len(out.LargeCommunities), len(out.Communities), n, MaxMessageLength)}
	}
	return union{attributes: out}
}

// add takes in what one more advertisement says; communities are left unsorted and with repetitions.
func (a *Attributes) add(b *Attributes) {
	a.LocalPref = max(a.LocalPref, b.LocalPref)
	a.Prepend = min(a.Prepend, b.Prepend)
	if b.HasMED && (!a.HasMED || b.MED < a.MED) {
		a.MED, a.HasMED = b.MED, true
	}
	if !a.HasMED {
		a.MED = 0
	}
	a.Communities = append(a.Communities, b.Communities...)
	a.LargeCommunities = append(a.LargeCommunities, b.LargeCommunities...)
}
