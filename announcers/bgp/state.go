// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"net/netip"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp/bfd"
	"metalsuite.io/api/reason"
)

// publish makes the state that users see follow what the runner knows. Trouble is why there is no session at all, or what cannot be
// announced although there is one.
func (r *runner) publish(trouble *reason.Problem) {
	now := time.Now()
	r.mu.Lock()
	before := r.state
	s := &r.state
	if s.Phase != r.life.phase {
		s.Phase, s.Since = r.life.phase, now
	}
	s.Problem = r.problem(trouble)
	s.Established, s.Dropped = r.life.established, r.life.dropped
	if r.life.failure != "" {
		s.LastError, s.LastErrorAt = r.life.failure, r.life.failedAt
	}
	s.IPv4, s.IPv6, s.GracefulRestart, s.HoldTime, s.KeepaliveTime = false, false, false, 0, 0
	if o := r.opened; o != nil {
		s.Local, s.Remote, s.RemoteASN, s.RemoteID = o.Local, o.Remote, o.RemoteASN, o.RemoteID
		s.IPv4, s.IPv6, s.GracefulRestart, s.HoldTime, s.KeepaliveTime = o.IPv4, o.IPv6, o.GracefulRestart, o.HoldTime, o.KeepaliveTime
	}
	s.Announced, s.Desired = 0, len(r.routes)
	if r.gone(now) {
		s.Desired = 0
	}
	if s.Phase == announcers.Established {
		s.Announced = r.told.of(s.IPv4, s.IPv6)
	}
	news := before.Phase != s.Phase || !same(before.Problem, s.Problem) || before.Announced != s.Announced
	r.mu.Unlock()
	if news {
		r.changed()
	}
}

// problem is what users are told; the mutex is held.
func (r *runner) problem(trouble *reason.Problem) *reason.Problem {
	if r.life.phase != announcers.Established {
		if trouble != nil {
			return trouble
		}
		return r.life.trouble()
	}
	switch {
	case r.drain || r.leaving:
		return reason.New(reason.NodeDraining, "")
	case trouble == nil && r.opened != nil:
		trouble = r.unheard(*r.opened)
	}
	if trouble == nil {
		return r.flooded
	}
	return trouble
}

// unheard says which routes the peer does not take.
func (r *runner) unheard(o Opened) *reason.Problem {
	for l := range r.told.lengths {
		switch {
		case l.four && !o.IPv4:
			return reason.New(reason.FamilyNotNegotiated, "the peer takes no IPv4 routes on this session")
		case !l.four && !o.IPv6:
			return reason.New(reason.FamilyNotNegotiated, "the peer takes no IPv6 routes on this session")
		}
	}
	return nil
}

func same(a, b *reason.Problem) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// peer returns the state of the session as it is now.
func (r *runner) peer() announcers.PeerState {
	r.mu.Lock()
	s := r.state
	r.mu.Unlock()
	if !r.settings.BFD.Enabled {
		return s
	}
	if state, ok := r.detector.State(r.name); ok {
		s.BFD = told(state)
	} else {
		s.BFD = announcers.BFDState{Phase: announcers.BFDDown, Since: s.Since}
	}
	return s
}

var bfdPhases = map[bfd.Phase]announcers.BFDPhase{
	bfd.AdminDown: announcers.BFDAdminDown, bfd.Down: announcers.BFDDown, bfd.Init: announcers.BFDInit, bfd.Up: announcers.BFDUp,
}

// told is a state of the detector in the words of the contract.
func told(s bfd.State) announcers.BFDState {
	out := announcers.BFDState{
		Phase: bfdPhases[s.Phase], Since: s.Since, Remote: bfdPhases[s.RemotePhase], Transmit: s.Transmit, Detection: s.Detection,
		Problem: s.Problem, ControlSent: s.ControlSent, ControlReceived: s.ControlReceived, EchoSent: s.EchoSent, EchoReceived: s.EchoReceived,
		Ups: s.Ups, Downs: s.Downs + s.PeerAdminDowns,
	}
	if s.Diagnostic != bfd.NoDiagnostic {
		out.Diagnostic = s.Diagnostic.String()
	}
	if out.Problem == nil {
		out.Problem = s.EchoProblem
	}
	return out
}

// effective says whether the peer has a route to the address, and else whether it is to have one and why it has not.
func (r *runner) effective(a netip.Addr, lengths []length) (has, wants bool, why *reason.Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	family := a.Is4() && r.state.IPv4 || a.Is6() && r.state.IPv6
	if r.state.Phase == announcers.Established && family && r.told.covers(a) {
		return true, true, nil
	}
	if !covering(r.routes, lengths, a) {
		return false, false, nil
	}
	switch {
	case r.drain || r.leaving:
		return false, true, reason.New(reason.NodeDraining, "")
	case r.state.Problem != nil:
		return false, true, r.state.Problem
	}
	return false, true, reason.New(reason.SessionConnecting, "")
}
