// SPDX-License-Identifier: Apache-2.0

package service

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/policy"
)

// oracle watches one process and knows, slowly and obviously, what it must not do. It judges by what the process has been told, not by
// what it could not know yet.
type oracle struct {
	*process
	policy     *policy.Policy
	pools      map[string]*v1beta1.IPAddressPool
	namespaces map[string]labels.Set
	// promises are the reservations that last until they are changed, or to a time that is known.
	promises map[types.UID]promise
	// cluster are the addresses that the cluster uses itself.
	cluster []allocation.Withheld
	// last is what was decided last on each Service, and from then.
	last map[allocation.Key]verdictOn
	// fault is the first thing that went wrong.
	fault string
}

type verdictOn struct {
	service   allocation.Service
	addresses []netip.Addr
	pool      string
}

// promise is what a reservation keeps for a Service; for nobody when the key is empty.
type promise struct {
	service allocation.Key
	follows bool
	ranges  []netipx.IPRange
	end     time.Time
}

func (p promise) covers(a netip.Addr, now time.Time) bool {
	return (p.end.IsZero() || now.Before(p.end)) && slices.ContainsFunc(p.ranges, func(r netipx.IPRange) bool { return r.Contains(a) })
}

func (p *promise) follow(addresses []netip.Addr) {
	p.ranges = nil
	for _, a := range addresses {
		p.ranges = append(p.ranges, netipx.IPRangeFrom(a, a))
	}
}

// promised reads the reservations that the process has read. What one of them follows is forgotten when it is for another Service now, and
// begins with what that has.
func (o *oracle) promised() {
	before, first := o.promises, o.promises == nil
	o.promises = map[types.UID]promise{}
	for _, one := range o.world.heard.of("IPReservation") {
		r := one.(*v1beta1.IPReservation)
		p := promise{follows: len(r.Spec.Addresses) == 0}
		if s := r.Spec.Service; s != nil {
			p.service = allocation.Key{Namespace: s.Namespace, Name: s.Name}
		}
		if r.Spec.ExpiresAt != nil {
			p.end = r.Spec.ExpiresAt.Time
		}
		texts := r.Spec.Addresses
		if was := before[r.UID]; p.follows && was.follows && was.service == p.service {
			p.ranges = was.ranges
		} else if p.follows && first {
			texts = r.Status.Addresses
		} else if p.follows {
			p.follow(o.last[p.service].addresses)
		}
		for _, text := range texts {
			if a, err := policy.ParseAddresses(text); err == nil {
				p.ranges = append(p.ranges, a)
			}
		}
		if r.Spec.KeepFor == nil {
			o.promises[r.UID] = p
		}
	}
}

// broken says which promise a grant breaks; empty when none. What several reservations name is promised by none.
func (o *oracle) broken(key allocation.Key, granted []netip.Addr) string {
	for _, a := range granted {
		var names []allocation.Key
		for _, p := range o.promises {
			if p.covers(a, o.world.now) {
				names = append(names, p.service)
			}
		}
		held := false
		for other, rec := range o.records {
			last, decided := o.last[other]
			if !decided { // it was adopted
				last.addresses = rec.service.Current
			}
			held = held || other != key && slices.Contains(last.addresses, a)
		}
		if len(names) == 1 && names[0] != key && !held && !o.severallyReserved(a) {
			return fmt.Sprintf("%s was granted %s, which is kept for %q", key, a, names[0])
		}
	}
	return ""
}

// severallyReserved reports whether several reservations name the address, also such as end at a time that is not known here.
func (o *oracle) severallyReserved(a netip.Addr) bool {
	n := 0
	for _, one := range o.world.heard.of("IPReservation") {
		r := one.(*v1beta1.IPReservation)
		all := slices.Concat(r.Spec.Addresses, r.Status.Addresses, o.keeping.known[r.UID].addresses)
		if slices.ContainsFunc(all, func(text string) bool { x, err := policy.ParseAddresses(text); return err == nil && x.Contains(a) }) {
			n++
		}
	}
	return n > 1
}

// withheld reports whether the process knows that something else uses the address, and has to believe it: a node says so of itself, or it
// is among the oldest tenth of the conflicts that are heard of in its pool and family.
func (o *oracle) withheld(a netip.Addr) bool {
	c, ok := o.conflicts.live[a]
	if !ok || !c.hearsay {
		return ok
	}
	pool, _ := o.policy.PoolOf(a)
	older := 0
	for b, other := range o.conflicts.live {
		beside, _ := o.policy.PoolOf(b)
		first := other.oldest.Before(c.oldest) || other.oldest.Equal(c.oldest) && b.Less(a)
		if other.hearsay && first && beside == pool && b.Is4() == a.Is4() {
			older++
		}
	}
	return older == 0 // the pools here have ten addresses at most
}

// said demands that a Service is told of the conflicts that the objects speak of, and of no others.
func (o *oracle) said(s *corev1.Service) {
	live := slices.ContainsFunc(o.world.served.of("AddressConflict"), func(one client.Object) bool {
		c := one.(*v1beta1.AddressConflict)
		a, err := netip.ParseAddr(c.Status.Address)
		return err == nil && slices.Contains(addressesOf(s), a) && o.world.now.Before(o.endOf(c))
	})
	if told := toldOfConflict(s) != ""; told != live {
		o.fail("at rest %s with %v is told of a conflict: %t", keyOf(s), addressesOf(s), told)
	}
}

// endOf is when a conflict ends; only the process knows when it heard of the last sighting.
func (o *oracle) endOf(c *v1beta1.AddressConflict) time.Time {
	if known := o.conflicts.ends[c.UID]; known.seen.Equal(c.Status.LastSeen.Time) {
		return later(endAsRead(c), known.until)
	}
	return endAsRead(c)
}

// endAsRead is when a conflict ends for a process that has just started.
func endAsRead(c *v1beta1.AddressConflict) time.Time {
	return later(c.Status.LastSeen.Time, c.CreationTimestamp.Time).Add(conflictLife)
}

// remembers says whether a conflict counts only because the process heard that it was seen again, by a clock that is behind.
func (o *oracle) remembers() bool {
	return slices.ContainsFunc(o.world.served.of("AddressConflict"), func(one client.Object) bool {
		c := one.(*v1beta1.AddressConflict)
		return !o.world.now.Before(endAsRead(c)) && o.world.now.Before(o.endOf(c))
	})
}

func toldOfConflict(s *corev1.Service) string {
	c := meta.FindStatusCondition(s.Status.Conditions, v1beta1.ConditionAddressConflict)
	if c == nil {
		return ""
	}
	return c.Reason + ": " + c.Message
}

func watchOver(p *process) *oracle {
	o := &oracle{process: p, last: map[allocation.Key]verdictOn{}}
	p.decided, p.judged, p.world.written = o.afterDecision, o.adopt, o.afterWrite
	return o
}

func (o *oracle) fail(format string, args ...any) {
	if o.fault == "" {
		o.fault = fmt.Sprintf(format, args...)
	}
}

// adopt reads what the process has just read.
func (o *oracle) adopt() {
	objects := policy.Objects{Namespaces: map[string]map[string]string{}}
	o.pools, o.namespaces = map[string]*v1beta1.IPAddressPool{}, map[string]labels.Set{}
	for _, one := range o.world.heard.of("IPAddressPool") {
		pool := one.(*v1beta1.IPAddressPool)
		o.pools[pool.Name] = pool
		objects.Pools = append(objects.Pools, *pool)
	}
	for _, one := range o.world.heard.of("Namespace") {
		o.namespaces[one.GetName()] = one.GetLabels()
		objects.Namespaces[one.GetName()] = one.GetLabels()
	}
	o.policy = policy.Compile(objects)
	uses := policy.Cluster{}
	for _, one := range o.world.heard.of("Node") {
		uses.Nodes = append(uses.Nodes, *one.(*corev1.Node))
	}
	for _, one := range o.world.heard.of("ServiceCIDR") {
		uses.ServiceCIDRs = append(uses.ServiceCIDRs, *one.(*networkingv1.ServiceCIDR))
	}
	o.cluster = uses.Withheld()
	o.promised()
}

// afterDecision: what a Service had and could keep is not taken away.
func (o *oracle) afterDecision(key allocation.Key, d desired) {
	last, known := o.last[key]
	if d.leaves {
		delete(o.last, key)
		return
	}
	if broken := o.broken(key, d.decision.Granted); broken != "" {
		o.fail("%s", broken)
	}
	for _, a := range d.decision.Granted {
		if o.withheld(a) {
			o.fail("%s was granted %s, which something else uses", key, a)
		}
		if slices.ContainsFunc(o.cluster, func(w allocation.Withheld) bool { return w.Range.Contains(a) }) {
			o.fail("%s was granted %s, which the cluster uses", key, a)
		}
	}
	for uid, p := range o.promises {
		if p.follows && p.service == key && len(d.decision.Addresses) > 0 {
			p.follow(d.decision.Addresses)
			o.promises[uid] = p
		}
	}
	s := o.records[key].service
	o.last[key] = verdictOn{s, d.decision.Addresses, d.decision.Pool}
	if !known {
		last = verdictOn{s, s.Current, s.CurrentPool}
	}
	if o.fault == "" {
		o.fault = o.needless(s, last, d)
	}
}

// needless says which loss was not needed; empty when all were.
func (o *oracle) needless(s allocation.Service, last verdictOn, d desired) string {
	kept := ofFamilies(last.addresses, s.Families)
	lost := without(kept, d.decision.Addresses)
	if len(lost) == 0 || s.Policy == allocation.RequireDualStack && len(s.Families) < 2 {
		return ""
	}
	if len(s.Requested) == 0 && len(d.decision.Addresses) >= len(kept) && slices.ContainsFunc(lost, o.unannounceable) {
		return ""
	}
	prefers := s.Policy == allocation.PreferDualStack && len(s.Families) == 2
	changed := !reflect.DeepEqual(tenantOf(s), tenantOf(last.service))
	if frozen, ok := o.mayKeep(s, kept, last.pool, prefers, changed); ok {
		if prefers || frozen || s.Invalid != nil || len(kept) == len(s.Families) {
			return fmt.Sprintf("%s lost %v of %v, which it may keep; decision %+v", s.Key, lost, kept, d.decision)
		}
		return ""
	}
	if !prefers || len(kept) < 2 || len(lost) < 2 {
		return ""
	}
	for i := range kept {
		if len(s.Requested) == 0 && len(d.decision.Addresses) > 0 && o.unannounceable(kept[i]) {
			continue // another one was granted in its place
		}
		if _, ok := o.mayKeep(s, kept[i:i+1], last.pool, prefers, changed); ok {
			return fmt.Sprintf("%s lost both of %v although it may keep one; decision %+v", s.Key, kept, d.decision)
		}
	}
	return ""
}

// unannounceable reports whether a node says that a router which is no node has the address.
func (o *oracle) unannounceable(a netip.Addr) bool {
	if slices.ContainsFunc(o.cluster, func(w allocation.Withheld) bool { return w.Reason == reason.NodeAddress && w.Range.Contains(a) }) {
		return false
	}
	return slices.ContainsFunc(o.world.heard.of("AddressConflict"), func(one client.Object) bool {
		c := one.(*v1beta1.AddressConflict)
		return c.Status.Address == a.String() && c.Status.Reason == string(reason.NextHopAddress) && c.Status.Withdrawn
	})
}

func ofFamilies(addresses []netip.Addr, families []allocation.Family) []netip.Addr {
	var kept []netip.Addr
	for _, f := range families {
		i := slices.IndexFunc(addresses, func(a netip.Addr) bool { return allocation.FamilyOf(a) == f })
		if i >= 0 {
			kept = append(kept, addresses[i])
		}
	}
	return kept
}

// mayKeep reports whether a Service may keep these addresses together, and whether their pool is frozen. Others on the address count as they
// were when something was decided on them last. They may have changed since, with a decision that was not posted because they kept what they
// had: so a Service that has changed itself must get on with those as well.
func (o *oracle) mayKeep(s allocation.Service, kept []netip.Addr, hint string, some, changed bool) (frozen, ok bool) {
	pool := ""
	for i, a := range kept {
		p, found := o.policy.PoolHolding(a, hint)
		if !found || i > 0 && p != pool {
			return false, false
		}
		pool = p
		for key, other := range o.last {
			if key == s.Key || !slices.Contains(other.addresses, a) {
				continue
			}
			if allocation.MayShare(tenantOf(s), tenantOf(other.service), a) != nil ||
				changed && allocation.MayShare(tenantOf(s), tenantOf(o.records[key].service), a) != nil {
				return false, false
			}
		}
	}
	if s.RequestedPool != "" && s.RequestedPool != pool || !agrees(s, kept, some) {
		return false, false
	}
	_, frozen = o.policy.ProblemOf(policy.ObjectRef{Kind: policy.KindIPAddressPool, Name: pool})
	return frozen, frozen || o.admits(o.pools[pool], s)
}

func agrees(s allocation.Service, kept []netip.Addr, some bool) bool {
	if s.Invalid != nil || len(s.Requested) == 0 {
		return true
	}
	return len(without(kept, s.Requested)) == 0 && (some || len(kept) == len(s.Requested))
}

// admits reads a reservation as it is written.
func (o *oracle) admits(pool *v1beta1.IPAddressPool, s allocation.Service) bool {
	a := pool.Spec.ServiceAllocation
	if a == nil {
		return true
	}
	namespace := len(a.Namespaces)+len(a.NamespaceSelectors) == 0 || slices.Contains(a.Namespaces, s.Key.Namespace)
	for i := range a.NamespaceSelectors {
		of, exists := o.namespaces[s.Key.Namespace]
		namespace = namespace || exists && selects(&a.NamespaceSelectors[i], of)
	}
	service := len(a.ServiceSelectors) == 0
	for i := range a.ServiceSelectors {
		service = service || selects(&a.ServiceSelectors[i], s.Labels)
	}
	return namespace && service
}

func selects(s *metav1.LabelSelector, of labels.Set) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(of)
}

// afterWrite: no status names an address that the status of another Service of ours names, unless both may share it as far as the process
// knows them.
func (o *oracle) afterWrite(before, after client.Object) {
	s, ok := after.(*corev1.Service)
	if !ok {
		return
	}
	granted := without(addressesOf(s), addressesOf(before.(*corev1.Service)))
	for _, a := range granted {
		for _, one := range o.world.served.of("Service") {
			other := one.(*corev1.Service)
			if keyOf(other) == keyOf(s) || !kube.Served(other, o.class) || !slices.Contains(addressesOf(other), a) {
				continue
			}
			if problem := allocation.MayShare(o.tenant(s), o.tenant(other), a); problem != nil {
				o.fail("%s was written on %s while %s bears it: %s", a, keyOf(s), keyOf(other), problem.Detail)
			}
		}
	}
}

// tenant is a Service as the process knows it, else as it is.
func (o *oracle) tenant(s *corev1.Service) allocation.Tenant {
	if rec, known := o.records[keyOf(s)]; known {
		return tenantOf(rec.service)
	}
	return tenantOf(observe(s))
}

// inSeveral counts the addresses of each pool that another pool has as well: while a pool is frozen, those on a shared address may name
// different ones, of which one counts it.
func inSeveral(pools map[string]map[netip.Addr]struct{}) map[string]int {
	n := map[string]int{}
	for name, addresses := range pools {
		for a := range addresses {
			for other, others := range pools {
				if _, both := others[a]; both && other != name {
					n[name]++
					break
				}
			}
		}
	}
	return n
}

// atRest: every Service of ours has what was decided, no two bear an address that they may not share, and the figures of the pools are
// right.
func (o *oracle) atRest() {
	bearers := map[netip.Addr][]*corev1.Service{}
	counts := map[string]map[netip.Addr]struct{}{}
	for _, one := range o.world.served.of("Service") {
		s := one.(*corev1.Service)
		if !kube.Served(s, o.class) {
			continue
		}
		if decided := o.records[keyOf(s)].decision.Addresses; !slices.Equal(addressesOf(s), decided) {
			o.fail("at rest %s bears %v, decided was %v", keyOf(s), addressesOf(s), decided)
		}
		o.said(s)
		for _, a := range addressesOf(s) {
			for _, other := range bearers[a] {
				if problem := allocation.MayShare(tenantOf(observe(s)), tenantOf(observe(other)), a); problem != nil {
					o.fail("at rest %s and %s bear %s: %s", keyOf(s), keyOf(other), a, problem.Detail)
				}
			}
			bearers[a] = append(bearers[a], s)
			pool := s.Annotations[v1beta1.AnnotationAllocatedFromPool]
			if counts[pool] == nil {
				counts[pool] = map[netip.Addr]struct{}{}
			}
			counts[pool][a] = struct{}{}
		}
	}
	ambiguous := inSeveral(counts)
	for name, pool := range o.pools {
		got := o.world.served.find(pool).(*v1beta1.IPAddressPool).Status
		if n := int(got.AssignedIPv4 + got.AssignedIPv6); n > len(counts[name]) || n < len(counts[name])-ambiguous[name] {
			o.fail("at rest pool %s counts %d and %d, in use are %v", name, got.AssignedIPv4, got.AssignedIPv6, slices.Collect(maps.Keys(counts[name])))
		}
		written := allocation.Counts{
			AssignedIPv4: got.AssignedIPv4, AvailableIPv4: got.AvailableIPv4, ReservedIPv4: got.ReservedIPv4,
			AssignedIPv6: got.AssignedIPv6, AvailableIPv6: got.AvailableIPv6, ReservedIPv6: got.ReservedIPv6,
		}
		if counts, _ := o.allocator.Counts(name); written != counts {
			o.fail("at rest the status of pool %s says %+v, and it has %+v", name, written, counts)
		}
	}
}
