// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"strconv"
	"time"
)

// Bounds on what is read of a router. Every message of an established session counts: a full table of the Internet, of both families, comes at
// once, and after that more than twice the updates of the busiest hours.
const (
	readBurst     = 128 << 20
	readPerSecond = 1 << 20
	// readPerMessage is what a message costs beside its bytes, in bytes.
	readPerMessage = 100
)

// Bounds on the KEEPALIVE messages that are passed on. The shortest hold time has a router send one a second (RFC 4271 4.2, 4.4), so that the
// hold timer of GoBGP never fires early for one that was left out.
const (
	keepaliveBurst     = 20
	keepalivePerSecond = 4
)

// dropped counts what a relay kept to itself and what it said in place of others: the UPDATE messages of the peer with their bytes, its
// KEEPALIVE and ROUTE-REFRESH messages that GoBGP did not get, the KEEPALIVE messages that GoBGP got of the relay, and those of GoBGP that the
// peer did not get.
type dropped struct{ messages, bytes, keepalives, refreshes, standIns, withheld uint64 }

func (d dropped) plus(o dropped) dropped {
	return dropped{
		messages: d.messages + o.messages, bytes: d.bytes + o.bytes, keepalives: d.keepalives + o.keepalives, refreshes: d.refreshes + o.refreshes,
		standIns: d.standIns + o.standIns, withheld: d.withheld + o.withheld,
	}
}

// bucket is a budget that fills with time. It reads no clock.
type bucket struct {
	most, perSecond, level float64
	last                   time.Time
}

func newBucket(now time.Time, most, perSecond float64) bucket {
	return bucket{most: most, perSecond: perSecond, level: most, last: now}
}

func (b *bucket) fill(now time.Time) {
	b.level = min(b.most, b.level+now.Sub(b.last).Seconds()*b.perSecond)
	b.last = now
}

// take spends n, also what is not there, and says how long it takes until the debt is paid.
func (b *bucket) take(now time.Time, n float64) time.Duration {
	b.fill(now)
	b.level -= n
	if b.level >= 0 {
		return 0
	}
	return time.Duration(-b.level / b.perSecond * float64(time.Second))
}

// one spends one if it is there.
func (b *bucket) one(now time.Time) bool {
	b.fill(now)
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

// traffic counts what a relay drops, and bounds how fast it reads and what it passes on. It reads no clock.
type traffic struct {
	lost dropped
	// reading is how many bytes may be read at once, keepalives how many KEEPALIVE messages may be passed on.
	reading, keepalives bucket
	// alive is when GoBGP last got something that keeps the session up, refreshed when GoBGP was or will be asked last for all routes of a
	// family.
	alive     time.Time
	refreshed map[wireFamily]time.Time
	// reported is when the parent was last told, and told of what.
	reported time.Time
	told     dropped
}

func newTraffic(now time.Time) traffic {
	return traffic{
		reading:    newBucket(now, readBurst, readPerSecond),
		keepalives: newBucket(now, keepaliveBurst, keepalivePerSecond),
		refreshed:  map[wireFamily]time.Time{},
	}
}

// read says how long to wait with the next message after one that was read.
func (t *traffic) read(now time.Time, size int) time.Duration {
	return t.reading.take(now, float64(size+readPerMessage))
}

// passed notes that GoBGP gets something that keeps the session up.
func (t *traffic) passed(now time.Time) { t.alive = now }

// keepalive says whether a KEEPALIVE is passed on, and counts one that is not.
func (t *traffic) keepalive(now time.Time) bool {
	if !t.keepalives.one(now) {
		t.lost.keepalives++
		return false
	}
	t.passed(now)
	return true
}

// drop counts an UPDATE that is dropped. GoBGP is to get a KEEPALIVE in its place now and then, since the hold timer starts anew with either
// (RFC 4271 8.2.2).
func (t *traffic) drop(now time.Time, size int) (standIn bool) {
	t.lost.messages++
	t.lost.bytes += uint64(size)
	if now.Sub(t.alive) < standInInterval {
		return false
	}
	t.standIn(now)
	return true
}

// standIn counts a KEEPALIVE that the relay says itself.
func (t *traffic) standIn(now time.Time) {
	t.passed(now)
	t.lost.standIns++
}

// refresh says whether a ROUTE-REFRESH is passed on, and after which wait; false for one whose answer is that to another one that still waits.
func (t *traffic) refresh(now time.Time, f wireFamily) (wait time.Duration, pass bool) {
	last := t.refreshed[f]
	if last.After(now) {
		t.lost.refreshes++
		return 0, false
	}
	wait = max(0, last.Add(refreshInterval).Sub(now))
	t.refreshed[f] = now.Add(wait)
	return wait, true
}

// reportDue says whether the parent is to be told what was dropped; the last time it is told whatever it was not told yet.
func (t *traffic) reportDue(now time.Time, last bool) bool {
	if t.lost == t.told || !last && now.Sub(t.reported) < reportInterval {
		return false
	}
	t.reported, t.told = now, t.lost
	return true
}

// count does something with the traffic, for several goroutines, and has the parent told at once or after a while of what it has changed.
func (p *passage) count(now time.Time, do func(*traffic)) {
	p.counting.Lock()
	defer p.counting.Unlock()
	do(&p.traffic)
	if p.traffic.lost == p.traffic.told {
		return
	}
	p.tellDropped(now, false)
	if p.late == nil {
		p.late = time.AfterFunc(reportInterval, func() { p.report(time.Now(), true) })
	}
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
	if p.traffic.reportDue(now, last) {
		p.say(levelDebug, textDropped, p.traffic.lost.fields())
	}
}

// fields are how the parent is told of what was dropped, and droppedOf is how it reads that.
func (d dropped) fields() map[string]string {
	out := map[string]string{}
	for name, n := range d.byName() {
		out[name] = strconv.FormatUint(*n, 10)
	}
	return out
}

func droppedOf(l line) dropped {
	var d dropped
	for name, n := range d.byName() {
		*n, _ = strconv.ParseUint(l.Fields[name], 10, 64) // the child writes numbers only
	}
	return d
}

func (d *dropped) byName() map[string]*uint64 {
	return map[string]*uint64{
		"Messages": &d.messages, "Bytes": &d.bytes, "Keepalives": &d.keepalives, "Refreshes": &d.refreshes, "StandIns": &d.standIns,
		"Withheld": &d.withheld,
	}
}
