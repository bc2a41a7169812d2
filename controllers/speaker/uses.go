// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"maps"
	"net/netip"
	"slices"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/membership"
)

// uses returns for what this node itself uses addresses of Services, as its announcers know; each address is asked for once.
func (s *Speaker) uses(services []Service) map[netip.Addr]*reason.Problem {
	reporters := s.reporters()
	if len(reporters) == 0 {
		return nil
	}
	used := map[netip.Addr]*reason.Problem{}
	for a := range borne(services) {
		for _, l := range reporters {
			if problem := l.Uses(a); problem != nil {
				used[a] = problem
				break
			}
		}
	}
	return used
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

// told returns uses as the other speakers are told of them: the lowest addresses when there are too many. Nil when there are none.
func told(uses map[netip.Addr]*reason.Problem) map[string]string {
	var out map[string]string
	for i, a := range slices.SortedFunc(maps.Keys(uses), netip.Addr.Compare) {
		switch i {
		case 0:
			out = map[string]string{}
		case membership.MaxUses:
			return out
		}
		out[a.String()] = string(uses[a].Reason)
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

// used returns what speakers say that their nodes use, each address with the first of the nodes by name, live ones before lost ones.
func (w World) used() map[netip.Addr]*reason.Problem {
	out := map[netip.Addr]*reason.Problem{}
	for _, m := range slices.Concat(w.Members, w.Lost) {
		if !m.Known {
			continue
		}
		for text, why := range m.State.Uses {
			a, err := netip.ParseAddr(text)
			if err == nil && out[a] == nil {
				out[a] = useBy(m.Name, a, reason.Reason(why))
			}
		}
	}
	return out
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
