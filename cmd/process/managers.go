// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// againAfter is how long a process waits until it builds the next manager.
const againAfter = time.Second

// Managers runs managers, one after the other, until the context ends. Each is built with all that belongs to it, so nothing that one of them
// knew or had queued reaches the next. An error of the first build is a mistake in flags and ends the process. A manager that ends before the
// context does, since its lead is lost or the API server was away, is followed by another one: a process that ended instead would be
// started later and later (Kubernetes: CrashLoopBackOff).
func Managers(ctx context.Context, log logr.Logger, build func(context.Context) (run func(context.Context) error, err error)) error {
	run, err := build(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	for {
		if err := run(ctx); ctx.Err() != nil {
			return err
		} else {
			log.Info("Manager stopped, a new one is started", "error", errorText(err))
		}
		if run = again(ctx, log, build); run == nil {
			return nil
		}
	}
}

// again builds a manager after one has ended, once a second until that succeeds; nil when the context ended before.
func again(ctx context.Context, log logr.Logger, build func(context.Context) (func(context.Context) error, error)) func(context.Context) error {
	ticks := time.NewTicker(againAfter)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
		run, err := build(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			return run
		}
		log.Error(err, "Starting the manager failed, will retry")
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Health is what a process whose managers come and go says of itself: it is alive, and ready unless a check of the present manager or the
// process itself says otherwise. Its zero value is ready. It is safe for concurrent use.
type Health struct {
	mu     sync.Mutex
	away   error
	checks map[string]healthz.Checker
}

// Ready is the check of /readyz.
func (h *Health) Ready(request *http.Request) error {
	h.mu.Lock()
	away, checks := h.away, h.checks
	h.mu.Unlock()
	errs := []error{away}
	for _, check := range checks {
		errs = append(errs, check(request))
	}
	return errors.Join(errs...)
}

// SetAway makes the process not ready for a reason; nil ends that.
func (h *Health) SetAway(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = why
}

// Of returns the manager with its checks here, in the place of those of an earlier one.
func (h *Health) Of(mgr manager.Manager) manager.Manager {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = nil
	return checked{Manager: mgr, health: h}
}

// checked is a manager whose checks are served by the process.
type checked struct {
	manager.Manager
	health *Health
}

// AddReadyzCheck is part of manager.Manager. Checks are added before the manager starts.
func (c checked) AddReadyzCheck(name string, check healthz.Checker) error {
	c.health.mu.Lock()
	defer c.health.mu.Unlock()
	next := maps.Clone(c.health.checks)
	if next == nil {
		next = map[string]healthz.Checker{}
	}
	next[name] = check
	c.health.checks = next
	return nil
}

// Unserved makes a manager with these options serve neither health nor metrics: the process does, see Serve.
func Unserved(o *ctrl.Options) {
	o.HealthProbeBindAddress, o.Metrics = "0", metricsserver.Options{BindAddress: "0"}
}

// Serve serves health and metrics while run runs, and ends with it. A port that is taken ends run as well.
func (o *Options) Serve(ctx context.Context, config *rest.Config, log logr.Logger, health *Health, run func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return o.ServeHealth(ctx, log, healthz.Ping, health.Ready) })
	group.Go(func() error { return o.ServeMetrics(ctx, config, log) })
	group.Go(func() error { defer stop(); return run(ctx) })
	return group.Wait()
}
