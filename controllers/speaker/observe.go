// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/kube"
)

// labelExclude keeps a node out of load balancing (Kubernetes: node.kubernetes.io/exclude-from-external-load-balancers).
const labelExclude = corev1.LabelNodeExcludeBalancers

// serving returns the nodes with an endpoint that can serve, sorted. An endpoint serves when it is ready (an absent value means ready) or,
// while it terminates, still serving (Kubernetes: discovery.k8s.io/v1 EndpointConditions). One without node counts under the empty name.
func serving(endpoints []discoveryv1.Endpoint, texts *repeated) []string {
	var nodes []string
	for _, e := range endpoints {
		if !canServe(e.Conditions) {
			continue
		}
		if at, found := slices.BinarySearch(nodes, nodeOf(e)); !found {
			nodes = slices.Insert(nodes, at, texts.one(nodeOf(e)))
		}
	}
	return slices.Clip(nodes)
}

func canServe(c discoveryv1.EndpointConditions) bool {
	return c.Ready == nil || *c.Ready || (c.Serving != nil && *c.Serving)
}

func nodeOf(e discoveryv1.Endpoint) string {
	if e.NodeName == nil {
		return ""
	}
	return *e.NodeName
}

// observeService returns what a decision has to know of a Service, but for its endpoints; nil when it is not ours or has no address yet.
func observeService(s *corev1.Service, class string, texts *repeated) *Service {
	if !kube.Served(s, class) {
		return nil
	}
	addresses := ingress(s)
	if len(addresses) == 0 {
		return nil
	}
	pool, _ := kube.AllocatedFrom(s)
	return &Service{
		Key:       s.Namespace + "/" + s.Name,
		Labels:    s.Labels,
		Addresses: addresses,
		Pool:      texts.one(pool),
		Tenant:    kube.Tenant(s),
		Seniority: kube.SeniorityOf(s),
		Shares:    shares(s),
		Local:     s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
	}
}

// shares says whether a Service carries a sharing key under its present or its legacy name.
func shares(s *corev1.Service) bool {
	_, present := s.Annotations[v1beta1.AnnotationAllowSharedIP]
	_, legacy := s.Annotations[kube.LegacyKey(v1beta1.AnnotationAllowSharedIP)]
	return present || legacy
}

// ingress returns the addresses of a Service's status, in order and each once. Host names are not ours and are passed over.
func ingress(s *corev1.Service) []netip.Addr {
	var out []netip.Addr
	for _, i := range s.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(i.IP); err == nil && !slices.Contains(out, a.Unmap()) {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// clusterIPs returns the cluster IPs of a Service; none when it has no (Kubernetes: clusterIPs may be "None").
func clusterIPs(s *corev1.Service) []netip.Addr {
	var out []netip.Addr
	for _, text := range s.Spec.ClusterIPs {
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, a.Unmap())
		}
	}
	return out
}

func observeNode(n *corev1.Node) Node {
	_, excluded := n.Labels[labelExclude]
	drain, marked := n.Labels[v1beta1.LabelDrain]
	node := Node{Labels: n.Labels, Taints: n.Spec.Taints, Excluded: excluded, Cordoned: n.Spec.Unschedulable, Drain: marked && (drain == "" || drain == "true")}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeNetworkUnavailable && c.Status == corev1.ConditionTrue {
			node.NetworkUnavailable = true
		}
		if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue && strings.Contains(c.Message, "node is shutting down") {
			node.ShuttingDown = true
		}
	}
	for _, a := range n.Status.Addresses {
		if a.Type != corev1.NodeInternalIP {
			continue
		}
		if addr, err := netip.ParseAddr(a.Address); err == nil {
			node.Addresses = append(node.Addresses, addr.Unmap())
		}
	}
	return node
}

// withdrawn are the addresses that were left to a stranger, on one interface at least.
func withdrawn(conflicts []v1beta1.AddressConflict) []netip.Addr {
	var out []netip.Addr
	for i := range conflicts {
		s := &conflicts[i].Status
		if a, err := netip.ParseAddr(s.Address); err == nil && (s.Withdrawn || s.PartlyWithdrawn) && s.Reason == string(reason.AddressConflict) {
			out = append(out, a)
		}
	}
	return out
}
