// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"net/http"
	"time"
)

// Whoever reaches the port may ask, so what asking can cost is bounded.
const (
	// judgedAtOnce is how many requests are looked at at the same time. Each reads the objects of the suite and compiles them twice.
	judgedAtOnce = 4
	// readAtOnce is how many requests may be in memory at the same time. Each is at most 7 MiB (controller-runtime's maxRequestSize).
	readAtOnce = 8
	// queueTime is how long a request waits for its turn.
	queueTime = time.Second
)

// turns are a number of places, each for one request at a time.
type turns struct {
	places chan struct{}
	// patience is how long a request waits for a place.
	patience time.Duration
}

func newTurns(places int) turns {
	return turns{places: make(chan struct{}, places), patience: queueTime}
}

// take waits for a place, which the caller gives back by leave. It returns false when there was none in time.
func (t turns) take(ctx context.Context) bool {
	select {
	case t.places <- struct{}{}:
		return true
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, t.patience)
	defer cancel()
	select {
	case t.places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (t turns) leave() { <-t.places }

// bounded bounds how many requests are in memory, and how long each may take from its first byte to its answer. Who finds no place is
// sent away, which the API server takes as it takes no answer.
type bounded struct {
	next  http.Handler
	turns turns
	limit time.Duration
}

// ServeHTTP implements http.Handler.
func (b bounded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), b.limit)
	defer cancel()
	if !b.turns.take(ctx) {
		http.Error(w, "too many concurrent requests", http.StatusServiceUnavailable)
		return
	}
	defer b.turns.leave()
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(b.limit)); err != nil {
		http.Error(w, "setting a read deadline failed: "+err.Error(), http.StatusInternalServerError)
		return
	}
	b.next.ServeHTTP(w, r.WithContext(ctx))
}
