// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"metalsuite.io/api/reason"
)

// Fake is a membership without a network, for the tests of its users: members come, change and go by Set and Remove.
type Fake struct {
	self    string
	changed chan struct{}

	mu       sync.Mutex
	members  map[string]Member
	peers    []netip.Addr
	problems []*reason.Problem
}

// NewFake returns a Fake with this node as its only member, whose state is not known before Publish.
func NewFake(self string) *Fake {
	return &Fake{self: self, changed: make(chan struct{}, 1), members: map[string]Member{self: {Name: self}}}
}

// Set makes a member alive with a known state.
func (f *Fake) Set(name string, s State) { f.put(Member{Name: name, State: s.clone(), Known: true}) }

// SetUnknown makes a member alive whose state has not arrived yet.
func (f *Fake) SetUnknown(name string) { f.put(Member{Name: name}) }

func (f *Fake) put(m Member) {
	f.mu.Lock()
	f.members[m.Name] = m
	f.mu.Unlock()
	signal(f.changed)
}

// Remove makes a member lost.
func (f *Fake) Remove(name string) {
	f.mu.Lock()
	delete(f.members, name)
	f.mu.Unlock()
	signal(f.changed)
}

// Members is as Membership.Members.
func (f *Fake) Members() []Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]Member, 0, len(f.members))
	for _, m := range f.members {
		m.State = m.State.clone()
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Changed is as Membership.Changed.
func (f *Fake) Changed() <-chan struct{} { return f.changed }

// Publish is as Membership.Publish.
func (f *Fake) Publish(s State) {
	f.mu.Lock()
	own := f.members[f.self]
	f.mu.Unlock()
	if !own.Known || !own.State.equal(s) {
		f.Set(f.self, s)
	}
}

// SetPeers keeps the addresses for Peers.
func (f *Fake) SetPeers(addresses []netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.peers = slices.Clone(addresses)
}

// Problems is as Membership.Problems.
func (f *Fake) Problems() []*reason.Problem {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.problems)
}

// SetProblems replaces the problems.
func (f *Fake) SetProblems(problems ...*reason.Problem) {
	f.mu.Lock()
	f.problems = problems
	f.mu.Unlock()
	signal(f.changed)
}

// Peers returns the addresses of the last SetPeers.
func (f *Fake) Peers() []netip.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.peers)
}

// Run waits for the end of the context.
func (f *Fake) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
