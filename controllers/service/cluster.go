// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/policy"
)

// cluster returns the objects that show which addresses the cluster uses itself.
func (in inputs) cluster() policy.Cluster {
	return policy.Cluster{Nodes: in.nodes, APIServers: in.apiServers, ServiceCIDRs: in.serviceCIDRs}
}

// withheld returns the addresses that Services are not granted. Of entries on one address the first counts.
func (in inputs) withheld() []allocation.Withheld {
	return append(in.cluster().Withheld(), policy.SubnetEdges(in.pools, in.nodes)...)
}

// ranges returns the addresses of which a pool is better without: those from which cluster IPs and addresses of pods are taken, and, where no
// object shows the former, the cluster IPs that there are.
func (in inputs) ranges() []allocation.Withheld {
	list := in.cluster().Ranges()
	if len(in.serviceCIDRs) > 0 {
		return list
	}
	return append(list, policy.ClusterIPRanges(in.services)...)
}

// clusterIPs keeps the cluster IPs of a Service from being granted; nil is a Service that is gone. It returns the addresses of pools that are
// cluster IPs now and were none, or the other way round.
func (r *Reconciler) clusterIPs(key allocation.Key, s *corev1.Service) []netip.Addr {
	if s == nil {
		return r.allocator.SetClusterIPs(key, nil)
	}
	return r.allocator.SetClusterIPs(key, policy.ClusterIPs(s))
}

// lookForServiceCIDRs is how often a cluster that has none is asked again: it may have been upgraded.
const lookForServiceCIDRs = 10 * time.Minute

// serviceCIDRs reads the ServiceCIDR objects, which Kubernetes serves since version 1.33. It belongs to the one worker of the Reconciler.
type serviceCIDRs struct {
	mapper meta.RESTMapper
	cached client.Reader
	// watch asks for everything when they change; it is called once, before they are read.
	watch   func() error
	now     func() time.Time
	watched bool
	asked   time.Time
}

// list returns none where the API server does not serve the kind.
func (c *serviceCIDRs) list(ctx context.Context) ([]networkingv1.ServiceCIDR, error) {
	if served, err := c.served(); err != nil || !served {
		return nil, err
	}
	var list networkingv1.ServiceCIDRList
	if err := c.cached.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing ServiceCIDRs: %w", err)
	}
	return list.Items, nil
}

func (c *serviceCIDRs) served() (bool, error) {
	if c.watched {
		return true, nil
	}
	if !c.asked.IsZero() && c.now().Before(c.asked.Add(lookForServiceCIDRs)) {
		return false, nil
	}
	kind := networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR")
	_, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	switch {
	case meta.IsNoMatchError(err):
		c.asked = c.now()
		return false, nil
	case err != nil:
		return false, fmt.Errorf("checking whether the API server has ServiceCIDRs: %w", err)
	}
	if err := c.watch(); err != nil {
		return false, fmt.Errorf("watching ServiceCIDRs: %w", err)
	}
	c.watched = true
	return true, nil
}

func sameCIDRs(x, y *networkingv1.ServiceCIDR) bool { return slices.Equal(x.Spec.CIDRs, y.Spec.CIDRs) }
