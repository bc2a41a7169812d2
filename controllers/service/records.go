// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/kube"
)

// record is one of our Services as last seen, and what was decided on it.
type record struct {
	// uid tells the Service from an earlier one of its name.
	uid        types.UID
	service    allocation.Service
	generation int64
	// since is when the Service got its addresses, created when it was made: who has waited or held longer goes first.
	since, created time.Time
	// speaks is set when the Service's condition says that it has the addresses that its status names, as only a controller of ours
	// writes it.
	speaks   bool
	decision allocation.Decision
	// conflict is what the Service is told beside the decision.
	conflict verdictOnConflict
	// issued are the addresses that this process gave the Service lately. What was written is heard later, when something else may have
	// been decided and again the first, so the status may name any of them at any time.
	issued []netip.Addr
	posted bool
}

// waits reports whether a Service could do with more than it has, or with another address than one that no node can announce.
func (r record) waits() bool {
	return r.decision.AwaitsReplacement || len(r.decision.Addresses) < max(1, len(r.service.Families))
}

func (r record) seniority() kube.Seniority {
	return kube.Seniority{Since: r.since, Created: r.created, Key: r.service.Key}
}

// note remembers a Service of ours as it is now.
func (r *Reconciler) note(s *corev1.Service) {
	rec := r.records[keyOf(s)]
	rec.uid = s.UID
	rec.service, rec.generation, rec.created = observe(s), s.Generation, s.CreationTimestamp.Time
	rec.since, rec.speaks = kube.SeniorityOf(s).Since, speaksOf(s, rec.service)
	if !r.loaded.Load() {
		rec.issued = rec.service.Current // what is found at the start is what we begin with, whoever wrote it
	}
	r.records[keyOf(s)] = rec
}

// remember keeps what was decided on a Service; it reports whether that is anything new.
func (r *Reconciler) remember(key allocation.Key, rec record, d allocation.Decision) (fresh bool) {
	conflict := r.conflicts.verdict(d.Addresses)
	fresh = !rec.posted || !sameDecision(rec.decision, d) || rec.conflict != conflict
	rec.decision, rec.conflict, rec.posted = d, conflict, true
	rec.issued = lately(rec.issued, d.Addresses)
	r.records[key] = rec
	if rec.waits() {
		r.waiting[key] = struct{}{}
	} else {
		delete(r.waiting, key)
	}
	return fresh
}

// manyIssued is how many addresses are remembered as issued: more than a Service gets in the time that news take.
const manyIssued = 16

// lately returns what was issued with more, the latest last.
func lately(issued, more []netip.Addr) []netip.Addr {
	if n := len(issued) - len(more); n >= 0 && slices.Equal(issued[n:], more) {
		return issued
	}
	issued = append(without(issued, more), more...)
	return issued[max(0, len(issued)-manyIssued):]
}

func sameDecision(x, y allocation.Decision) bool {
	sameProblem := x.Problem == y.Problem || x.Problem != nil && y.Problem != nil && *x.Problem == *y.Problem
	return sameProblem && x.Pool == y.Pool && slices.Equal(x.Addresses, y.Addresses)
}

// inOrder sorts keys of records: holders before those that wait, then by how long, then by age and name.
func (r *Reconciler) inOrder(keys []allocation.Key) []allocation.Key {
	slices.SortFunc(keys, func(x, y allocation.Key) int { return earlier(r.records[x], r.records[y]) })
	return keys
}

func earlier(x, y record) int {
	return cmp.Or(
		cmp.Compare(bit(len(x.service.Current) == 0), bit(len(y.service.Current) == 0)),
		x.seniority().Compare(y.seniority()),
	)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
