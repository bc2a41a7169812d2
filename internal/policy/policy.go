// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"time"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/allocation"
)

// Objects is everything that a policy is compiled from. Pools, advertisements and the like are those of one namespace; their order has
// no meaning.
type Objects struct {
	Pools             []v1beta1.IPAddressPool
	L2Advertisements  []v1beta1.L2Advertisement
	BGPAdvertisements []v1beta1.BGPAdvertisement
	BGPPeers          []v1beta2.BGPPeer
	BFDProfiles       []v1beta1.BFDProfile
	Communities       []v1beta1.Community
	Reservations      []v1beta1.IPReservation
	// Now is when it is for reservations that expire; with the zero time none does.
	Now time.Time
	// Namespaces and Nodes are the labels of each by name.
	Namespaces map[string]map[string]string
	Nodes      map[string]map[string]string
}

// Policy is what the objects together say.
type Policy struct {
	// Pools are sorted by name. Frozen ones are among them.
	Pools []allocation.Pool
	// Reservations are those that keep addresses, disjoint, sorted by name. Ended are the names of those that do not any more.
	Reservations []allocation.Reservation
	Ended        map[string]bool
	// Wake is when the next reservation expires; zero when none does.
	Wake time.Time
	// Peers are the valid BGPPeers, sorted by name.
	Peers []Peer
	// BFDProfiles are the valid profiles by name.
	BFDProfiles map[string]v1beta1.BFDProfileSpec
	// Problems has one entry for each object that is not valid, sorted by kind and name. Notes has one for each object that is valid and
	// does less than it says.
	Problems, Notes []Problem

	found    findings
	noted    findings
	granting claims
	frozen   []frozenPool
	buggy    map[string]bool
	l2       map[string][]l2Advertisement
	bgp      map[string][]bgpAdvertisement
}

// ObjectRef names an object of the policy.
type ObjectRef struct {
	Kind string
	Name string
}

// Problem says why an object, or a part of it, is left out.
type Problem struct {
	Object ObjectRef
	reason.Problem
}

// String is the problem in one line: the object, the reason and the message.
func (p Problem) String() string {
	return p.Object.Kind + " " + p.Object.Name + ": " + p.Error()
}

// The kinds that a Problem may name.
const (
	KindIPAddressPool    = "IPAddressPool"
	KindL2Advertisement  = "L2Advertisement"
	KindBGPAdvertisement = "BGPAdvertisement"
	KindBGPPeer          = "BGPPeer"
	KindBFDProfile       = "BFDProfile"
	KindCommunity        = "Community"
	KindIPReservation    = "IPReservation"
)

// Compile returns the policy of the objects. It neither changes nor keeps them.
func Compile(o Objects) *Policy {
	found := findings{}
	p := &Policy{noted: findings{}}
	p.compilePools(o, found)
	p.compileReservations(o, found)
	p.compileL2(o, found)
	p.compileBGP(o, found)
	p.found, p.Problems, p.Notes = found, found.problems(), p.noted.problems()
	return p
}

// ProblemOf returns what is wrong with an object; false when it is valid or not known.
func (p *Policy) ProblemOf(object ObjectRef) (reason.Problem, bool) { return of(p.Problems, object) }

// NoteOf returns what an object does not do although it says so and is valid; false when there is nothing.
func (p *Policy) NoteOf(object ObjectRef) (reason.Problem, bool) { return of(p.Notes, object) }

func of(problems []Problem, object ObjectRef) (reason.Problem, bool) {
	for _, problem := range problems {
		if problem.Object == object {
			return problem.Problem, true
		}
	}
	return reason.Problem{}, false
}

// ProblemsOn returns the problems that concern a node: those of the objects that the node would have used. Of an object that is invalid
// in several ways it has those that concern the node.
func (p *Policy) ProblemsOn(node string) []Problem { return p.found.on(node) }

// NotesOn is ProblemsOn for Notes.
func (p *Policy) NotesOn(node string) []Problem { return p.noted.on(node) }

// ProblemsOf returns each thing that is wrong with an object, in the order in which ProblemOf has them in one; nil when it is valid or
// not known.
func (p *Policy) ProblemsOf(object ObjectRef) []reason.Problem {
	var all []reason.Problem
	for _, one := range p.found[object] {
		all = append(all, *one.problem)
	}
	return all
}

// PoolOf returns the pool that an address belongs to: one that grants before frozen ones, those by name. An address that its pool
// avoids belongs to none.
func (p *Policy) PoolOf(address netip.Addr) (string, bool) {
	if c, ok := p.granting.at(address); ok {
		return c.pool, !p.avoids(c.pool, address)
	}
	for _, f := range p.frozen {
		if _, ok := f.ranges.at(address); ok && !p.avoids(f.name, address) {
			return f.name, true
		}
	}
	return "", false
}

// PoolHolding returns the pool of an address that granted says it came from (annotation metallb.io/ip-allocated-from-pool). The word of
// a frozen pool is enough, since nobody knows its ranges for sure; else it is PoolOf.
func (p *Policy) PoolHolding(address netip.Addr, granted string) (string, bool) {
	for _, f := range p.frozen {
		if f.name == granted {
			return granted, true
		}
	}
	return p.PoolOf(address)
}

func (p *Policy) avoids(pool string, address netip.Addr) bool {
	if !address.Is4() || !p.buggy[pool] {
		return false
	}
	last := address.As4()[3]
	return last == 0 || last == 255
}
