// SPDX-License-Identifier: Apache-2.0

package controller

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
	errNotLeading = errors.New("this process does not lead")
	errLate       = errors.New("the Lease was not renewed in time")
	errLost       = errors.New("another controller has held the Lease since this one did")
)

// tenure is the Lease as the election uses it, and beside that what this process knows of its own leadership: until when it may write.
// That is never longer than the renew deadline after the last successful renewal was SENT, so a process that was paused finds out by its
// own clock, before the election does. A successor waits for the whole duration of the Lease, which is longer.
//
// Leadership that another process has held since is over for good, even if the Lease is free again: what this process knows is stale.
// The election alone would renew a Lease that the successor has given back, and would give back one that a successor holds
// (client-go v0.37: leaderelection.tryRelease reads the Lease anew but not whose it is). It is safe for concurrent use.
type tenure struct {
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

// newTenure returns the Lease of a process that does not lead yet.
func newTenure(config *rest.Config, namespace string, deadline time.Duration, lost func()) (*tenure, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("naming this process: %w", err)
	}
	identity := resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())}
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, namespace, leaderElectionID, identity, config, deadline)
	if err != nil {
		return nil, fmt.Errorf("preparing the Lease %s: %w", leaderElectionID, err)
	}
	return &tenure{Interface: lock, deadline: deadline, now: time.Now, lost: lost}, nil
}

// MayWrite returns until when this process may write, or why it may not.
func (t *tenure) MayWrite() (time.Time, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.state == over:
		return time.Time{}, errLost
	case t.state == candidate:
		return time.Time{}, errNotLeading
	case elapsed(t.renewed, t.now()) >= t.deadline:
		return time.Time{}, errLate
	}
	return t.renewed.Add(t.deadline), nil
}

// elapsed is the longer of what the two clocks say: the monotonic one stands still while a machine is suspended, the other one may be
// set back.
func elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// Look reads the Lease before this process begins to read the cluster. It is an error of no account: what it would have found is looked
// for at more expense later.
func (t *tenure) Look(ctx context.Context) error {
	record, raw, err := t.Interface.Get(ctx)
	if err != nil {
		return fmt.Errorf("looking at the Lease: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if record.HolderIdentity == "" {
		t.vacant = raw
	}
	return nil
}

// Undisturbed reports whether nobody has led since before this process began to read the cluster: its last leader had given the Lease back
// by then, after its last write, and this process has taken it as it was.
func (t *tenure) Undisturbed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.undisturbed
}

// Get reads the Lease and notices whether it is still this process's.
func (t *tenure) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := t.Interface.Get(ctx)
	if err == nil && record.HolderIdentity != t.Identity() {
		t.superseded()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen = raw
	return record, raw, err
}

// Create makes the Lease, with this process as its holder.
func (t *tenure) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return t.claim(record, func() error { return t.Interface.Create(ctx, record) })
}

// Update takes, renews or gives back the Lease. It fails for good once another process was seen to hold it since this one did.
func (t *tenure) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return t.claim(record, func() error { return t.Interface.Update(ctx, record) })
}

func (t *tenure) claim(record resourcelock.LeaderElectionRecord, send func() error) error {
	sent := t.now()
	gives := record.HolderIdentity != t.Identity()
	if err := t.begin(gives); err != nil {
		return err
	}
	if err := send(); err != nil {
		return err
	}
	if gives {
		t.given()
	} else {
		t.granted(sent)
	}
	return nil
}

// begin notes what is about to be asked for: who gives the Lease back does not write from then on.
func (t *tenure) begin(gives bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == over {
		return errLost
	}
	if gives {
		t.state = candidate
	}
	return nil
}

func (t *tenure) granted(sent time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == over {
		return
	}
	if !t.led {
		t.undisturbed = len(t.vacant) > 0 && bytes.Equal(t.vacant, t.seen)
	}
	t.state, t.led, t.renewed = leading, true, sent
}

func (t *tenure) given() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.led = false
}

// superseded ends the leadership of a process that leads or is giving the Lease back: when a successor was faster, the election reads
// the Lease anew and would empty the successor's.
func (t *tenure) superseded() {
	t.mu.Lock()
	first := t.led && t.state != over
	if first {
		t.state = over
	}
	t.mu.Unlock()
	if first && t.lost != nil {
		t.lost()
	}
}
