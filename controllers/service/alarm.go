// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// alarm asks the Reconciler to look again at the times that it is set to. A request that waits in the queue would not do: it is forgotten
// when the same one is asked for earlier. It is safe for concurrent use and never blocks.
type alarm struct {
	mu    sync.Mutex
	timer *time.Timer
	next  time.Time
	ring  chan event.TypedGenericEvent[Request]
}

func newAlarm() *alarm { return &alarm{ring: make(chan event.TypedGenericEvent[Request], 1)} }

// source is where the alarm rings.
func (a *alarm) source() source.TypedSource[Request] {
	return source.TypedChannel(a.ring, handler.TypedFuncs[Request, Request]{
		GenericFunc: func(_ context.Context, e event.TypedGenericEvent[Request], q workqueue.TypedRateLimitingInterface[Request]) {
			q.Add(e.Object)
		},
	})
}

// set makes the alarm ring at a time, or earlier if it is set to an earlier one already. Whoever hears it sets it again.
func (a *alarm) set(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.next.IsZero() && !at.Before(a.next) {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	a.next, a.timer = at, time.AfterFunc(max(time.Until(at), 0), a.fire)
}

func (a *alarm) fire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next = time.Time{}
	select {
	case a.ring <- event.TypedGenericEvent[Request]{Object: lookAgain}:
	default: // it has rung, and nobody has heard it yet
	}
}
