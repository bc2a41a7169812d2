// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// table holds who is alive, as memberlist says, and what each member said about itself. The two arrive on different ways in any order.
// It is a plain value under its owner's lock.
type table struct {
	self    string
	live    map[string]peer
	records map[string]record
}

// peer is a member that is alive.
type peer struct {
	address netip.Addr
	meta    meta
}

func newTable(self string, life uint64) table {
	return table{
		self:    self,
		live:    map[string]peer{},
		records: map[string]record{self: {Format: format, Name: self, stamp: stamp{Life: life}}},
	}
}

func (t *table) own() record { return t.records[t.self] }

func (t *table) join(name string, p peer) { t.live[name] = p }

// leave forgets a member, its state too: when it returns, it is asked for its state again.
func (t *table) leave(name string) {
	if name == t.self {
		return
	}
	delete(t.live, name)
	delete(t.records, name)
}

// clear forgets everyone but this node.
func (t *table) clear() {
	own := t.own()
	clear(t.live)
	clear(t.records)
	t.records[t.self] = own
}

// publish makes s the state of this node and returns whether that is news.
func (t *table) publish(s State) bool {
	r := t.own()
	if r.Seq > 0 && r.State.equal(s) {
		return false
	}
	r.Seq++
	r.State = s
	t.records[t.self] = r
	return true
}

// merge takes in what members said and returns the records that were news. Nobody but this node itself says anything about it.
func (t *table) merge(records []record) []record {
	var news []record
	for _, r := range records {
		if r.Format != format || r.Name == "" || r.Name == t.self || !t.supersedes(r) {
			continue
		}
		t.records[r.Name] = r
		news = append(news, r)
	}
	return news
}

// supersedes compares a record with the one at hand. Within one life of a member the counter decides; of two lives the one which the
// member itself claims in its metadata; and only when there is no such claim the one with the later clock, since clocks may be set back.
func (t *table) supersedes(r record) bool {
	old, ok := t.records[r.Name]
	claimed := t.live[r.Name].meta.Life
	switch {
	case !ok:
		return true
	case r.Life == old.Life:
		return r.Seq > old.Seq
	case claimed == old.Life:
		return false
	case claimed == r.Life:
		return true
	}
	return r.Life > old.Life
}

func (t *table) members() []Member {
	all := []Member{{Name: t.self, State: t.own().State.clone(), Known: t.own().Seq > 0, Life: t.own().Life}}
	for name, p := range t.live {
		if name != t.self {
			all = append(all, t.member(name, p))
		}
	}
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (t *table) member(name string, p peer) Member {
	if p.meta.Format != format {
		return Member{Name: name, State: State{Fit: true}, Known: true}
	}
	r, ok := t.records[name]
	if !ok || r.Life != p.meta.Life || r.Seq == 0 {
		return Member{Name: name}
	}
	return Member{Name: name, State: r.State.clone(), Known: true, Life: r.Life}
}

// outdated returns the addresses of the members that have a newer state than the one at hand.
func (t *table) outdated() []netip.Addr {
	var addresses []netip.Addr
	for name, p := range t.live {
		if name == t.self || p.meta.Format != format {
			continue
		}
		if r := t.records[name]; r.Life != p.meta.Life || r.Seq < p.meta.Seq {
			addresses = append(addresses, p.address)
		}
	}
	return addresses
}

// lives says whether a live member has this address.
func (t *table) lives(address netip.Addr) bool {
	for _, p := range t.live {
		if p.address == address {
			return true
		}
	}
	return false
}

// missing returns those of the addresses at which nobody answers; members that are held do not.
func (t *table) missing(expected []netip.Addr, held map[string]time.Time) []netip.Addr {
	present := map[netip.Addr]bool{}
	for name, p := range t.live {
		_, silent := held[name]
		present[p.address] = present[p.address] || !silent
	}
	return slices.DeleteFunc(slices.Clone(expected), func(a netip.Addr) bool { return present[a] })
}

// spoken returns what this node and every live member said last.
func (t *table) spoken() []record {
	all := []record{t.own()}
	for _, name := range slices.Sorted(maps.Keys(t.live)) {
		if r, ok := t.records[name]; ok && name != t.self {
			all = append(all, r)
		}
	}
	return all
}
