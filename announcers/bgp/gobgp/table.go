// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"net/netip"
	"sync"

	api "github.com/osrg/gobgp/v3/api"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
)

// table is what the router announces.
type table struct {
	server   *server
	settings bgp.Settings

	mu      sync.Mutex
	painter painter
	routes  map[netip.Prefix]bgp.Announcement
	v4, v6  int
}

func newTable(s *server, settings bgp.Settings) *table {
	external := settings.Accept != announcers.InternalASN
	if settings.RemoteASN != 0 {
		external = settings.RemoteASN != settings.LocalASN
	}
	return &table{
		server: s, settings: settings, routes: map[netip.Prefix]bgp.Announcement{},
		painter: painter{
			localASN: settings.LocalASN,
			session:  agreed{external: external, over6: settings.Remote.Unmap().Is6(), local: nextHopOf(settings.Local)},
		},
	}
}

// count returns the number of routes of the families.
func (t *table) count(v4, v6 bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	if v4 {
		n += t.v4
	}
	if v6 {
		n += t.v6
	}
	return n
}

// update changes the table. It returns what it left out, and why.
func (t *table) update(ctx context.Context, gone []netip.Prefix, announce []bgp.Announcement) (map[netip.Prefix]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	refused := map[netip.Prefix]string{}
	kept := make([]bgp.Announcement, 0, len(announce))
	for _, a := range announce {
		if why := refusal(t.settings, a); why != "" {
			refused[a.Prefix] = why
			gone = append(gone[:len(gone):len(gone)], a.Prefix)
			continue
		}
		kept = append(kept, a)
	}
	paths, err := t.paths(gone, kept)
	if err != nil {
		return refused, err
	}
	// When the call is cut short nobody knows how far it came: what may be announced counts as announced, so that it can be withdrawn.
	t.add(kept)
	if err := t.server.update(ctx, paths); err != nil {
		return refused, err
	}
	t.remove(gone, kept)
	return refused, nil
}

func (t *table) paths(gone []netip.Prefix, announce []bgp.Announcement) ([]*api.Path, error) {
	out := make([]*api.Path, 0, len(gone)+len(announce))
	for _, prefix := range gone {
		if _, ok := t.routes[prefix]; !ok {
			continue
		}
		path, err := withdraw(prefix)
		if err != nil {
			return nil, err
		}
		out = append(out, path)
	}
	for _, a := range announce {
		path, err := t.path(a)
		if err != nil {
			return nil, err
		}
		if path != nil {
			out = append(out, path)
		}
	}
	return out, nil
}

// path returns what GoBGP is to be told of a route: to withdraw it when there is no next hop that the peer could use, and nothing when GoBGP
// has it not either.
func (t *table) path(a bgp.Announcement) (*api.Path, error) {
	if t.painter.session.nextHop(a).IsValid() {
		return t.painter.announce(a)
	}
	if _, ok := t.routes[a.Prefix]; !ok {
		return nil, nil
	}
	return withdraw(a.Prefix)
}

func (t *table) add(announced []bgp.Announcement) {
	for _, a := range announced {
		if _, ok := t.routes[a.Prefix]; !ok {
			*t.counter(a.Prefix)++
		}
		t.routes[a.Prefix] = a
	}
}

// remove forgets what is gone, unless it was announced again in the same breath.
func (t *table) remove(gone []netip.Prefix, announced []bgp.Announcement) {
	stays := map[netip.Prefix]bool{}
	for _, a := range announced {
		stays[a.Prefix] = true
	}
	for _, prefix := range gone {
		if _, ok := t.routes[prefix]; ok && !stays[prefix] {
			delete(t.routes, prefix)
			*t.counter(prefix)--
		}
	}
}

func (t *table) counter(p netip.Prefix) *int {
	if p.Addr().Is4() {
		return &t.v4
	}
	return &t.v6
}

// settle is told what was agreed on with the peer, before it is sent any route, and announces again what depends on it.
func (t *table) settle(ctx context.Context, o *bgp.Opened) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, now := t.painter.session, t.painter.session
	now.external, now.extended, now.local = o.RemoteASN != t.settings.LocalASN, o.ExtendedNextHop, nextHopOf(o.Local.Addr())
	if before == now {
		return nil
	}
	t.painter.session, t.painter.packed = now, nil
	var again []bgp.Announcement
	for _, a := range t.routes {
		if before.nextHop(a) != now.nextHop(a) || a.Prepend > 0 && before.external != now.external {
			again = append(again, a)
		}
	}
	paths, err := t.paths(nil, again)
	if err != nil {
		return err
	}
	return t.server.update(ctx, paths)
}
