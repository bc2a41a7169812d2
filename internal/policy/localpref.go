// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"

	"metalsuite.io/api/reason"
)

// contradicted says which older advertisement of a pool announces the same prefixes to the same peers from the same nodes with another
// local preference. Advertisements that choose among Services contradict each other on a Service only: see ConflictingLocalPrefs.
func (p *Policy) contradicted(pool string, ad *bgpAdvertisement, finest []prefixOf) *reason.Problem {
	if ad.ServiceSelected {
		return nil
	}
	v4 := slices.ContainsFunc(finest, func(f prefixOf) bool { return f.prefix.Addr().Is4() })
	v6 := slices.ContainsFunc(finest, func(f prefixOf) bool { return !f.prefix.Addr().Is4() })
	for i := range p.bgp[pool] {
		older := &p.bgp[pool][i]
		if older.ServiceSelected || !contradict(&older.BGP, &ad.BGP, v4, v6) || !meet(older.Nodes, ad.Nodes) {
			continue
		}
		return reason.New(reason.LocalPrefConflict, "pool %q: localPref %d contradicts %d of the older BGPAdvertisement %q",
			pool, ad.LocalPref, older.LocalPref, older.Name)
	}
	return nil
}

// ConflictingLocalPrefs returns a LocalPrefConflict when two of the advertisements that match a Service announce one prefix from the node
// to one peer with different local preferences; nil when there are none. v4 and v6 are the families of the Service's addresses. The
// Service is not to be announced by BGP from that node then.
func ConflictingLocalPrefs(ads []BGP, node string, v4, v6 bool) *reason.Problem {
	for i := range ads {
		for j := range ads[:i] {
			a, b := &ads[j], &ads[i]
			_, withA := a.Nodes[node]
			_, withB := b.Nodes[node]
			if withA && withB && contradict(a, b, v4, v6) {
				return reason.New(reason.LocalPrefConflict, "the BGPAdvertisements %q with localPref %d and %q with localPref %d contradict each other",
					a.Name, a.LocalPref, b.Name, b.LocalPref)
			}
		}
	}
	return nil
}

// contradict reports whether two advertisements tell a peer different local preferences of one prefix. They do not when all prefixes
// differ in length, nor when no peer hears both.
func contradict(a, b *BGP, v4, v6 bool) bool {
	same := v4 && a.Length4 == b.Length4 || v6 && a.Length6 == b.Length6
	apart := len(a.Peers) > 0 && len(b.Peers) > 0 && !slices.ContainsFunc(a.Peers, func(peer string) bool { return slices.Contains(b.Peers, peer) })
	return a.LocalPref != b.LocalPref && same && !apart
}

// meet reports whether the sets have a node in common.
func meet(a, b map[string]int) bool {
	for node := range a {
		if _, both := b[node]; both {
			return true
		}
	}
	return false
}
