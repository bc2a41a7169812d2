// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"maps"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"go4.org/netipx"

	"metalsuite.io/api/reason"
)

// Withheld are addresses that Services are not granted because the cluster uses them itself, or because no node could announce them.
type Withheld struct {
	Range netipx.IPRange
	// Reason and Cause are the answer to a Service that requests one of the addresses. Cause follows the address in a sentence: "is an address
	// of node n1", "lies in the Service CIDR 10.96.0.0/12".
	Reason reason.Reason
	Cause  string
	// OnRequest grants a single address to a Service that requests it: the cause is likely, not certain. It does not apply to longer ranges.
	OnRequest bool
}

// Single returns what is withheld of one address.
func Single(address netip.Addr, why reason.Reason, cause string) Withheld {
	return Withheld{Range: netipx.IPRangeFrom(address, address), Reason: why, Cause: cause}
}

// Within says what part of a range is withheld: "10.96.200.0/24 lies in the Service CIDR 10.96.0.0/12". False when none is.
func (w Withheld) Within(r netipx.IPRange) (string, bool) {
	if !w.Range.Overlaps(r) {
		return "", false
	}
	from, to := r.From(), r.To()
	if from.Less(w.Range.From()) {
		from = w.Range.From()
	}
	if w.Range.To().Less(to) {
		to = w.Range.To()
	}
	return rangeText(netipx.IPRangeFrom(from, to)) + " " + w.Cause, true
}

func (w Withheld) single() bool { return w.Range.From() == w.Range.To() }

func (w Withheld) problem(address netip.Addr) *reason.Problem {
	return reason.New(w.Reason, "%s %s", address, w.Cause)
}

// withheldSet finds what is withheld by address.
type withheldSet struct {
	points map[netip.Addr]Withheld
	blocks []piece[Withheld] // longer ranges, disjoint and in order
}

// newWithheldSet lays out a list. Of entries with a common address the first counts, but one that refuses requests before one that does not.
func newWithheldSet(list []Withheld) withheldSet {
	set := withheldSet{points: map[netip.Addr]Withheld{}}
	var long []Withheld
	for _, w := range list {
		if !w.single() {
			long = append(long, w)
			continue
		}
		if known, twice := set.points[w.Range.From()]; !twice || known.OnRequest && !w.OnRequest {
			set.points[w.Range.From()] = w
		}
	}
	slices.SortStableFunc(long, func(x, y Withheld) int { return x.Range.From().Compare(y.Range.From()) })
	for i := range long {
		w := &long[i]
		from := w.Range.From()
		if n := len(set.blocks); n > 0 && !set.blocks[n-1].bounds.To().Less(from) {
			from = set.blocks[n-1].bounds.To().Next()
		}
		if from.IsValid() && from.Is4() == w.Range.To().Is4() && !w.Range.To().Less(from) {
			set.blocks = append(set.blocks, piece[Withheld]{netipx.IPRangeFrom(from, w.Range.To()), w})
		}
	}
	return set
}

// at returns what is withheld of an address.
func (s withheldSet) at(address netip.Addr) (Withheld, bool) {
	if w, ok := s.points[address]; ok && !w.OnRequest {
		return w, true
	}
	if w := s.block(address); w != nil {
		return *w, true
	}
	w, ok := s.points[address]
	return w, ok
}

// block returns the longer range in which an address is withheld; nil when there is none.
func (s withheldSet) block(address netip.Addr) *Withheld {
	i := sort.Search(len(s.blocks), func(i int) bool { return !s.blocks[i].bounds.To().Less(address) })
	if i < len(s.blocks) && s.blocks[i].bounds.Contains(address) {
		return s.blocks[i].by
	}
	return nil
}

func sameBlock(x, y piece[Withheld]) bool { return x.bounds == y.bounds && *x.by == *y.by }

// SetWithheld makes list the complete set of addresses that are withheld for a cause that the cluster's objects show. A Service that already
// holds one keeps it and is told so. The caller has to decide on all Services again.
func (a *Allocator) SetWithheld(list []Withheld) {
	before := a.withheldSet
	a.withheldSet, a.sorted = newWithheldSet(list), nil
	if !slices.EqualFunc(before.blocks, a.withheldSet.blocks, sameBlock) {
		a.rebuild()
		return
	}
	for _, p := range a.pools {
		a.changes(p)
	}
	for address, was := range before.points {
		if is, still := a.withheldSet.points[address]; !still || is.OnRequest && !was.OnRequest {
			a.regain(address)
		}
	}
}

// passes returns why the address is passed over when a Service requests none by name; nil when it is not.
func (a *Allocator) passes(address netip.Addr) *reason.Problem {
	if w, ok := a.withheldSet.points[address]; ok {
		return w.problem(address)
	}
	return a.withheld(address)
}

// withheld returns why nobody may be granted the address; nil when somebody may.
func (a *Allocator) withheld(address netip.Addr) *reason.Problem {
	if problem := a.unfit(address); problem != nil {
		return problem
	}
	return a.conflicts[address].Problem
}

// unfit returns why the address is not for Services of ours, whether one holds it or not; nil when it is.
func (a *Allocator) unfit(address netip.Addr) *reason.Problem {
	if w, ok := a.withheldSet.at(address); ok && !(w.OnRequest && w.single()) {
		return w.problem(address)
	}
	if key, ok := a.clusterIPs.at[address]; ok {
		return reason.New(reason.ClusterIPAddress, "%s is the cluster IP of Service %s", address, key)
	}
	if keys := a.occupied[address]; len(keys) > 0 {
		return reason.New(reason.AddressInUse, "%s is in use by Service %s, which %s", address, keys[0], a.foreign[keys[0]].why)
	}
	return nil
}

// barred returns why the Service may not be granted the address, whoever holds it; nil when it may.
func (a *Allocator) barred(s *request, address netip.Addr) *reason.Problem {
	if problem := a.withheld(address); problem != nil {
		return problem
	}
	return a.spare(s.Key, address)
}

// passedOver names a few addresses of the pools that nobody holds and that are withheld; empty when there are none. Equal states give
// equal texts.
func (a *Allocator) passedOver(families []Family, pools []*poolState) string {
	const most = 3
	var texts []string
	for _, p := range pools {
		for _, s := range p.spans {
			if !slices.Contains(families, s.family()) {
				continue
			}
			texts = append(texts, a.passedIn(s, most+1-len(texts))...)
			if len(texts) > most {
				return passed(texts[:most], " and others")
			}
		}
	}
	return passed(texts, "")
}

// passedIn names what of a span is passed over, so many addresses at most: a span may have thousands, and each Service that waits asks.
func (a *Allocator) passedIn(s *span, most int) []string {
	if s.withheld != nil {
		return []string{rangeText(s.bounds) + " (" + string(s.withheld.Reason) + ")"}
	}
	var texts []string
	for _, address := range a.withheldIn(s) {
		if len(texts) == most {
			break
		}
		if s.pool.usable(address) && a.holdings[address] == nil {
			texts = append(texts, address.String()+" ("+string(a.passes(address).Reason)+")")
		}
	}
	return texts
}

func passed(texts []string, more string) string {
	if len(texts) == 0 {
		return ""
	}
	return "; passed over: " + strings.Join(texts, ", ") + more
}

// rangeText is a range as users write it: an address, a CIDR, or first and last address.
func rangeText(r netipx.IPRange) string {
	if r.From() == r.To() {
		return r.From().String()
	}
	if p, ok := r.Prefix(); ok {
		return p.String()
	}
	return r.String()
}

// withheldIn returns the single withheld addresses of a span in their order, those granted on request among them.
func (a *Allocator) withheldIn(s *span) []netip.Addr {
	all := a.allWithheld()
	from := sort.Search(len(all), func(i int) bool { return !all[i].Less(s.bounds.From()) })
	to := sort.Search(len(all), func(i int) bool { return s.bounds.To().Less(all[i]) })
	return all[from:to]
}

// allWithheld are the single withheld addresses in order; they are sorted when they have changed. Of cluster IPs those of the pools are
// enough: there may be many, and most clusters have none in a pool.
func (a *Allocator) allWithheld() []netip.Addr {
	if a.sorted == nil {
		all := slices.Collect(maps.Keys(a.withheldSet.points))
		all = slices.AppendSeq(all, maps.Keys(a.occupied))
		all = slices.AppendSeq(all, maps.Keys(a.conflicts))
		for address := range a.clusterIPs.at {
			if a.spanOf(address) != nil {
				all = append(all, address)
			}
		}
		slices.SortFunc(all, netip.Addr.Compare)
		a.sorted = append([]netip.Addr{}, slices.Compact(all)...)
	}
	return a.sorted
}
