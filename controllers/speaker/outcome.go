// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"
	"sync"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// Outcome is what one pass of the loop has led to: the input of everything that writes status.
type Outcome struct {
	Node  string
	World World
	Plan  Plan
	// Reports are what the announcers answered, by name; Ownership is what they are.
	Reports   map[string]announcers.Report
	Ownership map[string]announcers.Ownership
	// Unable says why this node cannot announce; nil when it can. Membership has the problems of the speakers with each other, the worst first.
	Unable     *reason.Problem
	Membership []*reason.Problem
	// Conflicts are what the announcers heard of strangers on addresses; Uses say which addresses of Services this node uses itself.
	Conflicts []announcers.Conflict
	Uses      map[netip.Addr]*reason.Problem
	// Unsuitable are further addresses of pools that no Service is to be granted because of this node.
	Unsuitable map[netip.Addr]*reason.Problem
	// Routers are the announcers that speak with routers; Sessions are how they do, and Plan.LeftOut says with whom this node cannot.
	Routers  []announcers.PeerReporter
	Sessions []announcers.PeerState
}

// changed returns the keys of the Services of which there is something else to tell than in an earlier outcome, those that are gone among
// them. It looks at every Service after each pass, so it makes nothing.
func (o Outcome) changed(old Outcome) []string {
	var keys []string
	all := o.speaks() != old.speaks() || len(o.Ownership) != len(old.Ownership)
	for key, v := range o.Plan.Verdicts {
		before, known := old.Plan.Verdicts[key]
		if all || !known || !v.equal(before) || !o.sameStates(old, v) {
			keys = append(keys, key)
		}
	}
	for key := range old.Plan.Verdicts {
		if _, still := o.Plan.Verdicts[key]; !still {
			keys = append(keys, key)
		}
	}
	return keys
}

// speaks says whether this node tells users what concerns all nodes: the first live speaker does.
func (o Outcome) speaks() bool {
	return len(o.World.Members) > 0 && o.World.Members[0].Name == o.Node
}

// sameStates says whether two outcomes have the same states of the addresses of a Service on which they agree otherwise.
func (o Outcome) sameStates(old Outcome, v Verdict) bool {
	for name, report := range o.Reports {
		if !o.asked(name, v) {
			continue
		}
		before := old.Reports[name]
		for _, a := range v.Addresses {
			now, told := report.States[a]
			then, known := before.States[a]
			if told != known || now.Phase != then.Phase || !slices.Equal(now.Interfaces, then.Interfaces) || !alike(now.Problem, then.Problem) {
				return false
			}
		}
	}
	return true
}

// asked says whether an announcer was asked to announce a Service from this node.
func (o Outcome) asked(name string, v Verdict) bool {
	if o.Ownership[name] == announcers.Exclusive {
		return v.Owner == o.Node
	}
	return v.SharedHere
}

func (v Verdict) equal(w Verdict) bool {
	return v.Owner == w.Owner && v.Shared == w.Shared && v.SharedHere == w.SharedHere && v.Exclusive == w.Exclusive && v.SharedSpeaks == w.SharedSpeaks &&
		slices.Equal(v.Addresses, w.Addresses) && slices.Equal(v.Interfaces, w.Interfaces) && slices.Equal(v.Peers, w.Peers) &&
		alike(v.Problem, w.Problem) && alike(v.SharedProblem, w.SharedProblem) && alike(v.Withheld, w.Withheld)
}

// alike says whether two problems are told in the same words.
func alike(a, b *reason.Problem) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// serviceOutcome is the part of an outcome that concerns one Service.
type serviceOutcome struct {
	Verdict Verdict
	// Speaks is whether this node tells users what concerns all nodes: the first live speaker does.
	Speaks bool
	// Mine is whether this node owns the Service and announces at least one of its addresses.
	Mine bool
	// Pending is whether the password of a router is just being read, so that nobody knows yet which routers are told of the Service.
	Pending bool
	// States are what each announcer that was asked to announce the Service reported, in the order of its addresses.
	States map[string][]addressState
	// Strangers are what is to be told of other machines on its addresses.
	Strangers []conflictTold
}

type addressState struct {
	address netip.Addr
	announcers.State
	// shared is whether the announcer needs no owner.
	shared bool
}

func (o Outcome) service(key string) serviceOutcome {
	verdict := o.Plan.Verdicts[key]
	out := serviceOutcome{Verdict: verdict, States: map[string][]addressState{}}
	out.Speaks, out.Pending = o.speaks(), len(o.Plan.Pending) > 0
	for name, report := range o.Reports {
		if !o.asked(name, verdict) {
			continue
		}
		owned := o.Ownership[name] == announcers.Exclusive
		for _, a := range verdict.Addresses {
			if state, ok := report.States[a]; ok {
				out.States[name] = append(out.States[name], addressState{a, state, !owned})
				out.Mine = out.Mine || owned && state.Phase == announcers.Effective
			}
		}
	}
	return out
}

// latest hands the newest outcome from the loop to those who write status.
type latest struct {
	mu      sync.Mutex
	outcome Outcome
}

func (l *latest) swap(o Outcome) Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.outcome
	l.outcome = o
	return old
}

func (l *latest) get() Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outcome
}
