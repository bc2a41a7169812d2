// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

func TestManagersFollowOneAnother(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	built, running := 0, 0
	build := func(context.Context) (func(context.Context) error, error) {
		if built++; built == 2 {
			return nil, errors.New("the API server is away")
		}
		number := built
		return func(context.Context) error {
			if running++; running != 1 {
				t.Errorf("%d managers at once", running)
			}
			defer func() { running-- }()
			if number == 3 {
				cancel()
				return nil
			}
			return errLate
		}, nil
	}
	if err := Managers(ctx, logr.Discard(), build); err != nil || built != 3 {
		t.Errorf("%d builds: %v", built, err)
	}
}

func TestTheFirstManagerThatCannotBeBuiltEndsTheProcess(t *testing.T) {
	mistake := errors.New("a mistake in the flags")
	err := Managers(t.Context(), logr.Discard(), func(context.Context) (func(context.Context) error, error) { return nil, mistake })
	if !errors.Is(err, mistake) {
		t.Errorf("got %v", err)
	}
}

func TestHealthIsThatOfThePresentManager(t *testing.T) {
	var h Health
	failing := func(*http.Request) error { return errors.New("not loaded") }
	if err := h.Of(nil).AddReadyzCheck("loaded", failing); err != nil || h.Ready(nil) == nil {
		t.Errorf("ready although a check fails: %v", err)
	}
	h.Of(nil)
	if err := h.Ready(nil); err != nil {
		t.Errorf("the check of the former manager counts: %v", err)
	}
	h.SetAway(errors.New("away"))
	if h.Ready(nil) == nil {
		t.Error("ready although the process says it is not")
	}
	h.SetAway(nil)
	if err := h.Ready(nil); err != nil {
		t.Error(err)
	}
}

func TestTheLocalLockIsFreeOnceOpened(t *testing.T) {
	l := newLocalLock("me")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := l.Get(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("before it is opened: %v", err)
	}
	select {
	case <-l.wanted:
	default:
		t.Error("nobody hears that it is wanted")
	}
	l.open()
	l.open()
	if record, _, err := l.Get(t.Context()); err != nil || record.HolderIdentity != "" {
		t.Errorf("opened: %v, held by %q", err, record.HolderIdentity)
	}
	if err := l.Create(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "me"}); err != nil {
		t.Error(err)
	}
	if record, _, _ := l.Get(t.Context()); record.HolderIdentity != "me" {
		t.Errorf("held by %q", record.HolderIdentity)
	}
}
