// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
)

const (
	// lookForServiceCIDRs is how often a cluster that shows no ServiceCIDRs is asked again: it may have been upgraded, or the role given the
	// right to read them.
	lookForServiceCIDRs = 10 * time.Minute
	// firstCIDRs is how long the first list may take; a list that has failed once is waited for less, since each pass waits.
	firstCIDRs, furtherCIDRs = 10 * time.Second, 100 * time.Millisecond
)

// serviceCIDRs reads the ServiceCIDR objects, which Kubernetes serves since version 1.33. Allocation works without them, so they never hold it
// up. It belongs to the one worker of the Reconciler.
type serviceCIDRs struct {
	mapper meta.RESTMapper
	// live shows whether they may be read: the cache would wait for the right to do so.
	live, cached client.Reader
	// watch asks for everything when they change; it is called once, before they are read from the cache.
	watch   func() error
	now     func() time.Time
	watched bool
	// patience is how long a list from the cache may take; zero is as long as the first.
	patience time.Duration
	// last is what was found when the API server was asked last.
	last cidrs
}

// cidrs are the ServiceCIDRs that could be read.
type cidrs struct {
	items []networkingv1.ServiceCIDR
	// problem says why none could be read although there may be some; nil when all were.
	problem *reason.Problem
	// again is when to ask again; zero when changes are heard of.
	again time.Time
}

// list returns none where the API server does not serve the kind, and where they cannot be read.
func (c *serviceCIDRs) list(ctx context.Context) (cidrs, error) {
	if !c.watched {
		if c.now().Before(c.last.again) {
			return c.last, nil
		}
		readable, problem, err := c.readable(ctx)
		if err != nil {
			return cidrs{}, err
		}
		if !readable {
			c.last = cidrs{problem: problem, again: c.now().Add(lookForServiceCIDRs)}
			return c.last, nil
		}
		if err := c.watch(); err != nil {
			return cidrs{}, fmt.Errorf("watching ServiceCIDRs: %w", err)
		}
		c.watched = true
	}
	return c.fromCache(ctx)
}

// readable reports whether the API server serves the kind and lets this role list it, and if not why the user has to know.
func (c *serviceCIDRs) readable(ctx context.Context) (bool, *reason.Problem, error) {
	kind := networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR")
	_, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	switch {
	case meta.IsNoMatchError(err):
		return false, nil, nil
	case err != nil:
		return false, nil, fmt.Errorf("checking whether the API server has ServiceCIDRs: %w", err)
	}
	var one networkingv1.ServiceCIDRList
	err = c.live.List(ctx, &one, client.Limit(1))
	switch {
	case apierrors.IsForbidden(err):
		return false, reason.New(reason.ServiceCIDRsUnknown, "the controller may not list ServiceCIDRs, so that instead of their ranges only the cluster IPs of existing Services are withheld from pools: %v", err), nil
	case err != nil:
		return false, nil, fmt.Errorf("listing a ServiceCIDR: %w", err)
	}
	return true, nil, nil
}

// fromCache returns a problem instead of waiting for a cache that does not fill. Once it fills, the watch asks for everything.
func (c *serviceCIDRs) fromCache(ctx context.Context) (cidrs, error) {
	if c.patience == 0 {
		c.patience = firstCIDRs
	}
	bounded, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	var list networkingv1.ServiceCIDRList
	err := c.cached.List(bounded, &list)
	switch {
	case err == nil:
		return cidrs{items: list.Items}, nil
	case bounded.Err() != nil && ctx.Err() == nil:
		c.patience = furtherCIDRs
		return cidrs{problem: reason.New(reason.ServiceCIDRsUnknown, "ServiceCIDRs could not be listed within %s, so that instead of their ranges only the cluster IPs of existing Services are withheld from pools", firstCIDRs)}, nil
	}
	return cidrs{}, fmt.Errorf("listing ServiceCIDRs: %w", err)
}

func sameCIDRs(x, y *networkingv1.ServiceCIDR) bool { return slices.Equal(x.Spec.CIDRs, y.Spec.CIDRs) }
