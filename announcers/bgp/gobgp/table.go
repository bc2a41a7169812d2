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
	routes  map[netip.Prefix]struct{}
	// prepended are the routes whose path depends on whether the peer is external.
	prepended map[netip.Prefix]bgp.Announcement
	v4, v6    int
}

func newTable(s *server, settings bgp.Settings) *table {
	external := settings.Accept != announcers.InternalASN
	if settings.RemoteASN != 0 {
		external = settings.RemoteASN != settings.LocalASN
	}
	return &table{
		server: s, settings: settings, painter: painter{localASN: settings.LocalASN, external: external},
		routes: map[netip.Prefix]struct{}{}, prepended: map[netip.Prefix]bgp.Announcement{},
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
		path, err := t.painter.announce(a)
		if err != nil {
			return nil, err
		}
		out = append(out, path)
	}
	return out, nil
}

func (t *table) add(announced []bgp.Announcement) {
	for _, a := range announced {
		if _, ok := t.routes[a.Prefix]; !ok {
			t.routes[a.Prefix] = struct{}{}
			*t.counter(a.Prefix)++
		}
		if a.Prepend > 0 {
			t.prepended[a.Prefix] = a
		} else {
			delete(t.prepended, a.Prefix)
		}
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
			delete(t.prepended, prefix)
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

// settle is told the kind of the peer, and announces again what depends on it.
func (t *table) settle(ctx context.Context, external bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.painter.external == external {
		return nil
	}
	t.painter.external, t.painter.packed = external, nil
	again := make([]bgp.Announcement, 0, len(t.prepended))
	for _, a := range t.prepended {
		again = append(again, a)
	}
	paths, err := t.paths(nil, again)
	if err != nil {
		return err
	}
	return t.server.update(ctx, paths)
}
