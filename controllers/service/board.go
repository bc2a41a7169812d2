// SPDX-License-Identifier: Apache-2.0

package service

import (
	"reflect"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/allocation"
)

// board is where the one who decides leaves what the writers are to write. It is safe for concurrent use; what is on it are values.
type board struct {
	mu       sync.Mutex
	turn     uint64
	services map[allocation.Key]desired
	pools    map[string]poolReport
	reserved map[string]reservationReport
	summary  summary
	judged   bool
}

// summary is what the ConfigurationState says: a line for each part that is left out, and for each that does less than it says.
type summary struct{ problems, warnings []string }

// poolReport is what is to stand in the status of one pool.
type poolReport struct {
	counts  allocation.Counts
	problem *reason.Problem
	// note says what a valid pool has less than it says; nil when nothing.
	note *reason.Problem
	// uid and generation of the pool that was judged.
	uid        types.UID
	generation int64
}

// verdict is the content of the condition Valid of the pool, and what an event tells of it; nil for nothing.
func (r poolReport) verdict() (status metav1.ConditionStatus, why reason.Reason, told *reason.Problem) {
	switch {
	case r.problem != nil:
		return metav1.ConditionFalse, r.problem.Reason, r.problem
	case r.note != nil:
		return metav1.ConditionTrue, r.note.Reason, r.note
	}
	return metav1.ConditionTrue, reason.Valid, nil
}

func newBoard() *board {
	return &board{services: map[allocation.Key]desired{}, pools: map[string]poolReport{}, reserved: map[string]reservationReport{}}
}

func (b *board) postService(key allocation.Key, d desired) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn++
	d.turn, d.since = b.turn, time.Now()
	if was, ok := b.services[key]; ok && was.uid == d.uid && was.leaves == d.leaves && slices.Equal(was.decision.Addresses, d.decision.Addresses) {
		d.since = was.since
	}
	b.services[key] = d
}

func (b *board) service(key allocation.Key) (desired, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, ok := b.services[key]
	return d, ok
}

// anyTurn stands for whatever is posted.
const anyTurn = 0

// dropService takes a Service from the board, unless something else than what was posted at this turn is there by now.
func (b *board) dropService(key allocation.Key, turn uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if turn == anyTurn || b.services[key].turn == turn {
		delete(b.services, key)
	}
}

func (b *board) postPool(name string, counts allocation.Counts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if report, ok := b.pools[name]; ok {
		report.counts = counts
		b.pools[name] = report
	}
}

// postPolicy replaces what is said about all pools and about the configuration.
func (b *board) postPolicy(pools map[string]poolReport, s summary) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pools, b.summary, b.judged = pools, s, true
}

func (b *board) pool(name string) (poolReport, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	report, ok := b.pools[name]
	return report, ok
}

// configuration returns what is said about it; false until it was judged once.
func (b *board) configuration() (summary, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.summary, b.judged
}

// postReservation reports whether the report says anything new.
func (b *board) postReservation(name string, report reservationReport) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	was, ok := b.reserved[name]
	b.reserved[name] = report
	return !ok || !reflect.DeepEqual(was, report)
}

func (b *board) reservation(name string) (reservationReport, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	report, ok := b.reserved[name]
	return report, ok
}

func (b *board) dropReservation(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.reserved, name)
}
