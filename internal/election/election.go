// SPDX-License-Identifier: Apache-2.0

// Package election decides which node owns an address: a rendezvous election that every speaker computes for itself, with the same
// result on each, from the same candidates.
//
// It is pure: it knows neither Kubernetes, nor who is alive, nor a clock. All functions may be called from any goroutine; they change
// nothing and keep nothing.
package election

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"net/netip"
	"slices"
)

// Candidate is a node that may own an address.
type Candidate struct {
	// Node is the name of the node.
	Node string
	// Preference is the score that advertisements give the node; a higher one comes first, whatever the hash says.
	Preference int
}

// Live holds every node whose speaker is alive and, as its value, whether that node is fit to announce.
type Live map[string]bool

// Order returns the names of the candidates, the owner first: higher preference first, then in ascending order of
// sha256(node + "#" + address). A node that is given twice counts once, with the higher preference. The order of the candidates has no
// influence.
func Order(key netip.Addr, candidates []Candidate) []string {
	ranked := rank(key, merge(candidates))
	slices.SortFunc(ranked, before)
	nodes := make([]string, len(ranked))
	for i := range ranked {
		nodes[i] = ranked[i].Node
	}
	return nodes
}

// Owner returns the first node of Order, and false when there is no candidate.
func Owner(key netip.Addr, candidates []Candidate) (string, bool) {
	if len(candidates) == 0 {
		return "", false
	}
	return slices.MinFunc(rank(key, merge(candidates)), before).Node, true
}

// Key returns the address by which a group of addresses is elected: its lowest IPv4 address, else its lowest IPv6 address, so that a
// group has one owner however its addresses are ordered. It returns false when the group has no valid address.
func Key(addresses []netip.Addr) (netip.Addr, bool) {
	var lowest netip.Addr
	for _, a := range addresses {
		a = a.Unmap()
		// netip orders by family first: every IPv4 address is less than any IPv6 address.
		if a.IsValid() && (!lowest.IsValid() || a.Less(lowest)) {
			lowest = a
		}
	}
	return lowest, lowest.IsValid()
}

// Eligible returns the candidates that count, in the order given: those that are alive and fit if there is at least one such, else all
// that are alive. An unfit owner is better than none, since the reason for its unfitness may not concern this address.
func Eligible(candidates []Candidate, live Live) []Candidate {
	var alive, fit []Candidate
	for _, c := range candidates {
		isFit, isAlive := live[c.Node]
		if isAlive {
			alive = append(alive, c)
		}
		if isFit {
			fit = append(fit, c)
		}
	}
	if len(fit) > 0 {
		return fit
	}
	return alive
}

// OnLink returns the candidates that are physically where the addresses are, in the order given. The addresses are looked at in
// ascending order: of the candidates that are left, those stay that are on the subnet of the address; if nobody is, all stay. So every
// speaker that is told the same comes to the same result, and an owner that a router would have to reach is better than none.
func OnLink(candidates []Candidate, addresses []netip.Addr, on func(node string, address netip.Addr) bool) []Candidate {
	for _, a := range slices.Compact(slices.SortedFunc(slices.Values(addresses), netip.Addr.Compare)) {
		if !slices.ContainsFunc(candidates, func(c Candidate) bool { return !on(c.Node, a) }) {
			continue
		}
		var there []Candidate
		for _, c := range candidates {
			if on(c.Node, a) {
				there = append(there, c)
			}
		}
		if len(there) > 0 {
			candidates = there
		}
	}
	return candidates
}

type ranked struct {
	Candidate
	hash [sha256.Size]byte
}

// before orders by preference, then by hash; the name comes last so that the order is total even if two hashes were equal.
func before(a, b ranked) int {
	return cmp.Or(
		cmp.Compare(b.Preference, a.Preference),
		bytes.Compare(a.hash[:], b.hash[:]),
		cmp.Compare(a.Node, b.Node),
	)
}

func rank(key netip.Addr, candidates []Candidate) []ranked {
	suffix := "#" + key.Unmap().String()
	all := make([]ranked, len(candidates))
	for i, c := range candidates {
		all[i] = ranked{Candidate: c, hash: sha256.Sum256([]byte(c.Node + suffix))}
	}
	return all
}

// merge makes the candidates distinct by node, each with its highest preference.
func merge(candidates []Candidate) []Candidate {
	index := make(map[string]int, len(candidates))
	merged := make([]Candidate, 0, len(candidates))
	for _, c := range candidates {
		at, seen := index[c.Node]
		if !seen {
			index[c.Node] = len(merged)
			merged = append(merged, c)
			continue
		}
		merged[at].Preference = max(merged[at].Preference, c.Preference)
	}
	return merged
}
