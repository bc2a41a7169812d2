// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta2"
)

// sessionQuiet is the least time between two events on one session, however often it comes and goes.
const sessionQuiet = 30 * time.Second

// sessionTold is what users were told of a session, and when.
type sessionTold struct {
	established bool
	at          time.Time
}

// session tells of a session that was established or has ended, on its BGPPeer. It returns after how long it wants to be asked again, zero for
// never.
func (e *events) session(ctx context.Context, now time.Time, p announcers.PeerState) time.Duration {
	established := p.Phase == announcers.Established
	e.mu.Lock()
	told := e.sessions[p.Name]
	rest := told.at.Add(sessionQuiet).Sub(now)
	news := told.established != established
	if news && rest <= 0 {
		e.sessions[p.Name] = sessionTold{established, now}
	}
	e.mu.Unlock()
	switch {
	case !news:
		return 0
	case rest > 0:
		return rest
	}
	var peer v1beta2.BGPPeer
	if err := e.reader.Get(ctx, types.NamespacedName{Namespace: e.namespace, Name: p.Name}, &peer); err != nil {
		return 0 // a peer that is gone is told nothing
	}
	what := sessionEvent(e.node, p)
	e.recorder.Event(&peer, what.kind, what.reason, what.message)
	return 0
}

// forget makes the session with a peer of this name new when it comes again: the next one may be of another object.
func (e *events) forget(peer string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sessions, peer)
}

func sessionEvent(node string, p announcers.PeerState) event {
	if p.Phase == announcers.Established {
		return event{corev1.EventTypeNormal, string(reason.SessionEstablished), speaksWith(node, p.Remote) + " is established"}
	}
	why := ""
	switch {
	case p.LastError != "":
		why = ": " + p.LastError
	case p.Problem != nil:
		why = ": " + p.Problem.Message()
	}
	return event{corev1.EventTypeWarning, string(reason.SessionEnded), speaksWith(node, p.Remote) + " has ended" + why}
}
