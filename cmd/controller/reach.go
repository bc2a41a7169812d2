// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"metalsuite.io/cmd/process"
)

const (
	// probePeriod is how often an API server that is away is tried, probeTimeout how long it has to answer.
	probePeriod  = time.Second
	probeTimeout = 3 * time.Second
)

// reach waits until the API server answers. A process that has never reached it is alive and not ready meanwhile; one that has been a
// candidate before stays ready, since it can do what it could before the outage: wait for the lead.
func (o *options) reach(ctx context.Context, config *rest.Config, log logr.Logger, health *process.Health, first bool) error {
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
	log.Info("API server does not answer, will retry")
	if first {
		health.SetAway(errors.New("the API server does not answer"))
		defer health.SetAway(nil)
	}
	if err := wait.PollUntilContextCancel(ctx, probePeriod, true, answers); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}
