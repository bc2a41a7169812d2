// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"metalsuite.io/api/reason"
)

func (p *port) isOwn(a netip.Addr) bool { return slices.Contains(p.link.Addresses, a) }

// finding says which router is there.
func (p *port) finding(now time.Time) finding {
	current, others := p.routers.decide(now)
	var f finding
	if current.IsValid() {
		f.neighbour = Neighbour{Remote: current.WithZone(p.link.Name), Local: p.link.LinkLocal}
	}
	switch {
	case len(others) > 0:
		f.problem = reason.New(reason.NoRouterAdvertisement, "several routers send advertisements on the interface %s: %s", p.link.Name, list(current, others))
	case !current.IsValid():
		f.problem = reason.New(reason.NoRouterAdvertisement, "no router advertisement was received on the interface %s", p.link.Name)
	}
	return f
}

// list names a few addresses.
func list(current netip.Addr, others []netip.Addr) string {
	const named = 4
	all := others
	if current.IsValid() {
		all = append([]netip.Addr{current}, others...)
	}
	var words []string
	for _, a := range all[:min(named, len(all))] {
		words = append(words, a.String())
	}
	if more := len(all) - named; more > 0 {
		words = append(words, fmt.Sprintf("%d more", more))
	}
	return strings.Join(words, ", ")
}
