// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"time"
)

const (
	// beatEvery is how often this process looks whether it runs in time.
	beatEvery = 20 * time.Millisecond
	// calmAfter is how long it has to run in time before it believes again that a silent member is lost: longer than a probe of a member and
	// the refutation of a suspicion take.
	calmAfter = 500 * time.Millisecond
	// heldFor is how long a silent member is kept at most.
	heldFor = 2 * time.Second
)

// heldMessage is the log line, and the start of the problem, of a member that is held.
const heldMessage = "Member is silent while this speaker runs late itself, will wait for it"

// holds are the members that did not answer in time when this process was late itself: most likely their answers came and were not read, so
// they are kept until it has run in time for a while. One that says goodbye may be held too, but is unfit then. A plain value; the
// time is given to it, and its owner locks it. (Dadgar, Phillips, Currey: Lifeguard, 2018, has the same thought for suspicions.)
type holds struct {
	lateBy time.Duration
	// due is when the next beat is expected, late when one was late last.
	due, late time.Time
	since     map[string]time.Time
}

// newHolds returns holds for a process that is late when a beat is later than lateBy.
func newHolds(lateBy time.Duration) holds {
	return holds{lateBy: lateBy, since: map[string]time.Time{}}
}

// look notes whether the beat that is due now is late.
func (h *holds) look(now time.Time) {
	if !h.due.IsZero() && now.Sub(h.due) > h.lateBy {
		h.late = now
	}
}

// beat notes that this process ran.
func (h *holds) beat(now time.Time) {
	h.look(now)
	h.due = now.Add(beatEvery)
}

func (h *holds) calm(now time.Time) bool { return h.late.IsZero() || now.Sub(h.late) >= calmAfter }

// hold returns whether a member that is silent now is kept.
func (h *holds) hold(name string, now time.Time) bool {
	h.look(now)
	if h.calm(now) {
		return false
	}
	if _, held := h.since[name]; !held {
		h.since[name] = now
	}
	return true
}

// answered ends the hold of a member that answers again or that is gone.
func (h *holds) answered(name string) { delete(h.since, name) }

// expired ends the holds that are over and returns their members, and after how long to ask again; zero when no member is held.
func (h *holds) expired(now time.Time) (lost []string, wait time.Duration) {
	h.look(now)
	for name, since := range h.since {
		rest := since.Add(heldFor).Sub(now)
		if !h.calm(now) && rest > 0 {
			rest = min(rest, h.late.Add(calmAfter).Sub(now))
			if wait == 0 || rest < wait {
				wait = rest
			}
			continue
		}
		delete(h.since, name)
		lost = append(lost, name)
	}
	return lost, wait
}

// watchOneself notes whether this process runs in time, until the context ends.
func (m *Membership) watchOneself(ctx context.Context) {
	beats := time.NewTicker(beatEvery)
	defer beats.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beats.C:
			m.mu.Lock()
			m.holds.beat(time.Now())
			m.mu.Unlock()
		}
	}
}

// release lets the members go whose hold is over, and returns after how long to ask again.
func (m *Membership) release() time.Duration {
	m.mu.Lock()
	lost, wait := m.holds.expired(time.Now())
	for _, name := range lost {
		m.lose(name)
	}
	m.mu.Unlock()
	for _, name := range lost {
		m.options.Log.Info("Member left", "member", name)
		signal(m.changed)
	}
	if wait == 0 {
		return idle
	}
	return wait
}

// lose forgets a member; it is called under the lock.
func (m *Membership) lose(name string) {
	m.table.leave(name)
	m.count()
	m.metrics.losses.Inc()
}
