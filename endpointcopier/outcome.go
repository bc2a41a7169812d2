// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/api/reason"
)

// outcome is what a user hears about a target: a type of event, a reason and a message.
type outcome struct {
	kind    string
	reason  reason.Reason
	message string
}

func normal(p *reason.Problem) outcome {
	return outcome{kind: corev1.EventTypeNormal, reason: p.Reason, message: p.Message()}
}

func warning(p *reason.Problem) outcome {
	return outcome{kind: corev1.EventTypeWarning, reason: p.Reason, message: p.Message()}
}

// outcomes remembers the last outcome of each target, so that an event is written when it changes and not at every reconciliation. A Service
// that was deleted and created again under its name has had no outcome yet.
//
// The zero value is ready; its methods may be called from any goroutine.
type outcomes struct {
	mu   sync.Mutex
	last map[types.NamespacedName]lastOutcome
}

// lastOutcome is the last outcome of the Service with a UID.
type lastOutcome struct {
	uid types.UID
	outcome
}

// change stores the outcome of a Service and reports whether it differs from the one before.
func (o *outcomes) change(target types.NamespacedName, uid types.UID, next outcome) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil {
		o.last = map[types.NamespacedName]lastOutcome{}
	}
	now := lastOutcome{uid, next}
	if o.last[target] == now {
		return false
	}
	o.last[target] = now
	return true
}

// forget drops the outcome of a Service that is no target any more.
func (o *outcomes) forget(target types.NamespacedName) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.last, target)
}
