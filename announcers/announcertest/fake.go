// SPDX-License-Identifier: Apache-2.0

package announcertest

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// Fake is a module that records what it is given and reports what it is told. It has the optional abilities of the contract. All
// methods may be called from any goroutine.
type Fake struct {
	name      string
	ownership announcers.Ownership
	changed   chan struct{}

	mu       sync.Mutex
	running  bool
	runError error
	fit      *reason.Problem
	links    map[string]string
	hardware []string
	subnets  []netip.Prefix
	uses     map[netip.Addr]announcers.Use
	// unsuitable are the edges of subnets.
	unsuitable map[netip.Addr]*reason.Problem
	conflict   []announcers.Conflict
	states     map[netip.Addr]announcers.State
	applied    []announcers.Desired
	repeated   int
	sessions   map[string]announcers.PeerState
	left       int
}

var (
	_ announcers.Announcer        = (*Fake)(nil)
	_ announcers.FitnessReporter  = (*Fake)(nil)
	_ announcers.LinkReporter     = (*Fake)(nil)
	_ announcers.ConflictReporter = (*Fake)(nil)
	_ announcers.Reannouncer      = (*Fake)(nil)
	_ announcers.PeerReporter     = (*Fake)(nil)
	_ announcers.Leaver           = (*Fake)(nil)
)

// NewFake returns a module that is fit and, while it runs, announces everything.
func NewFake(name string, ownership announcers.Ownership) *Fake {
	return &Fake{name: name, ownership: ownership, changed: make(chan struct{}, 1), states: map[netip.Addr]announcers.State{},
		uses: map[netip.Addr]announcers.Use{}, unsuitable: map[netip.Addr]*reason.Problem{}, sessions: map[string]announcers.PeerState{}}
}

// Name implements announcers.Announcer.
func (f *Fake) Name() string { return f.name }

// Ownership implements announcers.Announcer.
func (f *Fake) Ownership() announcers.Ownership { return f.ownership }

// Changed implements announcers.Announcer.
func (f *Fake) Changed() <-chan struct{} { return f.changed }

// Run implements announcers.Announcer. It fails at once with the error set by FailRun.
func (f *Fake) Run(ctx context.Context) error {
	if err := f.setRunning(true); err != nil {
		return err
	}
	f.Notify()
	<-ctx.Done()
	return f.setRunning(false)
}

func (f *Fake) setRunning(running bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = running && f.runError == nil
	if running {
		return f.runError
	}
	return nil
}

// Apply implements announcers.Announcer.
func (f *Fake) Apply(_ context.Context, desired announcers.Desired) announcers.Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = append(f.applied, announcers.Desired{
		Addresses: slices.Clone(desired.Addresses), Prefixes: slices.Clone(desired.Prefixes), Allies: slices.Clone(desired.Allies), Proxied: slices.Clone(desired.Proxied),
		Peers: slices.Clone(desired.Peers), Drain: desired.Drain,
	})
	report := announcers.Report{States: make(map[netip.Addr]announcers.State, len(desired.Addresses))}
	if !f.running {
		report.Problem = reason.New(reason.AnnouncerNotRunning, "")
	}
	for _, a := range desired.Addresses {
		report.States[a.Addr] = f.state(a, report.Problem)
	}
	return report
}

func (f *Fake) state(a announcers.Address, stopped *reason.Problem) announcers.State {
	if stopped != nil {
		return announcers.State{Phase: announcers.Waiting, Problem: stopped}
	}
	if s, ok := f.states[a.Addr]; ok {
		return s
	}
	return announcers.State{Phase: announcers.Effective, Interfaces: a.Interfaces}
}

// Fit implements announcers.FitnessReporter.
func (f *Fake) Fit() *reason.Problem {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fit
}

// LinkAddresses implements announcers.LinkReporter.
func (f *Fake) LinkAddresses() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.links)
}

// HardwareAddresses implements announcers.LinkReporter: those of LinkAddresses and the ones set beside.
func (f *Fake) HardwareAddresses() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(slices.AppendSeq(slices.Clone(f.hardware), maps.Values(f.links)))))
}

// Subnets implements announcers.LinkReporter.
func (f *Fake) Subnets() []netip.Prefix {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.subnets)
}

// Uses implements announcers.LinkReporter.
func (f *Fake) Uses(a netip.Addr) announcers.Use {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.uses[a]
}

// Unsuitable implements announcers.LinkReporter: what was set by SetUnsuitable, and uses that are not internal.
func (f *Fake) Unsuitable() map[netip.Addr]*reason.Problem {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := maps.Clone(f.unsuitable)
	for a, u := range f.uses {
		if p := u.Problem(a); p != nil && !u.Internal {
			all[a] = p
		}
	}
	return all
}

// Conflicts implements announcers.ConflictReporter.
func (f *Fake) Conflicts() []announcers.Conflict {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.conflict)
}

// Reannounce implements announcers.Reannouncer.
func (f *Fake) Reannounce() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.repeated++
}

// Peers implements announcers.PeerReporter: a peer of which nothing was set is established and was sent all its routes.
func (f *Fake) Peers() []announcers.PeerState {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.applied) == 0 {
		return nil
	}
	var all []announcers.PeerState
	for _, p := range f.applied[len(f.applied)-1].Peers {
		state, set := f.sessions[p.Name]
		if !set {
			state = announcers.PeerState{Phase: announcers.Established, Announced: len(p.Routes)}
		}
		state.Name, state.Desired = p.Name, len(p.Routes)
		all = append(all, state)
	}
	return all
}

// SetPeer sets what Peers says of a desired peer, and notifies.
func (f *Fake) SetPeer(name string, s announcers.PeerState) {
	f.change(func() { f.sessions[name] = s })
}

// Leave implements announcers.Leaver: it announces nothing until Run has ended and begins anew.
func (f *Fake) Leave(context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left++
	f.running = false
}

// Left counts the calls of Leave.
func (f *Fake) Left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.left
}

// Reannounced counts the calls of Reannounce.
func (f *Fake) Reannounced() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.repeated
}

// SetFit makes the module unfit, or fit with nil, and notifies.
func (f *Fake) SetFit(p *reason.Problem) {
	f.change(func() { f.fit = p })
}

// SetLinkAddresses sets what LinkAddresses returns, and notifies.
func (f *Fake) SetLinkAddresses(byInterface map[string]string) {
	f.change(func() { f.links = maps.Clone(byInterface) })
}

// SetHardwareAddresses sets which addresses HardwareAddresses returns beside those of LinkAddresses, and notifies.
func (f *Fake) SetHardwareAddresses(addresses ...string) {
	f.change(func() { f.hardware = slices.Clone(addresses) })
}

// SetSubnets sets what Subnets returns, and notifies.
func (f *Fake) SetSubnets(prefixes ...netip.Prefix) {
	f.change(func() { f.subnets = slices.Clone(prefixes) })
}

// SetUse sets what Uses says of an address, and notifies; the zero value ends the use.
func (f *Fake) SetUse(a netip.Addr, u announcers.Use) {
	f.change(func() { f.uses[a] = u })
}

// SetUnsuitable sets what Unsuitable says of an address that is not used, and notifies; nil makes it suitable.
func (f *Fake) SetUnsuitable(a netip.Addr, p *reason.Problem) {
	f.change(func() {
		if delete(f.unsuitable, a); p != nil {
			f.unsuitable[a] = p
		}
	})
}

// SetConflicts sets what Conflicts returns, and notifies.
func (f *Fake) SetConflicts(conflicts ...announcers.Conflict) {
	f.change(func() { f.conflict = slices.Clone(conflicts) })
}

// SetState makes the module report a state for an address from now on, and notifies.
func (f *Fake) SetState(a netip.Addr, s announcers.State) {
	f.change(func() { f.states[a] = s })
}

// ClearState undoes SetState, and notifies.
func (f *Fake) ClearState(a netip.Addr) {
	f.change(func() { delete(f.states, a) })
}

// FailRun makes the next calls of Run fail; nil makes them work again.
func (f *Fake) FailRun(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runError = err
}

func (f *Fake) change(do func()) {
	f.mu.Lock()
	do()
	f.mu.Unlock()
	f.Notify()
}

// Notify says that the observed state changed.
func (f *Fake) Notify() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// Applied returns everything that was applied, in order.
func (f *Fake) Applied() []announcers.Desired {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.applied)
}

// Last returns what was applied last.
func (f *Fake) Last() announcers.Desired {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.applied) == 0 {
		return announcers.Desired{}
	}
	return f.applied[len(f.applied)-1]
}

// Announced returns the addresses that the module would announce on a network now, sorted: none unless it runs.
func (f *Fake) Announced() []netip.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.running || len(f.applied) == 0 {
		return nil
	}
	var out []netip.Addr
	for _, a := range f.applied[len(f.applied)-1].Addresses {
		if f.state(a, nil).Phase == announcers.Effective {
			out = append(out, a.Addr)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}
