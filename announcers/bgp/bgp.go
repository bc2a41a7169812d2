// SPDX-License-Identifier: Apache-2.0

// Package bgp holds the place of the announcer for routers: it is known by its name and refuses every address with a reason.
//
// It must not know Kubernetes or other announcers. It has no state, so every method may be called from any goroutine.
package bgp

import (
	"context"
	"net/netip"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// Name is the name of this announcer.
const Name = "bgp"

// Announcer refuses everything.
type Announcer struct {
	changed chan struct{}
}

// New returns the announcer.
func New() *Announcer { return &Announcer{changed: make(chan struct{}, 1)} }

// Name implements announcers.Announcer.
func (*Announcer) Name() string { return Name }

// Ownership implements announcers.Announcer: routers spread over all nodes that announce a prefix.
func (*Announcer) Ownership() announcers.Ownership { return announcers.Shared }

// Run implements announcers.Announcer; it only waits.
func (*Announcer) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Apply implements announcers.Announcer; it refuses every address.
func (*Announcer) Apply(_ context.Context, desired announcers.Desired) announcers.Report {
	unavailable := reason.New(reason.AnnouncerNotAvailable, "the announcer %s is not available in this build", Name)
	states := make(map[netip.Addr]announcers.State, len(desired.Addresses))
	for _, a := range desired.Addresses {
		states[a.Addr] = announcers.State{Phase: announcers.Refused, Problem: unavailable}
	}
	return announcers.Report{States: states, Problem: unavailable}
}

// Changed implements announcers.Announcer; nothing ever changes.
func (a *Announcer) Changed() <-chan struct{} { return a.changed }
