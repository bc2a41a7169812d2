// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"errors"
	"time"

	"metalsuite.io/api/reason"
)

// What failed is tried again after firstRetry, then after twice as long each time, up to longestRetry.
const (
	firstRetry   = 100 * time.Millisecond
	longestRetry = 5 * time.Second
)

type backoff struct{ next time.Duration }

func newBackoff() backoff { return backoff{next: firstRetry} }

// step returns how long to wait this time.
func (b *backoff) step() time.Duration {
	wait := b.next
	b.next = min(2*b.next, longestRetry)
	return wait
}

// pause waits, or until the context ends.
func (b *backoff) pause(ctx context.Context) {
	timer := time.NewTimer(b.step())
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// problemOf returns the problem that an error wraps, or one that has its words.
func problemOf(err error) *reason.Problem {
	if err == nil {
		return nil
	}
	var p *reason.Problem
	if errors.As(err, &p) {
		return p
	}
	return reason.New(reason.BFDNotAvailable, "%v", err)
}
