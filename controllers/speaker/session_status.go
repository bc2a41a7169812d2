// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// recountAfter is how old the numbers in a BGPSessionStatus may be. What has happened to the session is written at once.
const recountAfter = 10 * time.Second

// The longest texts that a BGPSessionStatus has room for, in bytes.
const (
	longestMessage    = 1024
	longestDiagnostic = 256
)

// sessionMark begins the queue's keys of sessions, which have no slash, as those of Services have.
const sessionMark = "session@"

func sessionKey(peer string) string { return sessionMark + peer }

func (s *Status) sessionName(peer string) string { return s.objectName("session-", peer, longHash) }

// session returns how the session with a peer is now; false when there is to be none. A peer that this node cannot speak with has a
// session as well, which says why.
func (o Outcome) session(peer string) (announcers.PeerState, bool) {
	if problem := o.Plan.LeftOut[peer]; problem != nil {
		return announcers.PeerState{Name: peer, Problem: problem}, true
	}
	for _, r := range o.Routers {
		for _, p := range r.Peers() {
			if p.Name == peer {
				return p, true
			}
		}
	}
	return announcers.PeerState{}, false
}

// changedSessions names the peers of whose sessions there is something else to tell at once than in an earlier outcome, those that are gone
// among them.
func (o Outcome) changedSessions(old Outcome, tell func(peer string)) {
	before := old.standings()
	for peer, now := range o.standings() {
		if then, known := before[peer]; !known || then != now {
			tell(peer)
		}
		delete(before, peer)
	}
	for peer := range before {
		tell(peer)
	}
}

// standing is what is told of a session at once when it changes.
type standing struct {
	established  bool
	why, warning reason.Reason
	bfd          announcers.BFDPhase
}

func (o Outcome) standings() map[string]standing {
	all := make(map[string]standing, len(o.Sessions)+len(o.Plan.LeftOut))
	for _, p := range o.Sessions {
		all[p.Name] = standingOf(p, o.Plan.Warned[p.Name])
	}
	for peer, problem := range o.Plan.LeftOut {
		all[peer] = standing{why: problem.Reason}
	}
	return all
}

func standingOf(p announcers.PeerState, warning *reason.Problem) standing {
	s := standing{established: p.Phase == announcers.Established, bfd: p.BFD.Phase}
	if p.Problem != nil {
		s.why = p.Problem.Reason
	}
	if warning != nil {
		s.warning = warning.Reason
	}
	return s
}

// writeSession leaves one BGPSessionStatus of this node for a peer that it is to speak with, and none for others. While the password is being
// read it leaves what an earlier pod of the node wrote.
func (s *Status) writeSession(ctx context.Context, peer string, o Outcome) error {
	if slices.Contains(o.Plan.Pending, peer) {
		s.writer.EnqueueAfter(sessionKey(peer), repairAfter)
		return nil
	}
	state, exists := o.session(peer)
	if !exists {
		s.sessions.forget(peer)
		s.events.forget(peer)
		return drop(ctx, s.client, &v1beta1.BGPSessionStatus{}, s.namespace, s.sessionName(peer))
	}
	steady := s.sessions.see(s.clock.Now(), state)
	if again := s.events.session(ctx, s.clock.Now(), state); again > 0 {
		s.writer.EnqueueAfter(sessionKey(peer), again)
	}
	s.writer.EnqueueAfter(sessionKey(peer), recountAfter)
	want := &v1beta1.BGPSessionStatus{
		ObjectMeta: s.objectMeta(s.sessionName(peer), map[string]string{v1beta1.LabelPeer: nodeLabel(peer)}),
		Status:     sessionStatus(s.node, steady, o),
	}
	return sessionStatuses.put(ctx, s.client, &v1beta1.BGPSessionStatus{}, want)
}

// steadied knows since when sessions are established or not, and when they failed so for the first time: attempts to connect change
// their phases and repeat their failures all the time. It may be used by any goroutine.
type steadied struct {
	mu    sync.Mutex
	known map[string]announcers.PeerState
}

// see returns the state without what changes with every attempt.
func (s *steadied) see(now time.Time, p announcers.PeerState) announcers.PeerState {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.known[p.Name]
	known = known && before.Dropped == p.Dropped // what led to another end is another failure
	switch {
	case known && (before.Phase == announcers.Established) == (p.Phase == announcers.Established):
		if p.Phase != announcers.Established {
			p.Since = before.Since
		}
	case p.Since.IsZero():
		p.Since = now
	}
	if known && before.LastError == p.LastError {
		p.LastErrorAt = before.LastErrorAt
	}
	if s.known == nil {
		s.known = map[string]announcers.PeerState{}
	}
	s.known[p.Name] = p
	return p
}

func (s *steadied) forget(peer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, peer)
}

// sessionStatus is a state as users read it.
func sessionStatus(node string, p announcers.PeerState, o Outcome) v1beta1.BGPSessionStatusStatus {
	out := v1beta1.BGPSessionStatusStatus{
		Node: node, Peer: p.Name, State: phaseOf(p, o), Since: moment(p.Since), Reason: string(reason.SessionConnecting),
		LastError: cut(p.LastError, longestMessage), LastErrorTime: moment(p.LastErrorAt), RemoteASN: p.RemoteASN,
		GracefulRestart: p.GracefulRestart, PrefixesDesired: int64(p.Desired), PrefixesSent: int64(p.Announced),
		EstablishedCount: int64(p.Established), DroppedCount: int64(p.Dropped), BFD: bfdStatus(p.BFD),
	}
	if p.Phase == announcers.Established {
		out.Reason = string(reason.SessionEstablished)
		out.HoldTime, out.KeepaliveTime = &metav1.Duration{Duration: p.HoldTime}, &metav1.Duration{Duration: p.KeepaliveTime}
	}
	if p.Problem != nil {
		out.Reason, out.Message = string(p.Problem.Reason), cut(p.Problem.Message(), longestMessage)
	}
	if warning := o.Plan.Warned[p.Name]; warning != nil {
		warn(&out, warning)
	}
	if a := p.Local.Addr(); a.IsValid() {
		out.LocalAddress = a.String()
	}
	if p.Remote.Addr().IsValid() {
		out.RemoteAddress = p.Remote.String()
	}
	if p.RemoteID.IsValid() {
		out.RemoteRouterID = p.RemoteID.String()
	}
	if p.IPv4 {
		out.Families = append(out.Families, v1beta1.BGPFamilyIPv4)
	}
	if p.IPv6 {
		out.Families = append(out.Families, v1beta1.BGPFamilyIPv6)
	}
	if i := slices.IndexFunc(o.Plan.Peers, func(q announcers.Peer) bool { return q.Name == p.Name }); i >= 0 {
		out.LocalASN = o.Plan.Peers[i].LocalASN
	}
	return out
}

// warn adds a warning: it is the reason of a session that is established and has no problem, and part of the message of any other.
func warn(out *v1beta1.BGPSessionStatusStatus, warning *reason.Problem) {
	switch {
	case out.Message != "":
		out.Message = cut(out.Message+". "+warning.Message(), longestMessage)
	case out.Reason == string(reason.SessionEstablished):
		out.Reason, out.Message = string(warning.Reason), cut(warning.Message(), longestMessage)
	default:
		out.Message = cut(warning.Message(), longestMessage)
	}
}

// phaseOf folds the phases of attempts into one, and is Idle only when there are none.
func phaseOf(p announcers.PeerState, o Outcome) string {
	switch {
	case p.Phase == announcers.Established:
		return p.Phase.String()
	case o.Plan.LeftOut[p.Name] != nil:
		return announcers.Idle.String()
	}
	return announcers.Active.String()
}

func bfdStatus(b announcers.BFDState) *v1beta1.BGPSessionBFD {
	if b.Phase == announcers.BFDNone {
		return nil
	}
	out := &v1beta1.BGPSessionBFD{
		State: b.Phase.String(), RemoteState: b.Remote.String(), Since: moment(b.Since), Diagnostic: cut(b.Diagnostic, longestDiagnostic),
	}
	if b.Transmit > 0 {
		out.TransmitInterval = &metav1.Duration{Duration: b.Transmit}
	}
	if b.Detection > 0 {
		out.DetectionTime = &metav1.Duration{Duration: b.Detection}
	}
	if b.Problem != nil {
		out.Reason, out.Message = string(b.Problem.Reason), cut(b.Problem.Message(), longestMessage)
	}
	return out
}

// moment is a time as the API keeps it, in whole seconds; nil for none.
func moment(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.Truncate(time.Second)}
}

// cut shortens a text to some bytes.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}

// speaksWith names a session in a sentence.
func speaksWith(node string, remote netip.AddrPort) string {
	if !remote.Addr().IsValid() {
		return "the BGP session of node " + node
	}
	return "the BGP session of node " + node + " with " + remote.String()
}
