// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

var (
	errNotLeading = errors.New("this process is not the leader")
	errLate       = errors.New("the Lease was not renewed in time")
	errLost       = errors.New("another process acquired the Lease after this one")
)

// Lease is the Lease as the election uses it, and beside that what this process knows of its own leadership: until when it may write.
// That is never longer than the renew deadline after the last successful renewal was SENT, so a process that was paused finds out by its
// own clock, before the election does. A successor waits for the whole duration of the Lease, which is longer.
//
// Leadership that another process has held since is over for good, even if the Lease is free again: what this process knows is stale.
// The election alone would renew a Lease that the successor has given back, and would give back one that a successor holds
// (client-go v0.37: leaderelection.tryRelease reads the Lease anew but not whose it is). It is safe for concurrent use.
type Lease struct {
	resourcelock.Interface
	deadline time.Duration
	now      func() time.Time
	// lost is told once, when another process was seen to hold the Lease since this one did.
	lost func()

	mu    sync.Mutex
	state state
	// led is set from when this process holds the Lease until it has given it back.
	led bool
	// renewed is when the last successful request for the Lease was sent.
	renewed time.Time
	// vacant is the Lease as it was before this process began to read the cluster, if nobody held it then; seen is the Lease as it was
	// read last.
	vacant, seen []byte
	// undisturbed is set when this process took the Lease as it was before it began to read.
	undisturbed bool
}

type state int

const (
	candidate state = iota
	leading
	over
)

// NewLease returns the Lease of a name, for a process that does not lead yet. Identity tells processes apart.
func NewLease(config *rest.Config, namespace, name, identity string, deadline time.Duration) (*Lease, error) {
	holder := resourcelock.ResourceLockConfig{Identity: identity}
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, namespace, name, holder, config, deadline)
	if err != nil {
		return nil, fmt.Errorf("preparing the Lease %s: %w", name, err)
	}
	return &Lease{Interface: lock, deadline: deadline, now: time.Now}, nil
}

// Identity returns a name for this process that no other one has.
func Identity() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("naming this process: %w", err)
	}
	return host + "_" + string(uuid.NewUUID()), nil
}

// MayWrite returns until when this process may write, or why it may not.
func (l *Lease) MayWrite() (time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.state == over:
		return time.Time{}, errLost
	case l.state == candidate:
		return time.Time{}, errNotLeading
	case elapsed(l.renewed, l.now()) >= l.deadline:
		return time.Time{}, errLate
	}
	return l.renewed.Add(l.deadline), nil
}

// elapsed is the longer of what the two clocks say: the monotonic one stands still while a machine is suspended, the other one may be
// set back.
func elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// Look reads the Lease before this process begins to read the cluster. It is an error of no account: what it would have found is looked
// for at more expense later.
func (l *Lease) Look(ctx context.Context) error {
	record, raw, err := l.Interface.Get(ctx)
	if err != nil {
		return fmt.Errorf("reading the Lease: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if record.HolderIdentity == "" {
		l.vacant = raw
	}
	return nil
}

// Undisturbed reports whether nobody has led since before this process began to read the cluster: its last leader had given the Lease back
// by then, after its last write, and this process has taken it as it was.
func (l *Lease) Undisturbed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.undisturbed
}

// Get reads the Lease and notices whether it is still this process's.
func (l *Lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err == nil && record.HolderIdentity != l.Identity() {
		l.superseded()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = raw
	return record, raw, err
}

// Create makes the Lease, with this process as its holder.
func (l *Lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.claim(record, func() error { return l.Interface.Create(ctx, record) })
}

// Update takes, renews or gives back the Lease. It fails for good once another process was seen to hold it since this one did.
func (l *Lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.claim(record, func() error { return l.Interface.Update(ctx, record) })
}

func (l *Lease) claim(record resourcelock.LeaderElectionRecord, send func() error) error {
	sent := l.now()
	gives := record.HolderIdentity != l.Identity()
	if err := l.begin(gives); err != nil {
		return err
	}
	if err := send(); err != nil {
		return err
	}
	if gives {
		l.given()
	} else {
		l.granted(sent)
	}
	return nil
}

// begin notes what is about to be asked for: who gives the Lease back does not write from then on.
func (l *Lease) begin(gives bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == over {
		return errLost
	}
	if gives {
		l.state = candidate
	}
	return nil
}

func (l *Lease) granted(sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == over {
		return
	}
	if !l.led {
		l.undisturbed = len(l.vacant) > 0 && bytes.Equal(l.vacant, l.seen)
	}
	l.state, l.led, l.renewed = leading, true, sent
}

func (l *Lease) given() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.led = false
}

// superseded ends the leadership of a process that leads or is giving the Lease back: when a successor was faster, the election reads
// the Lease anew and would empty the successor's.
func (l *Lease) superseded() {
	l.mu.Lock()
	first := l.led && l.state != over
	if first {
		l.state = over
	}
	l.mu.Unlock()
	if first && l.lost != nil {
		l.lost()
	}
}
