// SPDX-License-Identifier: Apache-2.0

package allocation

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"

	"go4.org/netipx"

	"metalsuite.io/api/reason"
)

// model is the slow and obvious allocator: it walks every address and remembers nothing but who holds what.
type model struct {
	pools     []Pool
	reserved  []Reservation
	hold      []Withheld
	cluster   map[Key]netip.Addr
	foreign   map[Key]netip.Addr
	conflicts []Conflict
	replaced  []netip.Addr
	services  map[Key]Service
	held      map[Key][]netip.Addr
}

func (m *model) all(p Pool, f Family) []netip.Addr {
	var list []netip.Addr
	for _, r := range p.Ranges {
		for a := r.From(); ; a = a.Next() {
			last := a.AsSlice()[len(a.AsSlice())-1]
			if FamilyOf(a) == f && !(p.AvoidBuggyIPs && a.Is4() && (last == 0 || last == 255)) {
				list = append(list, a)
			}
			if a == r.To() {
				break
			}
		}
	}
	return list
}

func (m *model) withheld(a netip.Addr) bool {
	for _, used := range []map[Key]netip.Addr{m.foreign, m.cluster} {
		for _, b := range used {
			if a == b {
				return true
			}
		}
	}
	for _, w := range m.hold {
		if w.Range.Contains(a) && !(w.OnRequest && w.Range.From() == w.Range.To()) {
			return true
		}
	}
	found, _ := m.inConflict(a)
	return found
}

// onRequest reports whether only a Service that requests the address may be granted it.
func (m *model) onRequest(a netip.Addr) bool {
	return slices.ContainsFunc(m.hold, func(w Withheld) bool { return w.OnRequest && w.Range.From() == a && w.Range.To() == a })
}

// inConflict walks the conflicts of the address's pool and family and counts the hearsay among them.
func (m *model) inConflict(a netip.Addr) (found, replaces bool) {
	for _, p := range m.pools {
		if !m.inPool(p, a) {
			continue
		}
		all, hearsay := len(m.all(p, FamilyOf(a))), map[netip.Addr]bool{}
		for _, c := range m.conflicts {
			if !m.inPool(p, c.Address) || FamilyOf(c.Address) != FamilyOf(a) {
				continue
			}
			if c.Hearsay && len(hearsay)*10 < all {
				hearsay[c.Address] = true
			}
			if c.Hearsay && !hearsay[c.Address] {
				continue
			}
			if c.Address == a {
				return true, c.Replaces
			}
		}
	}
	return false, false
}

// giveUp says whether the Service would give the address up, and whether it may: at most four of a family of a pool are replaced at a time.
func (m *model) giveUp(s Service, a netip.Addr) (would, may bool) {
	ofNode := slices.ContainsFunc(m.hold, func(w Withheld) bool { return !w.OnRequest && w.Range.From() == a && w.Range.To() == a })
	if _, replaces := m.inConflict(a); !replaces || ofNode || m.isFor(s, a) {
		return false, false
	}
	n := 0
	for _, b := range m.replaced {
		if FamilyOf(b) == FamilyOf(a) && slices.ContainsFunc(m.pools, func(p Pool) bool { return m.inPool(p, a) && m.inPool(p, b) }) {
			n++
		}
	}
	return true, n < 4 || slices.Contains(m.replaced, a)
}

// forget drops what was replaced for a conflict that has ended.
func (m *model) forget() {
	m.replaced = slices.DeleteFunc(m.replaced, func(a netip.Addr) bool { _, replaces := m.inConflict(a); return !replaces })
}

// keeper is the reservation of an address that nobody holds; nil when there is none.
func (m *model) keeper(a netip.Addr) *Reservation {
	for _, list := range m.held {
		if slices.Contains(list, a) {
			return nil
		}
	}
	for i := range m.reserved {
		for _, r := range m.reserved[i].Ranges {
			if r.Contains(a) {
				return &m.reserved[i]
			}
		}
	}
	return nil
}

// isFor reports whether a reservation for the Service names the address.
func (m *model) isFor(s Service, a netip.Addr) bool {
	for _, r := range m.reserved {
		if r.For != nil && *r.For == s.Key && slices.ContainsFunc(r.Ranges, func(x netipx.IPRange) bool { return x.Contains(a) }) {
			return true
		}
	}
	return false
}

func (m *model) barred(s Service, a netip.Addr) bool {
	k := m.keeper(a)
	return m.withheld(a) || k != nil && (k.For == nil || *k.For != s.Key)
}

func (m *model) inPool(p Pool, a netip.Addr) bool { return slices.Contains(m.all(p, FamilyOf(a)), a) }

func (m *model) together(s Service, a netip.Addr) bool {
	for key, list := range m.held {
		o := m.services[key]
		if key == s.Key || !slices.Contains(list, a) {
			continue
		}
		if s.SharingKey == "" || s.SharingKey != o.SharingKey || s.BackendKey != o.BackendKey {
			return false
		}
		for _, p := range s.Ports {
			if slices.Contains(o.Ports, p) {
				return false
			}
		}
	}
	return true
}

func (m *model) admits(p Pool, s Service) bool {
	if p.Pin == nil || p.Pin.Namespaces == nil {
		return true
	}
	_, ok := p.Pin.Namespaces[s.Key.Namespace]
	return ok
}

func (m *model) mayKeep(s Service, list []netip.Addr) (Pool, bool) {
	for _, p := range m.pools {
		ok := m.admits(p, s) && (s.RequestedPool == "" || s.RequestedPool == p.Name)
		for _, a := range list {
			ok = ok && m.inPool(p, a) && m.together(s, a)
		}
		if ok {
			return p, true
		}
	}
	return Pool{}, false
}

func (m *model) first(s Service, p Pool, f Family) []netip.Addr {
	for _, a := range m.all(p, f) {
		if m.isFor(s, a) && !m.barred(s, a) && !m.onRequest(a) && m.together(s, a) {
			return []netip.Addr{a}
		}
	}
	for _, a := range m.all(p, f) {
		if !m.barred(s, a) && !m.onRequest(a) && m.together(s, a) {
			return []netip.Addr{a}
		}
	}
	return nil
}

// favour is what a Service gets that has a reservation.
func (m *model) favour(s Service, optional bool) []netip.Addr {
	pools := slices.Clone(m.pools)
	slices.SortFunc(pools, func(x, y Pool) int { return cmp.Compare(x.Name, y.Name) })
	for _, p := range pools {
		if !m.admits(p, s) || s.RequestedPool != "" && s.RequestedPool != p.Name {
			continue
		}
		var got []netip.Addr
		reserved := false
		for _, f := range s.Families {
			for _, a := range m.first(s, p, f) {
				got = append(got, a)
				reserved = reserved || m.isFor(s, a)
			}
		}
		if reserved && (optional || len(got) == len(s.Families)) {
			return got
		}
	}
	return nil
}

func (m *model) decide(s Service) []netip.Addr {
	had := m.held[s.Key]
	m.services[s.Key] = s
	delete(m.held, s.Key)
	if got := m.outcome(s, had); len(got) > 0 {
		m.held[s.Key] = got
	}
	return m.held[s.Key]
}

func (m *model) outcome(s Service, had []netip.Addr) []netip.Addr {
	if s.Policy == RequireDualStack && len(s.Families) < 2 {
		return nil
	}
	optional := s.Policy == PreferDualStack && len(s.Families) == 2
	var keep []netip.Addr
	for _, f := range s.Families {
		for _, a := range had {
			if FamilyOf(a) == f {
				keep = append(keep, a)
			}
		}
	}
	tries := [][]netip.Addr{keep}
	for _, bad := range []bool{false, true} { // one that has to be replaced goes last
		for i := 0; optional && len(keep) == 2 && i < 2; i++ {
			if would, _ := m.giveUp(s, keep[i]); would == bad {
				tries = append(tries, keep[i:i+1:i+1])
			}
		}
	}
	for _, keep := range tries {
		p, ok := m.mayKeep(s, keep)
		if len(keep) == 0 || !ok || !asksFor(s, keep, optional) {
			continue
		}
		if other := m.replacement(s, p, keep, optional); other != nil {
			for _, a := range keep {
				if would, _ := m.giveUp(s, a); would && !slices.Contains(other, a) && !slices.Contains(m.replaced, a) {
					m.replaced = append(m.replaced, a)
				}
			}
			return other
		}
		if len(keep) < len(s.Families) {
			keep = append(keep, m.other(s, p, IPv4+IPv6-FamilyOf(keep[0]))...)
		}
		if len(keep) == len(s.Families) || optional {
			return m.sorted(s, keep)
		}
		break
	}
	return m.fresh(s, optional)
}

// replacement is what a Service gets for addresses that no node can announce; nil when it keeps them.
func (m *model) replacement(s Service, p Pool, keep []netip.Addr, optional bool) []netip.Addr {
	var good []netip.Addr
	for _, a := range keep {
		if _, may := m.giveUp(s, a); !may {
			good = append(good, a)
		}
	}
	if len(good) == len(keep) || len(s.Requested) > 0 {
		return nil
	}
	if len(good) > 0 {
		if list := append(slices.Clone(good), m.first(s, p, IPv4+IPv6-FamilyOf(good[0]))...); len(list) == len(keep) {
			return m.sorted(s, list)
		}
		if optional {
			return nil
		}
	}
	if got := m.fresh(s, optional); len(got) >= len(keep) {
		return got
	}
	return nil
}

func asksFor(s Service, keep []netip.Addr, some bool) bool {
	for _, a := range keep {
		some = some && slices.Contains(s.Requested, a)
	}
	return len(s.Requested) == 0 || some || sameElements(keep, s.Requested)
}

// other is what a Service that keeps one address gets beside it.
func (m *model) other(s Service, p Pool, f Family) []netip.Addr {
	if len(s.Requested) == 0 {
		return m.first(s, p, f)
	}
	for _, a := range s.Requested {
		if FamilyOf(a) == f && !m.barred(s, a) && m.inPool(p, a) && m.together(s, a) {
			return []netip.Addr{a}
		}
	}
	return nil
}

func (m *model) fresh(s Service, optional bool) []netip.Addr {
	if len(s.Requested) > 0 {
		for _, a := range s.Requested {
			if m.barred(s, a) || !m.together(s, a) {
				return nil
			}
		}
		if _, ok := m.mayKeep(s, s.Requested); !ok || len(s.Requested) != len(s.Families) || len(m.sorted(s, s.Requested)) != len(s.Families) {
			return nil
		}
		return m.sorted(s, s.Requested)
	}
	if got := m.favour(s, optional); got != nil {
		return got
	}
	for _, pools := range m.candidates(s) {
		for _, p := range pools {
			var got []netip.Addr
			for _, f := range s.Families {
				got = append(got, m.first(s, p, f)...)
			}
			if len(got) == len(s.Families) {
				return got
			}
		}
		for i := 0; optional && i < len(s.Families); i++ {
			for _, p := range pools {
				if got := m.first(s, p, s.Families[i]); got != nil {
					return got
				}
			}
		}
	}
	return nil
}

func (m *model) candidates(s Service) [][]Pool {
	var named, pinnedPools, open []Pool
	for _, p := range m.pools {
		switch {
		case !m.admits(p, s):
		case s.RequestedPool == p.Name:
			named = append(named, p)
		case s.RequestedPool != "" || !p.AutoAssign:
		case p.Pin != nil:
			pinnedPools = append(pinnedPools, p)
		default:
			open = append(open, p)
		}
	}
	byName := func(x, y Pool) int { return cmp.Compare(x.Name, y.Name) }
	slices.SortFunc(open, byName)
	slices.SortFunc(pinnedPools, func(x, y Pool) int {
		px, py := x.Pin.Priority, y.Pin.Priority
		if (px == 0) != (py == 0) {
			return py - px
		}
		return cmp.Or(cmp.Compare(px, py), byName(x, y))
	})
	return [][]Pool{named, pinnedPools, open}
}

func (m *model) sorted(s Service, list []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, f := range s.Families {
		for _, a := range list {
			if FamilyOf(a) == f {
				out = append(out, a)
			}
		}
	}
	return out
}

func sameElements(x, y []netip.Addr) bool {
	x, y = slices.Clone(x), slices.Clone(y)
	slices.SortFunc(x, netip.Addr.Compare)
	slices.SortFunc(y, netip.Addr.Compare)
	return slices.Equal(x, y)
}

// TestAgainstModel drives random sequences and demands, after every step, the very addresses that the obvious allocator gives; at
// times it restarts from what the Services' statuses say, and nothing may move.
func TestAgainstModel(t *testing.T) {
	const each = 500
	for seed := range uint64(steps(t) / each) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { drive(t, rand.New(rand.NewPCG(seed, 1)), each) })
	}
}

// steps is how many steps all sequences take together: SOAK_STEPS, if given.
func steps(t *testing.T) int {
	text := os.Getenv("SOAK_STEPS")
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func drive(t *testing.T, r *rand.Rand, steps int) {
	m := &model{foreign: map[Key]netip.Addr{}, cluster: map[Key]netip.Addr{}, services: map[Key]Service{}, held: map[Key][]netip.Addr{}}
	a := New()
	m.pools = randomPools(r)
	a.SetPools(m.pools)
	told := map[string]Counts{}
	for step := range steps {
		switch n := r.IntN(40); {
		case n == 0:
			m.pools = randomPools(r)
			a.SetPools(m.pools)
		case n == 1:
			m.hold = randomWithheld(r)
			a.SetWithheld(m.hold)
			for key, ip := range m.cluster {
				a.SetClusterIPs(key, []netip.Addr{ip})
			}
		case n == 5:
			m.reserved = randomReservations(r)
			a.SetReservations(m.reserved)
		case n == 2:
			a = restarted(t, m, a)
		case n == 3:
			key := Key{"foreign", fmt.Sprint(r.IntN(3))}
			m.foreign[key] = randomAddr(r)
			a.Occupy(key, []netip.Addr{m.foreign[key]}, "this controller does not serve")
		case n == 6:
			m.conflicts = randomConflicts(r)
			a.SetConflicts(m.conflicts)
		case n == 4:
			key := Key{"foreign", fmt.Sprint(r.IntN(3))}
			delete(m.foreign, key)
			a.Release(key)
		case n == 7:
			key, ip := Key{"cluster", fmt.Sprint(r.IntN(2))}, randomAddr(r)
			if !slices.Contains(slices.Collect(maps.Values(m.cluster)), ip) {
				m.cluster[key] = ip
				a.SetClusterIPs(key, []netip.Addr{ip})
			}
		case n == 8:
			key := Key{"cluster", fmt.Sprint(r.IntN(2))}
			delete(m.cluster, key)
			a.SetClusterIPs(key, nil)
		case n < 14:
			key := randomKey(r)
			a.Release(key)
			delete(m.held, key)
			delete(m.services, key)
		default:
			s := randomService(r)
			before := slices.Clone(m.held[s.Key])
			want := m.decide(s)
			got := a.Decide(s)
			if !slices.Equal(got.Addresses, want) {
				t.Fatalf("step %d: %+v (had %v) got %v, want %v (%v)", step, s, before, got.Addresses, want, got.Problem)
			}
			if await := len(s.Requested) == 0 && slices.ContainsFunc(want, func(x netip.Addr) bool { would, _ := m.giveUp(s, x); return would }); got.AwaitsReplacement != await {
				t.Fatalf("step %d: %v awaits a replacement: %v", step, got.Addresses, got.AwaitsReplacement)
			}
			if (got.Problem == nil) != (len(want) > 0) && (len(want) == 0 || len(want) >= len(s.Requested) && !m.withheld(want[0]) && !m.withheld(want[len(want)-1])) {
				t.Fatalf("step %d: %v with problem %v", step, got.Addresses, got.Problem)
			}
			for _, x := range got.Granted {
				if m.withheld(x) {
					t.Fatalf("step %d: granted the withheld %v", step, x)
				}
			}
			if len(before) > 0 && len(got.Lost) > 0 && got.Cause == nil && len(s.Families) == 2 {
				t.Fatalf("step %d: lost %v without a cause", step, got.Lost)
			}
		}
		m.forget()
		checkCounts(t, m, a, step)
		checkChanged(t, m, a, told, step)
	}
}

// restarted settles all Services, then builds an Allocator from their statuses alone.
func restarted(t *testing.T, m *model, a *Allocator) *Allocator {
	t.Helper()
	keys := make([]Key, 0, len(m.services))
	for key := range m.services {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(x, y Key) int { return cmp.Compare(x.String(), y.String()) })
	for range 3 { // one Service that gives way lets another in
		for _, key := range keys {
			a.Decide(m.services[key])
			m.decide(m.services[key])
		}
	}
	m.replaced = nil
	fresh := New()
	fresh.SetPools(m.pools)
	fresh.SetConflicts(m.conflicts)
	fresh.SetWithheld(m.hold)
	for key, ip := range m.cluster {
		fresh.SetClusterIPs(key, []netip.Addr{ip})
	}
	fresh.SetReservations(m.reserved)
	for key, address := range m.foreign {
		fresh.Occupy(key, []netip.Addr{address}, "this controller does not serve")
	}
	for _, key := range keys {
		fresh.Adopt(withStatus(m.services[key], m.held[key]))
	}
	for _, key := range keys {
		if had := m.held[key]; len(had) > 0 {
			if d := fresh.Decide(withStatus(m.services[key], had)); !slices.Equal(d.Addresses, had) {
				t.Fatalf("a restart moved %v from %v to %v (%v)", key, had, d.Addresses, d.Cause)
			}
		}
	}
	for _, key := range keys {
		m.held[key] = fresh.Decide(withStatus(m.services[key], m.held[key])).Addresses
		if len(m.held[key]) == 0 {
			delete(m.held, key)
		}
	}
	return fresh
}

func withStatus(s Service, addresses []netip.Addr) Service { s.Current = addresses; return s }

func checkCounts(t *testing.T, m *model, a *Allocator, step int) {
	t.Helper()
	seen := map[netip.Addr]struct{}{}
	for _, list := range m.held {
		for _, x := range list {
			seen[x] = struct{}{}
		}
	}
	if len(seen) != len(a.holdings) {
		t.Fatalf("step %d: %d addresses in use, want %d", step, len(a.holdings), len(seen))
	}
	if step%5 > 0 {
		return
	}
	for _, p := range m.pools {
		got, _ := a.Counts(p.Name)
		free4, kept4 := m.count(p, IPv4, seen)
		free6, kept6 := m.count(p, IPv6, seen)
		if got.AvailableIPv4 != free4 || got.ReservedIPv4 != kept4 || got.AvailableIPv6 != free6 || got.ReservedIPv6 != kept6 {
			t.Fatalf("step %d: pool %s counts %+v, want %d %d %d %d", step, p.Name, got, free4, kept4, free6, kept6)
		}
	}
}

// checkChanged demands that whoever hears of changed pools only knows the figures of all.
func checkChanged(t *testing.T, m *model, a *Allocator, told map[string]Counts, step int) {
	t.Helper()
	for _, name := range a.Changed() {
		told[name], _ = a.Counts(name)
	}
	for _, p := range m.pools {
		if counts, _ := a.Counts(p.Name); told[p.Name] != counts {
			t.Fatalf("step %d: pool %s was told to have %+v, and has %+v", step, p.Name, told[p.Name], counts)
		}
	}
}

func (m *model) count(p Pool, f Family, used map[netip.Addr]struct{}) (free, kept int64) {
	for _, x := range m.all(p, f) {
		_, taken := used[x]
		switch {
		case taken || m.withheld(x):
		case m.keeper(x) != nil:
			kept++
		default:
			free++
		}
	}
	return free, kept
}

func randomKey(r *rand.Rand) Key { return Key{fmt.Sprint("n", r.IntN(2)), fmt.Sprint("s", r.IntN(14))} }

func randomAddr(r *rand.Rand) netip.Addr {
	if r.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{192, 0, 2, byte(250 + r.IntN(6))})
	}
	return netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", 1+r.IntN(8)))
}

func randomPools(r *rand.Rand) []Pool {
	var pools []Pool
	cuts := []string{"192.0.2.250-192.0.2.252", "192.0.2.253-192.0.3.1", "192.0.3.2-192.0.3.2", "2001:db8::1-2001:db8::3", "2001:db8::4-2001:db8::8"}
	r.Shuffle(len(cuts), func(i, j int) { cuts[i], cuts[j] = cuts[j], cuts[i] })
	for i := range 1 + r.IntN(3) {
		p := pool(fmt.Sprint("p", (i+r.IntN(2)*3)%5), cuts[i])
		if i+3 < len(cuts) && r.IntN(3) > 0 {
			p.Ranges = append(p.Ranges, pool("", cuts[i+3]).Ranges...)
		}
		if slices.ContainsFunc(pools, func(o Pool) bool { return o.Name == p.Name }) {
			continue
		}
		p.AutoAssign, p.AvoidBuggyIPs = r.IntN(4) > 0, r.IntN(4) == 0
		switch r.IntN(4) {
		case 0:
			p = pinned(p, r.IntN(3))
		case 1:
			p = pinned(p, r.IntN(3), "n1")
		}
		pools = append(pools, p)
	}
	return pools
}

func randomReservations(r *rand.Rand) []Reservation {
	cuts := []string{"192.0.2.251-192.0.2.251", "192.0.2.252-192.0.2.254", "192.0.3.1-192.0.3.9", "2001:db8::2-2001:db8::3", "2001:db8::5-2001:db8::5"}
	r.Shuffle(len(cuts), func(i, j int) { cuts[i], cuts[j] = cuts[j], cuts[i] })
	var list []Reservation
	for i := range r.IntN(4) {
		one := Reservation{Name: fmt.Sprint("r", i), Ranges: pool("", cuts[i]).Ranges}
		if r.IntN(3) > 0 {
			key := randomKey(r)
			one.For = &key
		}
		if i == 0 && r.IntN(2) == 0 {
			one.Ranges = append(one.Ranges, pool("", cuts[4]).Ranges...)
		}
		list = append(list, one)
	}
	return list
}

func randomWithheld(r *rand.Rand) []Withheld {
	cuts := []string{"192.0.2.250-192.0.2.251", "192.0.2.251-192.0.2.254", "192.0.3.0-192.0.3.255", "2001:db8::2-2001:db8::6", "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"}
	var list []Withheld
	for range r.IntN(3) {
		one := Single(randomAddr(r), reason.NodeAddress, "is an address of node n1")
		if one.OnRequest = r.IntN(2) == 0; one.OnRequest {
			one.Reason = reason.NetworkAddress
		}
		list = append(list, one)
	}
	for range r.IntN(3) / 2 {
		list = append(list, withhold(reason.ServiceCIDRAddress, cuts[r.IntN(len(cuts))])...)
	}
	return list
}

func randomConflicts(r *rand.Rand) []Conflict {
	var list []Conflict
	for range r.IntN(6) {
		c := Conflict{Address: randomAddr(r), Problem: reason.New(reason.AddressConflict, "somebody else"), Hearsay: r.IntN(3) > 0}
		if !c.Hearsay {
			c.Replaces = r.IntN(4) > 0
		}
		if slices.ContainsFunc(list, func(o Conflict) bool { return o.Address == c.Address }) {
			continue // an address is named once
		}
		list = append(list, c)
	}
	return list
}

func randomService(r *rand.Rand) Service {
	s := Service{Key: randomKey(r), Policy: FamilyPolicy(r.IntN(3))}
	s.Families = [][]Family{{IPv4}, {IPv6}, {IPv4, IPv6}, {IPv6, IPv4}}[r.IntN(4)]
	if len(s.Families) == 2 && s.Policy == SingleStack {
		s.Policy = PreferDualStack
	}
	s.Ports = []Port{{"TCP", int32(r.IntN(3))}}
	if r.IntN(3) == 0 {
		s.SharingKey, s.BackendKey = fmt.Sprint("k", r.IntN(2)), []string{"", "app=a"}[r.IntN(4)/3]
	}
	if r.IntN(5) == 0 {
		s.RequestedPool = fmt.Sprint("p", r.IntN(5))
	}
	if r.IntN(5) == 0 {
		s.Requested = []netip.Addr{randomAddr(r)}
		if other := randomAddr(r); r.IntN(2) == 0 && FamilyOf(other) != FamilyOf(s.Requested[0]) {
			s.Requested = append(s.Requested, other)
		}
	}
	return s
}
