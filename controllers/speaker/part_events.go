// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/api/v1beta1"
)

// partMark begins the keys under which events about parts of the speaker are remembered. A Service's key does not have it.
const partMark = "part@"

// ofParts tells, on this node's ConfigurationState, of parts of the speaker that have not worked for a while. A node whose announcer does not
// work cannot announce for the same reason, which is told once. Problems of objects are told on the objects, by the controller. It returns
// after how long it wants to be asked again, zero for never.
func (e *events) ofParts(ctx context.Context, stateName string, parts []part) time.Duration {
	var now []event
	again := time.Duration(0)
	for i, p := range parts {
		if slices.ContainsFunc(parts[:i], func(q part) bool { return p.problem != nil && alike(p.problem, q.problem) }) {
			p.problem = nil
		}
		lasting, next := e.lasting(partMark+p.condition, p.problem, p.trouble)
		now, again = append(now, lasting...), soonest(again, next)
	}
	var state v1beta1.ConfigurationState
	if len(now) > 0 && e.reader.Get(ctx, types.NamespacedName{Namespace: e.namespace, Name: stateName}, &state) != nil {
		return soonest(again, repairAfter) // the object was just made and is not in the cache yet
	}
	for _, n := range e.swap(partMark, state.UID, now, nil) {
		e.recorder.Event(&state, n.kind, n.reason, n.message)
	}
	return again
}
