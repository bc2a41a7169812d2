// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"slices"
	"testing"
	"time"
)

// beats returns holds of a process that is late after 25 ms and has run in time until now.
func beats(now time.Time) holds {
	h := newHolds(25 * time.Millisecond)
	for at := now.Add(-time.Second); !at.After(now); at = at.Add(beatEvery) {
		h.beat(at)
	}
	return h
}

func TestASilentMemberIsLostAtOnceWhileThisProcessRunsInTime(t *testing.T) {
	now := time.Now()
	h := beats(now)
	if h.hold("n2", now.Add(beatEvery)) {
		t.Error("a silent member is held by a process that runs in time")
	}
}

func TestASilentMemberIsHeldWhileThisProcessRunsLate(t *testing.T) {
	now := time.Now()
	h := beats(now)
	// The process stands still for half a second, and the news of the member comes before the beat that is due.
	now = now.Add(500 * time.Millisecond)
	if !h.hold("n2", now) {
		t.Fatal("a process that stood still believes at once that a member is lost")
	}
	for end := now.Add(calmAfter - beatEvery); now.Before(end); now = now.Add(beatEvery) {
		h.beat(now)
		if lost, wait := h.expired(now); len(lost) > 0 || wait <= 0 || wait > calmAfter {
			t.Fatalf("lost %v before the process ran in time for long enough, asked again after %v", lost, wait)
		}
	}
	for range 2 {
		now = now.Add(beatEvery)
		h.beat(now)
	}
	if lost, wait := h.expired(now); !slices.Equal(lost, []string{"n2"}) || wait != 0 {
		t.Errorf("lost %v, asked again after %v, once the process had run in time", lost, wait)
	}
	if lost, _ := h.expired(now); len(lost) > 0 {
		t.Errorf("lost %v twice", lost)
	}
}

func TestAMemberThatAnswersAgainIsNotLost(t *testing.T) {
	now := time.Now()
	h := beats(now)
	now = now.Add(500 * time.Millisecond)
	h.hold("n2", now)
	h.answered("n2")
	if lost, wait := h.expired(now.Add(time.Minute)); len(lost) > 0 || wait != 0 {
		t.Errorf("lost %v, asked again after %v", lost, wait)
	}
}

func TestAHoldEndsThoughTheProcessStaysLate(t *testing.T) {
	start := time.Now()
	h := beats(start)
	now := start.Add(100 * time.Millisecond)
	h.hold("n2", now)
	held := now
	for {
		now = now.Add(100 * time.Millisecond) // every beat is late
		h.beat(now)
		lost, wait := h.expired(now)
		if len(lost) > 0 {
			break
		}
		if wait <= 0 || now.Sub(held) > heldFor {
			t.Fatalf("the hold has lasted %v, and is asked for again after %v", now.Sub(held), wait)
		}
	}
	if now.Sub(held) < heldFor {
		t.Errorf("the hold ended after %v, want %v", now.Sub(held), heldFor)
	}
}
