// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"strconv"
	"time"
)

// Bounds on what is read of a router's routes: a full table of the Internet, of both families, comes at once, and after that more than twice
// the updates of the busiest hours.
const (
	droppedBurst     = 128 << 20
	droppedPerSecond = 1 << 20
	// droppedPerMessage is what a message costs beside its bytes, in bytes.
	droppedPerMessage = 100
)

// traffic counts what a relay drops, and bounds how fast it reads that. It reads no clock.
type traffic struct {
	messages, bytes, standIns uint64
	// budget is how many bytes may be read at once, as of last.
	budget float64
	last   time.Time
	// alive is when GoBGP last got something that keeps the session up, refreshed when it was last asked for all routes, reported when the
	// parent was last told, and of how many messages.
	alive, refreshedAt, reported time.Time
	told                         uint64
}

func newTraffic(now time.Time) traffic { return traffic{budget: droppedBurst, last: now} }

// passed notes that GoBGP gets something that keeps the session up.
func (t *traffic) passed(now time.Time) { t.alive = now }

// dropped counts a message that is dropped. GoBGP is to get a KEEPALIVE in its place now and then, since every message shows that the router
// lives (RFC 4271 8.2.2); and it says how long to wait with the next message.
func (t *traffic) dropped(now time.Time, size int) (standIn bool, wait time.Duration) {
	t.messages++
	t.bytes += uint64(size)
	t.budget = min(droppedBurst, t.budget+now.Sub(t.last).Seconds()*droppedPerSecond) - float64(size+droppedPerMessage)
	t.last = now
	if now.Sub(t.alive) >= standInInterval {
		t.alive, standIn = now, true
		t.standIns++
	}
	if t.budget < 0 {
		wait = time.Duration(-t.budget / droppedPerSecond * float64(time.Second))
	}
	return standIn, wait
}

// refresh says how long to wait before the next ROUTE-REFRESH is passed on.
func (t *traffic) refresh(now time.Time) time.Duration {
	wait := max(0, t.refreshedAt.Add(refreshInterval).Sub(now))
	t.refreshedAt = now.Add(wait)
	return wait
}

// reportDue says whether the parent is to be told what was dropped; the last time it is told whatever it was not told yet.
func (t *traffic) reportDue(now time.Time, last bool) bool {
	if t.messages == t.told || !last && now.Sub(t.reported) < reportInterval {
		return false
	}
	t.reported, t.told = now, t.messages
	return true
}

// passed, refresh and drop are the methods of traffic for several goroutines.
func (p *passage) passed(now time.Time) {
	p.counting.Lock()
	defer p.counting.Unlock()
	p.traffic.passed(now)
}

func (p *passage) refresh(now time.Time) time.Duration {
	p.counting.Lock()
	defer p.counting.Unlock()
	return p.traffic.refresh(now)
}

// drop counts a message that is dropped, and has the parent told at once or after a while.
func (p *passage) drop(now time.Time, size int) (standIn bool, wait time.Duration) {
	p.counting.Lock()
	defer p.counting.Unlock()
	standIn, wait = p.traffic.dropped(now, size)
	p.tellDropped(now, false)
	if p.late == nil {
		p.late = time.AfterFunc(reportInterval, func() { p.report(time.Now(), true) })
	}
	return standIn, wait
}

// report tells the parent what was dropped and was not told yet, when that is due or the connection ends.
func (p *passage) report(now time.Time, last bool) {
	p.counting.Lock()
	defer p.counting.Unlock()
	p.late = nil
	p.tellDropped(now, last)
}

// tellDropped tells the parent what was dropped; the mutex is held.
func (p *passage) tellDropped(now time.Time, last bool) {
	if !p.traffic.reportDue(now, last) {
		return
	}
	p.say(levelDebug, textDropped, map[string]string{
		"Messages": strconv.FormatUint(p.traffic.messages, 10), "Bytes": strconv.FormatUint(p.traffic.bytes, 10),
		"StandIns": strconv.FormatUint(p.traffic.standIns, 10),
	})
}
