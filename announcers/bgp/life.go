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
	// up is when the session was established; zero when it is not. begun is when the engine was told to connect, blind whether BFD was not up
	// then.
	up, begun time.Time
	blind     bool
	// retry is when to connect at the earliest; path is until when to wait for BFD before that.
	retry, path time.Time
	// pause is the last wait.
	pause time.Duration
	// drops counts the sessions that ended in a row without living long, flaps those of them that had been established at all; moved is when
	// the peer was last found elsewhere.
	drops, flaps int
	moved        time.Time
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

// heard takes in what the engine tells; it says whether that is about a session that goes on.
func (l *life) heard(now time.Time, e Event, accept func(Opened) *reason.Problem) bool {
	if !l.connected || l.over {
		return false
	}
	before := l.phase
	l.phase = e.Phase
	if e.Opened != nil {
		if problem := accept(*e.Opened); problem != nil {
			l.end(now, problem)
			l.retry = later(l.retry, now.Add(refusedPause))
			return false
		}
	}
	switch {
	case e.Phase == announcers.Established:
		if before != announcers.Established {
			l.up, l.problem = now, nil
			l.established++
		}
	case e.Phase == announcers.Idle && before != announcers.Idle:
		l.end(now, e.Problem)
	case e.Problem != nil:
		l.fail(now, e.Problem)
	}
	return !l.over
}

func (l *life) fail(now time.Time, why *reason.Problem) {
	l.problem, l.failure, l.failedAt = why, said(why), now
}

// end notes that the session is to be begun anew.
func (l *life) end(now time.Time, why *reason.Problem) {
	l.flaps++
	switch {
	case l.up.IsZero():
		l.flaps = 0
	case now.Sub(l.up) >= stable:
		l.drops, l.flaps = 0, 0
	}
	l.fall()
	l.pause = pauseAfter(l.drops)
	l.drops++
	l.over, l.retry = true, now.Add(l.pause)
	if why == nil {
		why = reason.New(reason.SessionEnded, "the connection was closed")
	}
	l.fail(now, why)
}

// fall notes that the session is not established any more.
func (l *life) fall() {
	if !l.up.IsZero() {
		l.dropped++
	}
	l.up, l.phase = time.Time{}, announcers.Idle
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
//
// An attempt that was begun while BFD was down, and for which nobody answers, is begun afresh when BFD is up again: the engine might wait for
// long until it tries the next time.
func (l *life) bfd(now time.Time, downs uint64, signalled, pathUp bool) {
	failed := downs > l.downs
	l.downs = downs
	if pathUp && l.blind && l.connected && l.phase < announcers.OpenSent && now.Sub(l.begun) >= pathPatience {
		l.over = true
	}
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
//
// When the session was to be ended anyway, that is what users are told, and how soon it is begun anew.
func (l *life) crashed(now time.Time, why *reason.Problem) {
	if !l.over {
		l.end(now, why)
	}
	l.over, l.connected = false, false
}

// elsewhere notes that the peer is to be spoken to in another way: the session has ended, and another one begins at once, unless that
// happened not long ago.
func (l *life) elsewhere(now time.Time) {
	l.fall()
	l.over, l.connected = false, false
	if !l.moved.IsZero() && now.Sub(l.moved) < stable {
		l.retry = later(l.retry, now.Add(firstPause))
	}
	l.moved = now
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
func (l *life) did(now time.Time, a action, pathUp bool) {
	switch a {
	case connect:
		l.connected, l.over, l.path, l.phase = true, false, time.Time{}, announcers.Idle
		l.begun, l.blind = now, !pathUp
	case disconnect:
		l.connected, l.over, l.phase, l.up = false, false, announcers.Idle, time.Time{}
	case rest:
	}
}

// trouble is what users are told about a session that is not established.
func (l *life) trouble() *reason.Problem {
	switch {
	case !l.up.IsZero():
		return nil
	case l.problem != nil && l.flaps > 0 && l.pause >= flapping:
		return reason.New(reason.SessionFlapping, "the session keeps ending soon after it was established. Last: %s: %s", l.problem.Reason, said(l.problem))
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
