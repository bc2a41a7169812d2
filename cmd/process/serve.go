// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// shutdownTime bounds how long a server waits for its last answers.
const shutdownTime = 2 * time.Second

// ServeHealth serves /healthz and /readyz until the context ends, for a role that runs without a manager. A port that is taken is an
// error that names it.
func (o *Options) ServeHealth(ctx context.Context, log logr.Logger, alive, ready healthz.Checker) error {
	if o.HealthPort == 0 {
		<-ctx.Done()
		return nil
	}
	h := newHealth(log.WithName("health"))
	if err := errors.Join(h.alive.add("alive", alive), h.ready.add("ready", ready)); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.healthAddress())
	if err != nil {
		return fmt.Errorf("serving health: %w", err)
	}
	return serve(ctx, h.server(), listener)
}

// serve runs the server until the context ends and returns after its last request.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := server.Shutdown(bounded)
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		return served
	}
	return err
}

// ServeMetrics serves /metrics until the context ends, for a role that runs without a manager.
func (o *Options) ServeMetrics(ctx context.Context, config *rest.Config, log logr.Logger) error {
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("serving metrics: %w", err)
	}
	server, err := metricsserver.NewServer(o.ManagerOptions(nil, log).Metrics, config, httpClient)
	if err != nil {
		return fmt.Errorf("serving metrics: %w", err)
	}
	if server == nil {
		<-ctx.Done()
		return nil
	}
	if err := server.Start(ctx); err != nil {
		return fmt.Errorf("serving metrics on port %d: %w", o.MetricsPort, err)
	}
	return nil
}
