// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
)

const (
	// probePeriod is how often an API server that is away is tried, probeTimeout how long it has to answer.
	probePeriod  = time.Second
	probeTimeout = 3 * time.Second
)

// reach waits until the API server answers, alive but not ready. An outage costs the leader its Lease and so its process; the next one
// would end as well and each of its successors start later, long after the API server is back.
func (o *options) reach(ctx context.Context, config *rest.Config, log logr.Logger) error {
	limited := rest.CopyConfig(config)
	limited.Timeout = probeTimeout
	client, err := discovery.NewDiscoveryClientForConfig(limited)
	if err != nil {
		return fmt.Errorf("connecting to the API server: %w", err)
	}
	answers := func(context.Context) (bool, error) {
		_, err := client.ServerVersion()
		var status apierrors.APIStatus
		return err == nil || errors.As(err, &status) && status.Status().Code < http.StatusInternalServerError, nil
	}
	if ok, _ := answers(ctx); ok {
		return nil
	}
	log.Info("API server does not answer, waiting for it")
	waiting, stop := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error {
		return o.ServeHealth(waiting, log, healthz.Ping, func(*http.Request) error { return errors.New("the API server does not answer") })
	})
	err = wait.PollUntilContextCancel(ctx, probePeriod, true, answers)
	stop()
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, group.Wait())
}
