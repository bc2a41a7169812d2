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

// outcomes remembers the last outcome of each target, so that an event is written when it changes and not at every reconciliation.
// The zero value is ready; its methods may be called from any goroutine.
type outcomes struct {
	mu   sync.Mutex
	last map[types.NamespacedName]outcome
}

// change stores the outcome and reports whether it differs from the one before.
func (o *outcomes) change(target types.NamespacedName, next outcome) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil {
		o.last = map[types.NamespacedName]outcome{}
	}
	if o.last[target] == next {
		return false
	}
	o.last[target] = next
	return true
}

// forget drops the outcome of a Service that is no target any more.
func (o *outcomes) forget(target types.NamespacedName) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.last, target)
}
