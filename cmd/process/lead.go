// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// LeaseTimes are how leadership is timed: how long it lasts without a renewal, how long the leader tries to renew it, how often everybody
// tries. A leader that was killed keeps its successor waiting for as long as the Lease lasts, one that ended gives it back.
type LeaseTimes struct{ Duration, Renew, Retry time.Duration }

// Election is the Lease for which the managers of a process stand as candidates, one after the other.
type Election struct {
	Config          *rest.Config
	Namespace, Name string
	// Identity is the same for all managers of the process: one that follows another need not wait until the Lease expires.
	Identity string
	Times    LeaseTimes
}

// Lead is the leadership of one manager, which ends with the first loss of the Lease: the next lead is another manager's, which knows nothing
// of this one.
//
// The election runs beside the manager and not in it, since a manager that loses its own election returns while its goroutines still run
// (controller-runtime v0.25: OnStoppedLeading skips the graceful shutdown). Here the loss ends the context of the manager, which joins them.
// For the manager's own election there is a lock in memory, which is free once the Lease is held and is never lost.
type Lead struct {
	*Lease
	times LeaseTimes
	name  string
	local *localLock
}

// New returns the next lead.
func (e Election) New() (*Lead, error) {
	lease, err := NewLease(e.Config, e.Namespace, e.Name, e.Identity, e.Times.Renew)
	if err != nil {
		return nil, err
	}
	return &Lead{Lease: lease, times: e.Times, name: e.Name, local: newLocalLock(e.Identity)}, nil
}

// Apply makes a manager with these options wait for the lead, and join all of its goroutines however it ends.
func (l *Lead) Apply(o *ctrl.Options) {
	o.LeaderElection, o.LeaderElectionResourceLockInterface = true, l.local
	// The lock in memory is never lost, so it need not be renewed: a process that stands still for some time loses the Lease and nothing else.
	o.LeaseDuration, o.RenewDeadline, o.RetryPeriod = ptr.To(72*time.Hour), ptr.To(48*time.Hour), ptr.To(24*time.Hour)
	o.GracefulShutdownTimeout = ptr.To(time.Duration(-1))
}

// Run runs the manager and, from when it is ready to lead, the election. It returns when both have ended and no goroutine of the manager is
// left: after the context has ended, after the lead is lost, which is an error, or with the error of the manager. The Lease is given back
// after the manager has ended.
func (l *Lead) Run(ctx context.Context, mgr manager.Manager) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	l.lost = func() { end(errLost) }
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: l.Lease, Name: l.name, ReleaseOnCancel: true,
		LeaseDuration: l.times.Duration, RenewDeadline: l.times.Renew, RetryPeriod: l.times.Retry,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { l.local.open() },
			OnStoppedLeading: func() { end(errLate) },
		},
	})
	if err != nil {
		return fmt.Errorf("preparing the leader election: %w", err)
	}
	electing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var group sync.WaitGroup
	group.Go(func() {
		select {
		case <-l.local.wanted:
			elector.Run(electing)
		case <-electing.Done():
		}
	})
	err = mgr.Start(ctx)
	cause := context.Cause(ctx)
	stop()
	group.Wait()
	if errors.Is(cause, errLost) || errors.Is(cause, errLate) {
		return errors.Join(cause, err)
	}
	return err
}

// localLock is a lock in memory that nobody else wants. It is safe for concurrent use.
type localLock struct {
	identity string
	// wanted is closed when the manager asks for the lock first, free when it may have it.
	wanted, free chan struct{}
	ask, opening sync.Once

	mu     sync.Mutex
	record resourcelock.LeaderElectionRecord
}

func newLocalLock(identity string) *localLock {
	return &localLock{identity: identity, wanted: make(chan struct{}), free: make(chan struct{})}
}

func (l *localLock) open() { l.opening.Do(func() { close(l.free) }) }

// Get returns once the lock is free.
func (l *localLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	l.ask.Do(func() { close(l.wanted) })
	select {
	case <-l.free:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	record := l.record
	raw, err := json.Marshal(record)
	return &record, raw, err
}

// Create is Update.
func (l *localLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.Update(ctx, record)
}

// Update notes the record.
func (l *localLock) Update(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record = record
	return nil
}

// RecordEvent records nothing: the Lease tells who leads.
func (l *localLock) RecordEvent(string) {}

// Identity is that of the process.
func (l *localLock) Identity() string { return l.identity }

// Describe names the lock in logs.
func (l *localLock) Describe() string { return "in memory" }
