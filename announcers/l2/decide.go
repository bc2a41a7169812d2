// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/l2/link"
	"metalsuite.io/api/reason"
)

// port is an interface as the decision sees it.
type port struct {
	link.Link
	// unfit says why the interface can never be announced on as it is (excluded, no Ethernet); nil when it could be.
	unfit *reason.Problem
	// fault says why the interface cannot be announced on right now; nil when it can be. It is set whenever unfit is.
	fault *reason.Problem
	// fault6 says the same for IPv6 addresses. It is set whenever fault is.
	fault6 *reason.Problem
	// onLink are prefixes that lead to the interface beside those of its addresses.
	onLink []netip.Prefix
}

func (p port) equal(q port) bool {
	faults := func(p port) [3]*reason.Problem { return [3]*reason.Problem{p.unfit, p.fault, p.fault6} }
	return p.Link.Equal(q.Link) && slices.Equal(p.onLink, q.onLink) && reflect.DeepEqual(faults(p), faults(q))
}

// alike says whether two observations of an interface are the same but for the addresses on it. Its subnets count.
func (p port) alike(q port) bool {
	p.Addresses, p.Wider = q.Addresses, q.Wider
	return p.equal(q)
}

// faultFor says why an address cannot be announced on the interface right now; nil when it can be.
func (p port) faultFor(a netip.Addr) *reason.Problem {
	if a.Is4() {
		return p.fault
	}
	return p.fault6
}

// mend sets the fault for IPv6 from the other one and from what IPv6 needs beside.
func (p *port) mend() {
	switch {
	case p.fault != nil:
		p.fault6 = p.fault
	case p.fault6 == nil && !p.LinkLocal.IsValid():
		p.fault6 = reason.New(reason.NoLinkLocalAddress, "interface %s has no IPv6 link-local address", p.Name)
	}
}

// inspect judges an interface by what it is.
func inspect(l link.Link, excluded []*regexp.Regexp) port {
	p := port{Link: l, unfit: unfit(l, excluded)}
	switch {
	case p.unfit != nil:
		p.fault = p.unfit
	case !l.Up:
		p.fault = reason.New(reason.NoCarrier, "interface %s is down", l.Name)
	case !l.Carrier:
		p.fault = reason.New(reason.NoCarrier, "interface %s has no carrier", l.Name)
	}
	p.mend()
	return p
}

func unfit(l link.Link, excluded []*regexp.Regexp) *reason.Problem {
	for _, pattern := range excluded {
		if pattern.MatchString(l.Name) {
			return reason.New(reason.NoUsableInterface, "interface %s is excluded by the pattern %q", l.Name, pattern.String())
		}
	}
	switch {
	case l.Master != 0:
		return reason.New(reason.NoUsableInterface, "interface %s is a port of a bridge or bond", l.Name)
	case l.Internal() || !l.Broadcast || !l.MAC.IsUnicast():
		return reason.New(reason.NoUsableInterface, "interface %s does not use ARP", l.Name)
	}
	return nil
}

// surroundings are what a decision looks at beside the wishes.
type surroundings struct {
	// ports are the interfaces, sorted by name.
	ports []port
	// local are the addresses of this node.
	local map[netip.Addr]holding
	// nextHops are the addresses that routes lead through.
	nextHops map[netip.Addr]struct{}
	// edges are the edges of the subnets of the interfaces.
	edges map[netip.Addr]*reason.Problem
	// stance is how this node stands to an address on an interface, conflict what it knows of a stranger that uses it.
	stance   func(a netip.Addr, nic string) stance
	conflict func(netip.Addr) *reason.Problem
}

// decision is what the desired addresses come to in their surroundings.
type decision struct {
	states map[netip.Addr]announcers.State
	// claims are the addresses with the interfaces that they belong to, and how this node stands to each.
	claims map[claim]stance
}

// decide places every desired address on the interfaces. It is a function of its arguments alone.
func decide(s surroundings, desired []announcers.Address) decision {
	d := decision{states: make(map[netip.Addr]announcers.State, len(desired)), claims: make(map[claim]stance, len(desired))}
	places := placements{}
	for _, a := range desired {
		if p := s.refusal(a.Addr); p != nil {
			d.states[a.Addr] = announcers.State{Phase: announcers.Refused, Problem: p}
			continue
		}
		state, on := places.find(s.ports, a)
		stands, left := s.stances(a.Addr, on)
		switch {
		case left:
			state = announcers.State{Phase: announcers.Refused, Problem: s.conflict(a.Addr)}
		case slices.Contains(stands, withdrawn):
			state.Interfaces = nil // the slice is shared with other addresses
			for i, p := range on {
				if stands[i] != withdrawn {
					state.Interfaces = append(state.Interfaces, p.Name)
				}
			}
		}
		d.states[a.Addr] = state
		for i, p := range on {
			d.claims[claim{addr: a.Addr, index: p.Index, mac: p.MAC}] = stands[i]
		}
	}
	return d
}

// stances are how this node stands to an address on each of the interfaces that it is on, and whether it is left to a stranger. It is when
// strangers have it wherever it belongs; then it is announced nowhere, since elsewhere nobody looks for it.
func (s surroundings) stances(a netip.Addr, on []port) (stands []stance, left bool) {
	stands = make([]stance, 0, len(on))
	for _, p := range on {
		stands = append(stands, s.stance(a, p.Name))
	}
	if !slices.Contains(stands, withdrawn) {
		return stands, false
	}
	for i, p := range on {
		if stands[i] != withdrawn && belongs(s.ports, p, a) {
			return stands, false
		}
	}
	for i := range stands {
		stands[i] = withdrawn
	}
	return stands, true
}

// belongs says whether an address belongs on an interface, so that a claim of another station there is a conflict (RFC 5227 1.1: on one
// link):
//
//	| a subnet of the interface has it | a subnet of another one has it | belongs |
//	|----------------------------------|--------------------------------|---------|
//	| yes                              | yes or no                      | yes     |
//	| no                               | yes                            | no      |
//	| no                               | no                             | yes     |
//
// In the second row the station is a router with proxy ARP, which answers for what lies behind it. In the third row nothing tells a router
// with proxy ARP from a station that has the address. The claim counts: a router that has the subnet of the address on this link must not
// answer for it (RFC 1027 2.4), and another router that does would take the traffic of some clients.
func belongs(ports []port, p port, a netip.Addr) bool {
	return p.hasOnLink(a) || !slices.ContainsFunc(ports, func(q port) bool { return q.hasOnLink(a) })
}

// hasOnLink says whether a subnet of the interface has the address.
func (p port) hasOnLink(a netip.Addr) bool {
	has := func(subnet netip.Prefix) bool { return subnet.Contains(a) }
	return !p.Internal() && (slices.ContainsFunc(p.Prefixes, has) || slices.ContainsFunc(p.onLink, has))
}

// holding is how this node has an address of its own.
type holding struct {
	// interfaces have the address, sorted.
	interfaces []string
	// internal is whether all of them have it as a host address and lead to no segment; a bridge without ports does not either.
	internal bool
}

func (h holding) equal(g holding) bool {
	return h.internal == g.internal && slices.Equal(h.interfaces, g.interfaces)
}

// localAddresses returns the addresses of this node. Ports are sorted by name.
func localAddresses(ports []port) map[netip.Addr]holding {
	local, masters := map[netip.Addr]holding{}, map[int]bool{}
	for _, p := range ports {
		masters[p.Master] = true
	}
	for _, p := range ports {
		internal, alone := p.Internal() || p.Bridge && !masters[p.Index], []string{p.Name}
		for _, a := range p.Addresses {
			_, wider := slices.BinarySearchFunc(p.Wider, a, netip.Addr.Compare)
			h, twice := local[a]
			if !twice {
				local[a] = holding{alone, internal && !wider}
				continue
			}
			local[a] = holding{append(slices.Clip(h.interfaces), p.Name), h.internal && internal && !wider}
		}
	}
	return local
}

// refusal says why an address must not be announced from this node; nil when it may be. An address that only internal interfaces hold is
// announced when it is desired: whether it is the node's own or a service proxy's is decided above, where the other nodes are known. The
// network and the broadcast address of a subnet are announced: the subnet may be wider for the stations that use them. For the subnet-router
// anycast address each router of the subnet answers, this node among them.
func (s surroundings) refusal(a netip.Addr) *reason.Problem {
	if !a.Is4() && !(a.Is6() && !a.Is4In6()) {
		return reason.New(reason.FamilyNotServed, "%s is neither an IPv4 nor an IPv6 address", a)
	}
	if u := use(a, s.local, s.nextHops); u.Reason != "" && !u.Internal {
		return u.Problem(a)
	}
	if edge := s.edges[a]; edge != nil && edge.Reason == reason.SubnetRouterAnycast {
		return edge
	}
	return nil
}

// use says for what this node itself uses an address. A next hop weighs more than an address on an internal interface.
func use(a netip.Addr, local map[netip.Addr]holding, nextHops map[netip.Addr]struct{}) announcers.Use {
	h, held := local[a]
	if _, hop := nextHops[a]; hop && (!held || h.internal) {
		return announcers.Use{Reason: reason.NextHopAddress}
	}
	if held {
		return announcers.Use{Reason: reason.LocalAddress, Interfaces: h.interfaces, Internal: h.internal}
	}
	return announcers.Use{}
}

// placements remembers what locate found: most addresses are of one family and may be announced on the same interfaces.
type placements map[placementKey]placement

type placementKey struct {
	four  bool
	names string
}

type placement struct {
	state announcers.State
	on    []port
}

func (p placements) find(ports []port, a announcers.Address) (announcers.State, []port) {
	key := placementKey{a.Addr.Is4(), strings.Join(a.Interfaces, "\x00")}
	found, ok := p[key]
	if !ok {
		found.state, found.on = locate(ports, a)
		p[key] = found
	}
	return found.state, found.on
}

// locate finds the interfaces for an address. Of the address only the family matters.
func locate(ports []port, a announcers.Address) (announcers.State, []port) {
	candidates := selected(ports, a.Interfaces)
	if len(candidates) == 0 {
		return announcers.State{Phase: announcers.Waiting, Problem: nothingSelected(a.Interfaces)}, nil
	}
	var names []string
	var on []port
	for _, p := range candidates {
		if p.faultFor(a.Addr) == nil {
			names, on = append(names, p.Name), append(on, p)
		}
	}
	if len(on) == 0 {
		return announcers.State{Phase: announcers.Waiting, Problem: worst(candidates, a.Addr)}, nil
	}
	return announcers.State{Phase: announcers.Effective, Interfaces: names}, on
}

// selected returns the interfaces of these names, or every one that is fit when there are no names.
func selected(ports []port, names []string) []port {
	var out []port
	for _, p := range ports {
		if slices.Contains(names, p.Name) || len(names) == 0 && p.unfit == nil {
			out = append(out, p)
		}
	}
	return out
}

func nothingSelected(names []string) *reason.Problem {
	if len(names) == 0 {
		return reason.New(reason.NoUsableInterface, "")
	}
	return reason.New(reason.InterfaceMissing, "this node has no interface %s", strings.Join(names, ", "))
}

// worst is the fault to show when all interfaces have one: that of an interface that could work before that of one that never will.
func worst(ports []port, a netip.Addr) *reason.Problem {
	for _, p := range ports {
		if p.unfit == nil {
			return p.faultFor(a)
		}
	}
	return ports[0].faultFor(a)
}

// fitness says why this node cannot announce anything; nil when it can.
func fitness(ports []port) *reason.Problem {
	fit := selected(ports, nil)
	if len(fit) == 0 {
		return nothingSelected(nil)
	}
	for _, p := range fit {
		if p.fault == nil {
			return nil
		}
	}
	return worst(fit, netip.IPv4Unspecified())
}

// hardware maps the interfaces that can be announced on to their hardware addresses.
func hardware(ports []port) map[string]string {
	macs := map[string]string{}
	for _, p := range ports {
		if p.fault == nil {
			macs[p.Name] = p.MAC.String()
		}
	}
	return macs
}

// usable are the hardware addresses of the interfaces that could be announced on, be they able to right now or not, sorted and distinct.
func usable(ports []port) []string {
	var macs []string
	for _, p := range ports {
		if p.unfit == nil {
			macs = append(macs, p.MAC.String())
		}
	}
	slices.Sort(macs)
	return slices.Compact(macs)
}

// subnets are the prefixes on the link of the interfaces that can be announced on, sorted and distinct.
func subnets(ports []port) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range ports {
		if p.fault == nil {
			out = append(append(out, p.Prefixes...), p.onLink...)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}
