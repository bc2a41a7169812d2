// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// paper is a Lease in memory that answers with the next error, if any.
type paper struct {
	resourcelock.Interface
	holder string
	turn   int
	err    error
	sent   func()
}

func (p *paper) Identity() string { return "me" }

func (p *paper) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	return &resourcelock.LeaderElectionRecord{HolderIdentity: p.holder}, fmt.Appendf(nil, "%s, turn %d", p.holder, p.turn), p.err
}

func (p *paper) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return p.Update(ctx, r)
}

func (p *paper) Update(_ context.Context, r resourcelock.LeaderElectionRecord) error {
	if p.sent != nil {
		p.sent()
	}
	if p.err == nil {
		p.holder = r.HolderIdentity
		p.turn++
	}
	return p.err
}

// actor is a Lease with a clock that the test moves.
type actor struct {
	*Lease
	*testing.T
	lease *paper
	at    time.Time
	ended int
}

func start(t *testing.T) *actor {
	p := &actor{T: t, lease: &paper{}, at: time.Now()}
	p.Lease = &Lease{Interface: p.lease, deadline: 3 * time.Second, now: func() time.Time { return p.at }, lost: func() { p.ended++ }}
	return p
}

func (p *actor) claims(holder string) error {
	return p.Lease.Update(p.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: holder})
}

func (p *actor) reads() {
	if _, _, err := p.Lease.Get(p.Context()); err != nil {
		p.Error(err)
	}
}

// wants checks for how long the process may write, or why it may not.
func (p *actor) wants(left time.Duration, why error) {
	p.Helper()
	until, err := p.MayWrite()
	if !errors.Is(err, why) || err == nil && until.Sub(p.at) != left {
		p.Errorf("may write for %v (%v), want %v (%v)", until.Sub(p.at), err, left, why)
	}
}

var errConflict = errors.New("the object has been modified")

func TestLease(t *testing.T) {
	const second = time.Second
	for name, story := range map[string]func(*actor){
		"a candidate does not write": func(p *actor) {
			p.lease.holder = "other"
			p.reads()
			p.wants(0, errNotLeading)
		},
		"a leader writes until the renew deadline": func(p *actor) {
			_ = p.claims("me")
			p.at = p.at.Add(2 * second)
			p.wants(second, nil)
			p.at = p.at.Add(second)
			p.wants(0, errLate)
		},
		"it counts when the renewal was sent, not when it was answered": func(p *actor) {
			p.lease.sent = func() { p.at = p.at.Add(10 * second) } // paused with the answer on its way
			_ = p.claims("me")
			p.wants(0, errLate)
		},
		"a renewal that failed does not count": func(p *actor) {
			_ = p.claims("me")
			p.at = p.at.Add(2 * second)
			p.lease.err = errors.New("timeout")
			_ = p.claims("me")
			p.wants(second, nil)
		},
		"a suspended machine shows on the wall clock only": func(p *actor) {
			_ = p.claims("me")
			p.at = p.at.Round(0).Add(3 * second)
			p.wants(0, errLate)
		},
		"a clock that was set back does not prolong anything": func(p *actor) {
			_ = p.claims("me")
			if elapsed(p.at, p.at.Add(4*second)) != 4*second || elapsed(p.at.Round(0), p.at.Round(0).Add(-second)) != -second {
				p.Error("the longer one counts")
			}
		},
		"it goes on when nobody else led meanwhile": func(p *actor) {
			_ = p.claims("me")
			p.at = p.at.Add(10 * second)
			p.reads()
			_ = p.claims("me")
			p.wants(3*second, nil)
		},
		"nothing is written once the Lease is being given back": func(p *actor) {
			_ = p.claims("me")
			p.lease.sent = func() { p.wants(0, errNotLeading) }
			if err := p.claims(""); err != nil || p.lease.holder != "" {
				p.Errorf("giving back: %v, held by %q", err, p.lease.holder)
			}
			p.reads()
			p.wants(0, errNotLeading)
		},
		"a Lease that another one holds is not given back": func(p *actor) {
			_ = p.claims("me")
			p.lease.holder = "other"
			p.reads()
			if err := p.claims(""); !errors.Is(err, errLost) || p.lease.holder != "other" || p.ended != 1 {
				p.Errorf("giving back: %v, held by %q, told %d times", err, p.lease.holder, p.ended)
			}
			p.wants(0, errLost)
		},
		"a Lease that another one took while it was given back stays with that one": func(p *actor) {
			_ = p.claims("me")
			p.lease.err, p.lease.sent = errConflict, func() { p.lease.holder = "other" }
			if err := p.claims(""); !errors.Is(err, errConflict) {
				p.Errorf("giving back: %v", err)
			}
			p.lease.err, p.lease.sent = nil, nil
			p.reads()
			if err := p.claims(""); !errors.Is(err, errLost) || p.lease.holder != "other" || p.ended != 1 {
				p.Errorf("giving back again: %v, held by %q, told %d times", err, p.lease.holder, p.ended)
			}
		},
		"a Lease whose renewal crossed with giving it back is given back after all": func(p *actor) {
			_ = p.claims("me")
			p.lease.err = errConflict
			_ = p.claims("")
			p.lease.err = nil
			p.reads()
			if err := p.claims(""); err != nil || p.lease.holder != "" || p.ended != 0 {
				p.Errorf("giving back again: %v, held by %q, told %d times", err, p.lease.holder, p.ended)
			}
		},
		"a Lease that another one has held is not renewed": func(p *actor) {
			_ = p.claims("me")
			p.lease.holder = ""
			p.reads()
			p.reads()
			if err := p.claims("me"); !errors.Is(err, errLost) || p.lease.holder != "" || p.ended != 1 {
				p.Errorf("renewing: %v, held by %q, told %d times", err, p.lease.holder, p.ended)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { story(start(t)) })
	}
}

func TestUndisturbed(t *testing.T) {
	others := func(p *actor, holder string) { p.lease.holder, p.lease.turn = holder, p.lease.turn+1 }
	for name, row := range map[string]struct {
		want  bool
		story func(*actor)
	}{
		"the Lease was free and is taken as it was": {true, func(p *actor) {}},
		"and is renewed": {true, func(p *actor) {
			p.reads()
			if err := p.claims("me"); err != nil {
				p.Error(err)
			}
		}},
		"another one held it in between": {false, func(p *actor) { others(p, "other"); others(p, "") }},
		"another one holds it at first":  {false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t)
			if row.story == nil {
				others(p, "other")
			}
			if err := p.Look(t.Context()); err != nil {
				t.Fatal(err)
			}
			if row.story != nil {
				row.story(p)
			} else {
				others(p, "")
			}
			if p.Undisturbed() && p.lease.holder != "me" {
				t.Error("undisturbed before it leads")
			}
			p.reads()
			if err := p.claims("me"); err != nil {
				t.Fatal(err)
			}
			if got := p.Undisturbed(); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
	p := start(t)
	p.lease.err = errConflict
	if err := p.Look(t.Context()); err == nil {
		t.Error("a Lease that cannot be read is no free one")
	}
}
