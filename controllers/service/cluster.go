// SPDX-License-Identifier: Apache-2.0

package service

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/policy"
)

// cluster returns the objects that show which addresses the cluster uses itself.
func (in inputs) cluster() policy.Cluster {
	return policy.Cluster{Nodes: in.nodes, APIServers: in.apiServers, ServiceCIDRs: in.serviceCIDRs.items}
}

// withheld returns the addresses that Services are not granted. Of entries on one address the first counts.
func (in inputs) withheld() []allocation.Withheld {
	return append(in.cluster().Withheld(), policy.SubnetEdges(in.pools, in.nodes)...)
}

// ranges returns the addresses of which a pool is better without: those from which cluster IPs and addresses of pods are taken, and, where no
// object shows the former, the cluster IPs that there are.
func (in inputs) ranges() []allocation.Withheld {
	list := in.cluster().Ranges()
	if len(in.serviceCIDRs.items) > 0 {
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
