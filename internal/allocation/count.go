// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// Counts are the addresses of a pool by family and use. An address that several Services share counts once. Figures that do not fit
// are math.MaxInt64; a range of 2^62 addresses or more counts as that.
type Counts struct {
	// Assigned are in use, available are free for anybody whom the pool is for, reserved are free and kept by reservations.
	AssignedIPv4, AssignedIPv6   int64
	AvailableIPv4, AvailableIPv6 int64
	ReservedIPv4, ReservedIPv6   int64
}

// Changed returns the names of the pools, sorted, whose figures may have changed since it was called last.
func (a *Allocator) Changed() []string {
	names := make([]string, 0, len(a.changed))
	for name := range a.changed {
		names = append(names, name)
	}
	clear(a.changed)
	slices.Sort(names)
	return names
}

func (a *Allocator) changes(p *poolState) { a.changed[p.Name] = struct{}{} }

// changesAt notes that the figures of the pool that could grant these addresses may have changed.
func (a *Allocator) changesAt(addresses ...netip.Addr) {
	for _, address := range addresses {
		if s := a.spanOf(address); s != nil {
			a.changes(s.pool)
		}
	}
}

// Counts returns the figures of a pool; false when there is no such pool.
func (a *Allocator) Counts(pool string) (Counts, bool) {
	p := a.byName[pool]
	if p == nil {
		return Counts{}, false
	}
	free, reserved := map[Family]int64{}, map[Family]int64{}
	for _, s := range p.spans {
		if s.withheld != nil {
			continue
		}
		n := takeOff(s.spare(), a.withheldFree(s))
		into := free
		if s.reservation != nil {
			into = reserved
		}
		into[s.family()] = addUp(into[s.family()], n)
	}
	if p.Frozen != nil {
		free, reserved = nil, nil
	}
	return Counts{
		AssignedIPv4: p.assigned[IPv4], AvailableIPv4: free[IPv4], ReservedIPv4: reserved[IPv4],
		AssignedIPv6: p.assigned[IPv6], AvailableIPv6: free[IPv6], ReservedIPv6: reserved[IPv6],
	}, true
}

// spare returns how many addresses of the span nobody holds, withheld ones included.
func (s *span) spare() int64 { return takeOff(s.pool.sizeOf(s.bounds), int64(s.used)) }

// withheldFree returns how many addresses of the span nobody holds and nobody may be granted.
func (a *Allocator) withheldFree(s *span) (n int64) {
	for _, address := range a.withheldIn(s) {
		if s.pool.usable(address) && a.holdings[address] == nil && a.withheld(address) != nil {
			n++
		}
	}
	return n
}

// size returns the number of addresses of a range, saturating.
func size(r netipx.IPRange) int64 {
	fromHigh, fromLow := halves(r.From())
	toHigh, toLow := halves(r.To())
	low, borrow := bits.Sub64(toLow, fromLow, 0)
	high, _ := bits.Sub64(toHigh, fromHigh, borrow)
	if high != 0 || low >= 1<<62-1 {
		return math.MaxInt64
	}
	return int64(low) + 1
}

func halves(a netip.Addr) (high, low uint64) {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// buggyIn returns how many addresses of an IPv4 range end in .0 or .255.
func buggyIn(r netipx.IPRange) int64 {
	_, from := halves(r.From())
	_, to := halves(r.To())
	from, to = from&math.MaxUint32, to&math.MaxUint32
	upTo := func(n uint64) int64 { // in [0, n)
		return int64(n/256*2 + min(n%256, 1))
	}
	return upTo(to+1) - upTo(from)
}

func buggy(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	last := a.As4()[3]
	return last == 0 || last == 255
}

// addUp adds without overflow; both are not negative.
func addUp(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// takeOff subtracts; what does not fit stays so, and nothing falls below 0.
func takeOff(a, b int64) int64 {
	if a == math.MaxInt64 {
		return a
	}
	return max(a-b, 0)
}
