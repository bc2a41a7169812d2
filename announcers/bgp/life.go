// SPDX-License-Identifier: Apache-2.0

package bgp

import (
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// How a session that ended is taken up again.
const (
	// stable is how long a session lives until what was before it is forgotten.
	stable = time.Minute
	// firstPause and longestPause bound the wait before a session is begun anew that keeps ending. The first time there is none.
	firstPause   = time.Second
	longestPause = time.Minute
	// flapping is the pause from which on a session is said to flap.
	flapping = 4 * time.Second
	// refusedPause is the least wait after a peer that is not the one that was meant.
	refusedPause = 10 * time.Second
	// pathPatience is how long a session that BFD has ended waits for BFD. After that it begins without: there are routers that start BFD
	// only once a BGP session is established.
	pathPatience = 2 * time.Second
	// grace is how long after the establishment a peer may say that its BFD session is down: then it has just begun it.
	grace = 5 * time.Second
)

// life decides when to connect and when to give up. It is told what happens and reads no clock.
type life struct {
	phase announcers.SessionPhase
	// connected is whether the engine was told to connect; over is whether it is to be told to stop.
	connected, over bool
	// up is when the session was established; zero when it is not.
	up time.Time
	// retry is when to connect at the earliest; path is until when to wait for BFD before that.
	retry, path time.Time
	// pause is the last wait.
	pause time.Duration
	// drops counts the sessions that ended in a row without living long.
	drops int
	// downs is how often BFD had failed when it was looked at last.
	downs uint64
	// problem says why the session is not established; nil while it is, and before anything is known.
	problem *reason.Problem
	// established and dropped count; failure and failedAt are the last thing that went wrong, in words.
	established, dropped uint64
	failure              string
	failedAt             time.Time
}

// action is what the engine is to be told next.
type action int

const (
	rest action = iota
	connect
	disconnect
)

// heard takes in what the engine tells.
func (l *life) heard(now time.Time, e Event, accept func(Opened) *reason.Problem) {
	before := l.phase
	l.phase = e.Phase
	if !l.connected || l.over {
		return
	}
	if e.Opened != nil {
		if problem := accept(*e.Opened); problem != nil {
			l.end(now, problem)
			l.retry = later(l.retry, now.Add(refusedPause))
			return
		}
	}
	switch {
	case e.Phase == announcers.Established:
		if before != announcers.Established {
			l.up, l.problem = now, nil
			l.established++
		}
	case e.Phase == announcers.Idle && before >= announcers.OpenSent:
		l.end(now, e.Problem)
	case e.Problem != nil:
		l.fail(now, e.Problem)
	}
}

func (l *life) fail(now time.Time, why *reason.Problem) {
	l.problem, l.failure, l.failedAt = why, said(why), now
}

// end notes that the session is to be begun anew.
func (l *life) end(now time.Time, why *reason.Problem) {
	if !l.up.IsZero() {
		l.dropped++
		if now.Sub(l.up) >= stable {
			l.drops = 0
		}
	}
	l.pause = pauseAfter(l.drops)
	l.drops++
	l.over, l.up, l.retry = true, time.Time{}, now.Add(l.pause)
	if why == nil {
		why = reason.New(reason.SessionEnded, "the connection was closed")
	}
	l.fail(now, why)
}

// pauseAfter is the wait after so many sessions in a row that did not live long.
func pauseAfter(drops int) time.Duration {
	if drops == 0 {
		return 0
	}
	pause := firstPause
	for i := 1; i < drops && pause < longestPause; i++ {
		pause *= 2
	}
	return min(pause, longestPause)
}

// bfd takes in how BFD is: how often it has failed, whether it is up, whether the last failure was that the peer said it was down.
func (l *life) bfd(now time.Time, downs uint64, signalled bool) {
	failed := downs > l.downs
	l.downs = downs
	if !failed || l.up.IsZero() || l.over {
		return
	}
	if signalled && now.Sub(l.up) < grace {
		return
	}
	l.end(now, reason.New(reason.BFDDown, ""))
	l.path = now.Add(pathPatience)
}

// crashed notes that the engine has lost the session and is to be asked for another one.
func (l *life) crashed(now time.Time, why *reason.Problem) {
	l.end(now, why)
	l.over, l.connected, l.phase = false, false, announcers.Idle
}

// next returns what to do now and, when that is nothing, how long to wait for something to do; zero when only news make a difference.
func (l *life) next(now time.Time, pathUp bool) (action, time.Duration) {
	switch {
	case l.connected && l.over:
		return disconnect, 0
	case l.connected:
		return rest, 0
	}
	if wait := l.retry.Sub(now); wait > 0 {
		return rest, wait
	}
	if wait := l.path.Sub(now); wait > 0 && !pathUp {
		return rest, wait
	}
	return connect, 0
}

// did notes that the engine was told.
func (l *life) did(a action) {
	switch a {
	case connect:
		l.connected, l.over, l.path, l.phase = true, false, time.Time{}, announcers.Idle
	case disconnect:
		l.connected, l.over, l.phase = false, false, announcers.Idle
	case rest:
	}
}

// trouble is what users are told about a session that is not established.
func (l *life) trouble() *reason.Problem {
	switch {
	case !l.up.IsZero():
		return nil
	case l.problem != nil && l.pause >= flapping && !l.connected:
		return reason.New(reason.SessionFlapping, "the session ended %d times, each time soon after it had begun; the next attempt comes after %v. Last: %s: %s",
			l.drops, l.pause, l.problem.Reason, said(l.problem))
	case l.problem != nil:
		return l.problem
	}
	return reason.New(reason.SessionConnecting, "")
}

// said is the detail of a problem, or what its reason says when it has none.
func said(p *reason.Problem) string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Reason.Text().Sentence
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
