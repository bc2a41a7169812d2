// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/internal/membership"
)

// An address of a Service that a node has configured is the node's own, and then nobody announces it, unless a service proxy keeps it
// there for itself. Names of interfaces do not count; these properties do:
//
//	| configured on                                   | beside                      | on nodes      | meaning         |
//	|-------------------------------------------------|-----------------------------|---------------|-----------------|
//	| an interface with a segment, any prefix length  |                             | one or more   | a node's own    |
//	| any interface, with a subnet or peer            |                             | one or more   | a node's own    |
//	| an internal interface, as /32 or /128           | a cluster IP of any Service | this one      | service proxy's |
//	| an internal interface, as /32 or /128           |                             | most          | service proxy's |
//	| an internal interface, as /32 or /128           |                             | half or fewer | a node's own    |
//
// Internal are a dummy, the loopback, an interface without ARP and a bridge without ports. Nobody but a service proxy configures cluster IPs,
// so an interface with one of them is a service proxy's with all its host addresses: the third row needs no other node and holds for any
// number of Services. The cluster IP need not be that of the Service with the address: a proxy that stands still keeps the address where it
// had it for an earlier Service. The fourth row covers proxies and administrators who configure the address alone, for direct server return,
// say: where most nodes take its traffic themselves, it is no single node's. The last row is the loopback address of a router; a node of the
// third row counts there as one that does not have the address. Nodes whose speaker does not tell its uses, or had to leave some out, do not
// count unless they tell this one.

// uses returns for what this node itself uses addresses of Services, as its announcers know, but for what a service proxy shows to be its
// own.
func (s *Speaker) uses(w World) map[netip.Addr]announcers.Use {
	reporters := s.reporters()
	if len(reporters) == 0 {
		return nil
	}
	ask := func(a netip.Addr) announcers.Use {
		for _, l := range reporters {
			if u := l.Uses(a); u.Reason != "" {
				return u
			}
		}
		return announcers.Use{}
	}
	used, internal := map[netip.Addr]announcers.Use{}, map[string]bool{}
	for a := range borne(w.Services) {
		u := ask(a)
		if u.Reason == "" {
			continue
		}
		used[a] = u
		for _, nic := range u.Interfaces {
			internal[nic] = internal[nic] || u.Internal
		}
	}
	maps.DeleteFunc(internal, func(_ string, is bool) bool { return !is })
	proxied := proxied(internal, w.ClusterIPs, ask)
	maps.DeleteFunc(used, func(_ netip.Addr, u announcers.Use) bool {
		return u.Internal && len(u.Interfaces) > 0 && !slices.ContainsFunc(u.Interfaces, func(nic string) bool { return !proxied[nic] })
	})
	return used
}

// proxied returns those of the interfaces that are a service proxy's: internal ones with a cluster IP.
func proxied(interfaces map[string]bool, clusterIPs []netip.Addr, ask func(netip.Addr) announcers.Use) map[string]bool {
	found := map[string]bool{}
	for _, c := range clusterIPs {
		if len(found) == len(interfaces) {
			break
		}
		u := ask(c)
		for _, nic := range u.Interfaces {
			if u.Internal && interfaces[nic] {
				found[nic] = true
			}
		}
	}
	return found
}

// borne are the distinct addresses that Services bear.
func borne(services []Service) map[netip.Addr]bool {
	all := make(map[netip.Addr]bool, len(services))
	for _, s := range services {
		for _, a := range s.Addresses {
			all[a] = true
		}
	}
	return all
}

// internalUse is what the other speakers are told of an address on internal interfaces alone. A speaker that does not know the word takes
// it for a use, as before.
const internalUse = string(reason.LocalAddress) + "/internal"

// told returns uses as the other speakers are told of them. When there are too many, those on internal interfaces are left out first, and
// the lowest addresses stay. Nil when there are none.
func told(uses map[netip.Addr]announcers.Use) map[string]string {
	order := slices.SortedFunc(maps.Keys(uses), func(a, b netip.Addr) int {
		if x, y := uses[a].Internal, uses[b].Internal; x != y {
			return map[bool]int{true: 1, false: -1}[x]
		}
		return a.Compare(b)
	})
	if len(order) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, a := range order[:min(len(order), membership.MaxUses)] {
		out[a.String()] = string(uses[a].Reason)
		if uses[a].Internal {
			out[a.String()] = internalUse
		}
	}
	return out
}

// reported returns the uses by this node that users are to be told of: those because of which nobody announces the address.
func (w World) reported(uses map[netip.Addr]announcers.Use) map[netip.Addr]*reason.Problem {
	out := make(map[netip.Addr]*reason.Problem, len(uses))
	if len(uses) == 0 {
		return out
	}
	own, internal := w.usesOfNodes()
	for a, u := range uses {
		h := internal[a]
		if u.Internal && own[a] == nil && !h.few() {
			continue
		}
		out[a] = u.Problem(a)
		if u.Internal && h.few() {
			out[a].Detail += " (" + h.String() + ")"
		}
	}
	return out
}

// withheld returns, by key, which addresses of Services nobody announces for them, each with why: a node uses the address itself, or
// another Service has had it for longer.
func (w World) withheld() map[string]map[netip.Addr]*reason.Problem {
	refused := duplicates(w.Services)
	used := w.used()
	if len(used) == 0 {
		return refused
	}
	if refused == nil {
		refused = map[string]map[netip.Addr]*reason.Problem{}
	}
	for _, s := range w.Services {
		for _, a := range s.Addresses {
			if used[a] == nil {
				continue
			}
			if refused[s.Key] == nil {
				refused[s.Key] = map[netip.Addr]*reason.Problem{}
			}
			refused[s.Key][a] = used[a]
		}
	}
	return refused
}

// used returns why nobody announces addresses that nodes use themselves, as speakers say; each address with the first of the nodes by name,
// live ones before lost ones.
func (w World) used() map[netip.Addr]*reason.Problem {
	out, internal := w.usesOfNodes()
	for a, h := range internal {
		if out[a] == nil && h.few() {
			out[a] = reason.New(reason.LocalAddress, "address %s is configured on node %s (%s)", a, h.nodes[0], h)
		}
	}
	return out
}

// usesOfNodes returns what speakers say of the uses by their nodes: the addresses that are a node's own, with the first of the nodes, and who
// has addresses on internal interfaces.
func (w World) usesOfNodes() (own map[netip.Addr]*reason.Problem, internal map[netip.Addr]holders) {
	own, internal = map[netip.Addr]*reason.Problem{}, map[netip.Addr]holders{}
	whole := 0
	for i, m := range slices.Concat(w.Members, w.Lost) {
		if !m.Known {
			continue
		}
		tellsAll := i < len(w.Members) && m.State.SubnetsTold && !m.State.UsesCut
		if tellsAll {
			whole++
		}
		for text, why := range m.State.Uses {
			a, err := netip.ParseAddr(text)
			switch {
			case err != nil:
			case why == internalUse:
				internal[a] = internal[a].with(m.Name, tellsAll)
			case own[a] == nil:
				own[a] = useBy(m.Name, a, reason.Reason(why))
			}
		}
	}
	for a, h := range internal {
		h.of += whole
		internal[a] = h
	}
	return own, internal
}

// holders are the nodes that have an address on internal interfaces, live ones before lost ones, each by name.
type holders struct {
	nodes []string
	// of is how many speakers tell of it, or would if their nodes had it: live ones that leave nothing out.
	of int
}

// with adds a node; tellsAll is whether it is counted as one that would tell of any address.
func (h holders) with(node string, tellsAll bool) holders {
	h.nodes = append(h.nodes, node)
	if !tellsAll {
		h.of++
	}
	return h
}

// few says whether so few nodes have the address that it is none of a service proxy.
func (h holders) few() bool { return len(h.nodes) > 0 && 2*len(h.nodes) <= h.of }

func (h holders) String() string {
	return fmt.Sprintf("%d of %d nodes; a service proxy would configure it on most nodes", len(h.nodes), h.of)
}

func useBy(node string, a netip.Addr, why reason.Reason) *reason.Problem {
	if why == reason.LocalAddress {
		return reason.New(why, "address %s is configured on node %s", a, node)
	}
	if why == reason.NextHopAddress {
		return reason.New(why, "address %s is a next hop of node %s", a, node)
	}
	return reason.New(why, "address %s is used by node %s", a, node)
}
