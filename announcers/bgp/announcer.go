// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// Name is the name of this announcer.
const Name = "bgp"

var (
	_ announcers.Announcer    = (*Announcer)(nil)
	_ announcers.PeerReporter = (*Announcer)(nil)
	_ announcers.Leaver       = (*Announcer)(nil)
)

// Options are what the announcer is made of.
type Options struct {
	// Node is the name of this node, Address its own address: where they come from the BGP identifier for peers that name none.
	Node    string
	Address netip.Addr
	// Engine speaks BGP, Detector watches paths, Network knows the interfaces.
	Engine   Engine
	Detector Detector
	Network  Network
	// Log may be its zero value; Registerer takes the metrics, nil leaves them unregistered.
	Log        logr.Logger
	Registerer prometheus.Registerer
}

// Announcer is the announcer for routers.
type Announcer struct {
	surroundings
	notice chan struct{}
	wake   chan struct{}
	// rewatch has a value when the BFD sessions are to be computed anew.
	rewatch chan struct{}

	mu      sync.Mutex
	running bool
	leaving bool
	// stopped says why the announcer does not work; nil while it does.
	stopped *reason.Problem
	desired announcers.Desired
	// lengths are the prefix lengths of the routes of each peer.
	lengths map[string][]length
	runners map[string]*runner
}

// New returns an announcer that does nothing until Run. It fails on metrics that are registered already.
func New(o Options) (*Announcer, error) {
	a := &Announcer{
		notice: make(chan struct{}, 1), wake: make(chan struct{}, 1), rewatch: make(chan struct{}, 1), stopped: reason.New(reason.AnnouncerNotRunning, ""),
		runners: map[string]*runner{}, lengths: map[string][]length{},
	}
	a.log, a.routerID, a.born = o.Log, routerID(o.Node, o.Address), time.Now()
	a.engine, a.detector, a.network = o.Engine, o.Detector, o.Network
	a.changed, a.watched = func() { fire(a.notice) }, func() { fire(a.rewatch) }
	if o.Registerer != nil {
		if err := o.Registerer.Register(collector{a}); err != nil {
			return nil, fmt.Errorf("registering the metrics of %s: %w", Name, err)
		}
	}
	return a, nil
}

// routerID is the BGP identifier of a node: its IPv4 address, else a number made from its name (RFC 6286 2.1: any that is not 0).
func routerID(node string, address netip.Addr) netip.Addr {
	if a := address.Unmap(); a.Is4() {
		return a
	}
	n := cmp.Or(crc32.ChecksumIEEE([]byte(node)), 1)
	return netip.AddrFrom4([4]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
}

// Name implements announcers.Announcer.
func (*Announcer) Name() string { return Name }

// Ownership implements announcers.Announcer: routers spread over all nodes that announce a prefix.
func (*Announcer) Ownership() announcers.Ownership { return announcers.Shared }

// Changed implements announcers.Announcer.
func (a *Announcer) Changed() <-chan struct{} { return a.notice }

// Apply implements announcers.Announcer.
func (a *Announcer) Apply(_ context.Context, desired announcers.Desired) announcers.Report {
	a.mu.Lock()
	defer a.mu.Unlock()
	regroup := !sameSettings(a.desired.Peers, desired.Peers)
	a.desired = desired
	clear(a.lengths)
	for _, p := range desired.Peers {
		a.lengths[p.Name] = lengthsOf(p.Routes)
		if r := a.runners[p.Name]; r != nil && r.settings == p.PeerSettings {
			r.want(p.Routes, desired.Drain)
		}
	}
	if regroup {
		fire(a.wake)
	}
	return a.report()
}

// sameSettings says whether the same sessions serve both.
func sameSettings(a, b []announcers.Peer) bool {
	return slices.EqualFunc(a, b, func(a, b announcers.Peer) bool { return a.Name == b.Name && a.PeerSettings == b.PeerSettings })
}

// report says how every desired address is; the mutex is held.
func (a *Announcer) report() announcers.Report {
	out := announcers.Report{States: make(map[netip.Addr]announcers.State, len(a.desired.Addresses)), Problem: a.stopped}
	for _, wanted := range a.desired.Addresses {
		out.States[wanted.Addr] = a.state(wanted.Addr)
	}
	return out
}

func (a *Announcer) state(addr netip.Addr) announcers.State {
	if a.stopped != nil {
		return announcers.State{Phase: announcers.Waiting, Problem: a.stopped}
	}
	var problem *reason.Problem
	for _, p := range a.desired.Peers {
		r := a.runners[p.Name]
		if r == nil {
			continue
		}
		has, wants, why := r.effective(addr, a.lengths[p.Name])
		if has {
			return announcers.State{Phase: announcers.Effective}
		}
		if wants && problem == nil {
			problem = reason.New(why.Reason, "peer %s: %s", p.Name, said(why))
		}
	}
	if problem == nil {
		problem = reason.New(reason.NoPeers, "no BGPPeer of this node is selected for a route to %s", addr)
	}
	return announcers.State{Phase: announcers.Waiting, Problem: problem}
}

// Peers implements announcers.PeerReporter.
func (a *Announcer) Peers() []announcers.PeerState {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]announcers.PeerState, 0, len(a.desired.Peers))
	for _, p := range a.desired.Peers {
		if r := a.runners[p.Name]; r != nil {
			out = append(out, r.peer())
			continue
		}
		problem := a.stopped
		if problem == nil {
			problem = reason.New(reason.SessionConnecting, "")
		}
		out = append(out, announcers.PeerState{Name: p.Name, Problem: problem, Remote: netip.AddrPortFrom(p.Address, p.Port), Desired: len(p.Routes)})
	}
	return out
}

// Leave implements announcers.Leaver.
func (a *Announcer) Leave(ctx context.Context) {
	a.mu.Lock()
	a.leaving = a.running
	var all []*runner
	for _, r := range a.runners {
		r.leave()
		all = append(all, r)
	}
	a.mu.Unlock()
	for _, r := range all {
		select {
		case <-ctx.Done():
		case <-r.left:
		case <-r.done:
		}
	}
}

// errBusy is that Run was called while it runs.
var errBusy = errors.New("the announcer is already running")
