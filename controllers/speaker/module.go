// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/internal/kube"
)

// Delays between two runs of a module that ended with an error.
const (
	firstRestart   = time.Second
	longestRestart = 30 * time.Second
)

// module runs one announcer: a module that cannot work is tried again with back-off and costs the others nothing.
type module struct {
	announcers.Announcer
	log     logr.Logger
	clock   clock.Clock
	trigger kube.Trigger
	// failure is why the last run ended; nil while it works.
	failure atomic.Pointer[reason.Problem]
}

// run returns when the context ended and the announcer has stopped.
func (m *module) run(ctx context.Context) error {
	delay := firstRestart
	for {
		began := m.clock.Now()
		err := m.Run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		m.failed(err)
		if m.clock.Since(began) > longestRestart {
			delay = firstRestart
		}
		select {
		case <-ctx.Done():
			return nil
		case <-m.clock.After(delay):
		}
		delay = min(2*delay, longestRestart)
	}
}

func (m *module) failed(err error) {
	problem := reason.New(reason.AnnouncerNotRunning, "announcer %s stopped", m.Name())
	var known *reason.Problem
	switch {
	case errors.As(err, &known):
		problem = known
	case err != nil:
		problem.Detail += ": " + err.Error()
	}
	m.failure.Store(problem)
	m.log.Error(err, "Announcer stopped, will restart", "announcer", m.Name(), "reason", problem.Reason)
	m.trigger.Fire()
}

// forward fires the trigger whenever the announcer has something new to report.
func (m *module) forward(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.Changed():
			m.trigger.Fire()
		}
	}
}
