// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"fmt"
	"strings"

	"metalsuite.io/announcers/bgp"
	"metalsuite.io/api/reason"
)

// Codes of NOTIFICATION messages that have a reason of their own (RFC 4271 4.5).
const (
	codeOpen         = 2
	codeHoldTimer    = 4
	codeStateMachine = 5
	codeCease        = 6

	subcodeBadPeerAS     = 2
	subcodeBadIdentifier = 3
)

// notification is one that was sent or received.
type notification struct {
	code, subcode int
	// message is what the other side wrote with it (RFC 9003), or what GoBGP found.
	message string
}

var notificationNames = map[int]string{
	1: "Message Header Error", codeOpen: "OPEN Message Error", 3: "UPDATE Message Error", codeHoldTimer: "Hold Timer Expired",
	codeStateMachine: "Finite State Machine Error", codeCease: "Cease", 7: "ROUTE-REFRESH Message Error",
}

// notificationDetails are the names of subcodes: RFC 4271 4.5 and 6, RFC 5492 5, RFC 6608 3, RFC 4486 3, RFC 8538 3.1, RFC 9384 3.
var notificationDetails = map[[2]int]string{
	{1, 1}: "Connection Not Synchronized", {1, 2}: "Bad Message Length", {1, 3}: "Bad Message Type",
	{2, 1}: "Unsupported Version Number", {2, 2}: "Bad Peer AS", {2, 3}: "Bad BGP Identifier", {2, 4}: "Unsupported Optional Parameter",
	{2, 6}: "Unacceptable Hold Time", {2, 7}: "Unsupported Capability", {2, 11}: "Role Mismatch",
	{3, 1}: "Malformed Attribute List", {3, 2}: "Unrecognized Well-known Attribute", {3, 3}: "Missing Well-known Attribute",
	{3, 4}: "Attribute Flags Error", {3, 5}: "Attribute Length Error", {3, 6}: "Invalid ORIGIN Attribute", {3, 8}: "Invalid NEXT_HOP Attribute",
	{3, 9}: "Optional Attribute Error", {3, 10}: "Invalid Network Field", {3, 11}: "Malformed AS_PATH",
	{5, 1}: "Unexpected Message in OpenSent", {5, 2}: "Unexpected Message in OpenConfirm", {5, 3}: "Unexpected Message in Established",
	{6, 1}: "Maximum Number of Prefixes Reached", {6, 2}: "Administrative Shutdown", {6, 3}: "Peer De-configured",
	{6, 4}: "Administrative Reset", {6, 5}: "Connection Rejected", {6, 6}: "Other Configuration Change",
	{6, 7}: "Connection Collision Resolution", {6, 8}: "Out of Resources", {6, 9}: "Hard Reset", {6, 10}: "BFD Down",
}

func (n notification) String() string {
	name, ok := notificationNames[n.code]
	if !ok {
		name = fmt.Sprintf("code %d", n.code)
	}
	if detail, ok := notificationDetails[[2]int{n.code, n.subcode}]; ok {
		name += "/" + detail
	} else if n.subcode != 0 {
		name += fmt.Sprintf("/subcode %d", n.subcode)
	}
	if n.message != "" {
		name += fmt.Sprintf(" (%q)", n.message)
	}
	return name
}

// received says what it means that the peer sent n.
func (n notification) received() *reason.Problem {
	why := reason.PeerClosedSession
	switch {
	case n.code == codeOpen && n.subcode == subcodeBadPeerAS:
		why = reason.PeerASNMismatch
	case n.code == codeOpen && n.subcode == subcodeBadIdentifier:
		why = reason.RouterIDConflict
	case n.code == codeHoldTimer:
		return reason.New(reason.HoldTimerExpired, "the peer received no message from this node within its hold time and sent %s", n)
	}
	return reason.New(why, "the peer sent %s", n)
}

// sent says what it means that GoBGP sent n; nil when that was wanted.
func (n notification) sent() *reason.Problem {
	why := reason.InvalidPeerMessage
	switch {
	case n.code == codeCease:
		return nil
	case n.code == codeOpen && n.subcode == subcodeBadPeerAS:
		why = reason.PeerASNMismatch
	case n.code == codeOpen && n.subcode == subcodeBadIdentifier:
		why = reason.RouterIDConflict
	case n.code == codeHoldTimer:
		return reason.New(reason.HoldTimerExpired, "no message from the peer within the hold time; this node sent %s", n)
	}
	return reason.New(why, "this node answered the peer's message with %s", n)
}

// Names of states and reasons as GoBGP writes them.
const (
	stateIdle        = "BGP_FSM_IDLE"
	stateOpenSent    = "BGP_FSM_OPENSENT"
	stateOpenConfirm = "BGP_FSM_OPENCONFIRM"

	reasonHoldTimer   = "hold-timer-expired"
	reasonWriteFailed = "write-failed"
	reasonInvalid     = "invalid-msg"
)

// brokenProblem says why a session ended for which there was no notification.
func brokenProblem(state, why string) *reason.Problem {
	switch {
	case why == reasonHoldTimer:
		return reason.New(reason.HoldTimerExpired, "no message from the peer within the hold time")
	case why == reasonInvalid:
		return reason.New(reason.InvalidPeerMessage, "the peer sent an unexpected message")
	case why == reasonWriteFailed:
		return reason.New(reason.SessionEnded, "the peer stopped reading from the connection")
	case state == stateOpenSent:
		return reason.New(reason.PeerClosedSession, "the peer closed the connection without an OPEN message; it may not know this node as a neighbour")
	case state == stateOpenConfirm:
		return reason.New(reason.PeerClosedSession, "the peer closed the connection after the OPEN messages")
	}
	return reason.New(reason.SessionEnded, "the connection to the peer was closed or broke")
}

// dialProblem says why no connection was made. Only what the kernel says is known: a wrong password is a peer that does not answer.
func dialProblem(s bgp.Settings, text string) *reason.Problem {
	cause := text[strings.LastIndex(text, ": ")+1:]
	cause = strings.TrimSpace(cause)
	switch cause {
	case "connection refused":
		return reason.New(reason.ConnectionRefused, "%s port %d refuses the connection", s.Remote, s.Port)
	case "i/o timeout", "connection timed out":
		if s.Password != "" {
			return reason.New(reason.PasswordMismatchSuspected, "no answer from %s port %d", s.Remote, s.Port)
		}
		return reason.New(reason.PeerUnreachable, "no answer from %s port %d", s.Remote, s.Port)
	case "cannot assign requested address":
		return reason.New(reason.NoSourceAddress, "%s is not an address of this node", s.Source)
	case "no such device", "operation not permitted":
		if s.VRF != "" {
			return reason.New(reason.VRFMissing, "binding to %s: %s", s.VRF, cause)
		}
	}
	return reason.New(reason.PeerUnreachable, "connecting to %s port %d: %s", s.Remote, s.Port, cause)
}
