// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"go4.org/netipx"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
)

// Cluster are the objects that show which addresses the cluster uses itself. Their order has no meaning.
type Cluster struct {
	Nodes []corev1.Node
	// APIServers are the endpoints of the Service default/kubernetes.
	APIServers []discoveryv1.EndpointSlice
	// ServiceCIDRs exist since Kubernetes 1.33. Without them the cluster IPs of the Services are all that is known.
	ServiceCIDRs []networkingv1.ServiceCIDR
}

// Withheld returns the addresses of nodes and API servers and the ranges of cluster IPs and pods.
func (c Cluster) Withheld() []allocation.Withheld {
	var list []allocation.Withheld
	for _, node := range byName(c.Nodes) {
		for _, a := range node.Status.Addresses {
			list = appendAddress(list, a.Address, reason.NodeAddress, "is an address of node "+node.Name)
		}
	}
	for _, slice := range byName(c.APIServers) {
		for _, e := range slice.Endpoints {
			for _, a := range e.Addresses {
				list = appendAddress(list, a, reason.APIServerAddress, "is an address of the Kubernetes API server")
			}
		}
	}
	return append(list, c.Ranges()...)
}

func appendAddress(list []allocation.Withheld, text string, why reason.Reason, cause string) []allocation.Withheld {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		list = append(list, allocation.Single(a.Unmap(), why, cause))
	}
	return list
}

// Ranges returns the ranges from which the cluster takes cluster IPs and addresses of pods. Network plugins with an address management of
// their own may use others, which no object of Kubernetes shows.
func (c Cluster) Ranges() []allocation.Withheld {
	var list []allocation.Withheld
	for _, o := range byName(c.ServiceCIDRs) {
		for _, cidr := range o.Spec.CIDRs {
			list = appendRange(list, cidr, reason.ServiceCIDRAddress, fmt.Sprintf("the Service CIDR %s (ServiceCIDR %s)", cidr, o.Name))
		}
	}
	for _, node := range byName(c.Nodes) {
		cidrs := node.Spec.PodCIDRs
		if len(cidrs) == 0 {
			cidrs = []string{node.Spec.PodCIDR}
		}
		for _, cidr := range cidrs {
			list = appendRange(list, cidr, reason.PodCIDRAddress, fmt.Sprintf("the Pod CIDR %s of node %s", cidr, node.Name))
		}
	}
	return list
}

func appendRange(list []allocation.Withheld, cidr string, why reason.Reason, where string) []allocation.Withheld {
	if p, err := netip.ParsePrefix(cidr); err == nil {
		list = append(list, allocation.Withheld{Range: netipx.RangeOfPrefix(p.Masked()), Reason: why, Cause: "lies in " + where})
	}
	return list
}

// ClusterIPs returns the cluster IPs of a Service, of whatever type.
func ClusterIPs(s *corev1.Service) []netip.Addr {
	texts := s.Spec.ClusterIPs
	if len(texts) == 0 {
		texts = []string{s.Spec.ClusterIP}
	}
	var list []netip.Addr
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil {
			list = append(list, a.Unmap())
		}
	}
	return list
}

// ClusterIPRanges returns the cluster IPs of Services as what is withheld. The order of the Services has no meaning.
func ClusterIPRanges(services []corev1.Service) []allocation.Withheld {
	var list []allocation.Withheld
	for _, s := range byName(services) {
		for _, ip := range ClusterIPs(s) {
			list = append(list, allocation.Single(ip, reason.ClusterIPAddress, "is the cluster IP of Service "+s.Namespace+"/"+s.Name))
		}
	}
	return list
}

// SubnetEdges returns the first and last addresses of the CIDRs of pools in which a node has its address. Such a CIDR is most likely the
// subnet of the node, or a part of it: then its first address is the network address (IPv4) or the subnet-router anycast address (IPv6,
// RFC 4291 2.6.1), its last the broadcast address (IPv4). It may be a part of the subnet as well, so they are granted on request. The order of
// the objects has no meaning: of several nodes in a CIDR the first by name is named.
func SubnetEdges(pools []v1beta1.IPAddressPool, nodes []corev1.Node) []allocation.Withheld {
	var list []allocation.Withheld
	sorted := byName(nodes)
	for _, pool := range byName(pools) {
		for _, entry := range pool.Spec.Addresses {
			prefix, err := netip.ParsePrefix(entry)
			if err != nil || !plain(prefix.Addr()) {
				continue
			}
			if node := nodeWithin(prefix.Masked(), sorted); node != "" {
				list = append(list, edges(prefix.Masked(), ", the CIDR of a pool in which node "+node+" has its address")...)
			}
		}
	}
	for i := range list {
		list[i].OnRequest = true
	}
	return list
}

func nodeWithin(prefix netip.Prefix, nodes []*corev1.Node) string {
	for _, node := range nodes {
		for _, a := range node.Status.Addresses {
			if addr, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP && prefix.Contains(addr.Unmap()) {
				return node.Name
			}
		}
	}
	return ""
}

// edges are the addresses of a subnet that no station has. Subnets of two addresses have none (RFC 3021, RFC 6164).
func edges(subnet netip.Prefix, where string) []allocation.Withheld {
	if subnet.Addr().BitLen()-subnet.Bits() < 2 {
		return nil
	}
	if subnet.Addr().Is6() {
		return []allocation.Withheld{allocation.Single(subnet.Addr(), reason.SubnetRouterAnycast, "is the subnet-router anycast address of "+subnet.String()+where)}
	}
	return []allocation.Withheld{
		allocation.Single(subnet.Addr(), reason.NetworkAddress, "is the network address of "+subnet.String()+where),
		allocation.Single(netipx.PrefixLastIP(subnet), reason.BroadcastAddress, "is the broadcast address of "+subnet.String()+where),
	}
}

// Overlap says which addresses of a pool are granted to nobody since they lie in ranges of the cluster; nil when none are. Such a pool is
// valid; it has less than it says.
func Overlap(pool allocation.Pool, ranges []allocation.Withheld) *reason.Problem {
	var texts []string
	more := 0
	for _, w := range ranges {
		for _, r := range pool.Ranges {
			text, yes := w.Within(r)
			switch {
			case !yes || slices.Contains(texts, text):
			case len(texts) < maxNamed:
				texts = append(texts, text)
			default:
				more++
			}
		}
	}
	if len(texts) == 0 {
		return nil
	}
	detail := fmt.Sprintf("pool %q has addresses that are never assigned: %s", pool.Name, strings.Join(texts, "; "))
	if more > 0 {
		detail += fmt.Sprintf("; and %d more ranges", more)
	}
	return reason.New(reason.OverlapsCluster, "%s", detail)
}
