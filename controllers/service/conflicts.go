// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
)

// conflictLife is how long a conflict counts after it was last seen.
const conflictLife = 10 * time.Minute

// conflicts are the AddressConflicts as this process knows them. It belongs to the one worker of the Reconciler.
type conflicts struct {
	// live are those that count, by address.
	live map[netip.Addr]conflict
	ends map[types.UID]ending
	// wake is when the next one ends; zero when none does.
	wake time.Time
}

// ending is until when an object counts that was last seen at a time by the clock of a node.
type ending struct{ seen, until time.Time }

// conflict is what is known of one address: the worst of its sightings, and since when there are any. It can be compared.
type conflict struct {
	sighting
	// router is the worst of the sightings that replace the address; its zero value is none. What else uses the address changes nothing about it.
	router sighting
	// hearsay is set while no node says so of itself.
	hearsay bool
	oldest  time.Time
}

// adopt takes over the conflicts as they are now; it reports whether anything but the time of sightings has changed.
func (c *conflicts) adopt(objects []v1beta1.AddressConflict, now time.Time, log logr.Logger) (changed bool) {
	before, ends := c.live, c.ends
	c.live, c.ends, c.wake = map[netip.Addr]conflict{}, make(map[types.UID]ending, len(objects)), time.Time{}
	counting, words := make([]sighting, 0, len(objects)), map[netip.Addr]word{}
	for i := range objects {
		o := &objects[i]
		s, ok := sightingOf(o)
		if !ok {
			log.V(1).Info("AddressConflict without a valid address is ignored", "name", o.Name, "address", o.Status.Address)
			continue
		}
		end := endingOf(o, ends, now)
		if c.ends[o.UID] = end; !now.Before(end.until) {
			continue
		}
		if c.wake.IsZero() || end.until.Before(c.wake) {
			c.wake = end.until
		}
		counting = append(counting, s)
		if s.stranger() {
			words[s.address] = words[s.address].or(word{end.seen, s.withdrawn})
		}
	}
	c.gather(counting, words)
	return !maps.Equal(before, c.live)
}

// gather puts together what counts by address; words are the last ones on other machines.
func (c *conflicts) gather(counting []sighting, words map[netip.Addr]word) {
	for _, s := range counting {
		s.outdated = s.stranger() && s.withdrawn != words[s.address].withdrawn
		c.live[s.address] = c.live[s.address].with(s)
	}
}

// endingOf is until when an object counts. The clock of its node may be wrong: it never counts for longer than its life from when it was
// heard of here, and not for less from when it was made or was heard to be seen again.
func endingOf(o *v1beta1.AddressConflict, known map[types.UID]ending, now time.Time) ending {
	seen, longest := o.Status.LastSeen.Time, now.Add(conflictLife)
	end, ok := known[o.UID]
	switch {
	case !ok:
		end = ending{seen, later(seen, o.CreationTimestamp.Time).Add(conflictLife)}
	case !end.seen.Equal(seen):
		end = ending{seen, longest}
	}
	if end.until.After(longest) {
		end.until = longest
	}
	return end
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// with adds a sighting to what is known of its address.
func (c conflict) with(s sighting) conflict {
	if s.replaces() && (!c.replaced() || s.compare(c.router) < 0) {
		c.router = s
	}
	if !c.address.IsValid() {
		return conflict{sighting: s, router: c.router, hearsay: s.stranger(), oldest: s.since}
	}
	c.hearsay = c.hearsay && s.stranger()
	if s.since.Before(c.oldest) {
		c.oldest = s.since
	}
	if s.compare(c.sighting) < 0 {
		c.sighting = s
	}
	return c
}

// replaced reports whether one of the nodes knows that no node can announce the address.
func (c conflict) replaced() bool { return c.router.address.IsValid() }

// cause is the sighting that decides on the address.
func (c conflict) cause() sighting {
	if c.replaced() {
		return c.router
	}
	return c.sighting
}

// forAllocator lists the conflicts as they count: the oldest first, then by address.
func (c *conflicts) forAllocator() []allocation.Conflict {
	all := slices.SortedFunc(maps.Values(c.live), func(x, y conflict) int {
		return cmp.Or(x.oldest.Compare(y.oldest), x.address.Compare(y.address))
	})
	list := make([]allocation.Conflict, len(all))
	for i, x := range all {
		cause := x.cause()
		list[i] = allocation.Conflict{Address: x.address, Problem: reason.New(cause.why, "%s", cause.what()), Hearsay: x.hearsay, Replaces: x.replaced()}
	}
	return list
}

// differing are the addresses of which something else is known than before.
func differing(before, after map[netip.Addr]conflict) (list []netip.Addr) {
	for a, x := range before {
		if y, ok := after[a]; !ok || x != y {
			list = append(list, a)
		}
	}
	for a := range after {
		if _, ok := before[a]; !ok {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return list
}

// review takes over the conflicts as they are by now, tells those that hold an address of which something else is known, and serves those
// that wait for one.
func (r *Reconciler) review(ctx context.Context) error {
	list, err := r.listConflicts(ctx)
	if err != nil {
		return err
	}
	before := r.conflicts.live
	if !r.heed(list) {
		return nil
	}
	for _, a := range differing(before, r.conflicts.live) {
		for _, holder := range r.allocator.Holders(a) {
			r.decide(holder)
		}
	}
	r.serveWaiting()
	return nil
}

// heed hands the conflicts to the Allocator; it reports whether anything has changed.
func (r *Reconciler) heed(list []v1beta1.AddressConflict) (changed bool) {
	before := r.conflicts.live
	if changed = r.conflicts.adopt(list, r.now(), r.log); !changed {
		return false
	}
	r.allocator.SetConflicts(r.conflicts.forAllocator())
	for _, a := range differing(before, r.conflicts.live) {
		if c, ok := r.conflicts.live[a]; ok {
			r.log.Info("Address conflict found", "address", a, "reason", c.why, "node", c.node, "interface", c.nic)
		} else {
			r.log.Info("Address conflict resolved", "address", a)
		}
	}
	return true
}

func (r *Reconciler) listConflicts(ctx context.Context) ([]v1beta1.AddressConflict, error) {
	var list v1beta1.AddressConflictList
	if err := r.reader.List(ctx, &list, client.InNamespace(r.namespace)); err != nil {
		return nil, fmt.Errorf("listing conflicts: %w", err)
	}
	return list.Items, nil
}
