// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"net/netip"
	"strings"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// unknownAnnouncer stands for an announcer that this build does not have: it refuses every address, so that the ConfigurationState of the
// speaker says why nothing is announced by it.
type unknownAnnouncer struct {
	name    string
	problem *reason.Problem
}

var _ announcers.Announcer = unknownAnnouncer{}

func unknown(name string) announcers.Announcer {
	return unknownAnnouncer{name: name, problem: reason.New(reason.UnknownAnnouncer, "there is no announcer %q; known are %s", name, strings.Join(Names(), ", "))}
}

// Name implements announcers.Announcer.
func (u unknownAnnouncer) Name() string { return u.name }

// Ownership implements announcers.Announcer: it takes part in no election.
func (u unknownAnnouncer) Ownership() announcers.Ownership { return announcers.Shared }

// Run implements announcers.Announcer.
func (u unknownAnnouncer) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Apply implements announcers.Announcer.
func (u unknownAnnouncer) Apply(_ context.Context, desired announcers.Desired) announcers.Report {
	states := make(map[netip.Addr]announcers.State, len(desired.Addresses))
	for _, a := range desired.Addresses {
		states[a.Addr] = announcers.State{Phase: announcers.Refused, Problem: u.problem}
	}
	return announcers.Report{States: states, Problem: u.problem}
}

// Changed implements announcers.Announcer: nothing ever does.
func (u unknownAnnouncer) Changed() <-chan struct{} { return nil }
