// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/membership"
	"metalsuite.io/internal/policy"
)

// World is everything that one decision looks at, as values.
type World struct {
	// Self is the name of the node that decides.
	Self string
	// Policy is what the administrator asked for.
	Policy *policy.Policy
	// Services have at least one address each.
	Services []Service
	// ClusterIPs are the addresses under which the Services of the cluster, also those of other types, are reached inside of it, sorted and
	// distinct.
	ClusterIPs []netip.Addr
	// Nodes are the cluster's nodes by name.
	Nodes map[string]Node
	// Members are the live speakers, this one included.
	Members []membership.Member
	// Placement is where speakers are wanted; nil when that is not known.
	Placement *Placement
	// Lost are speakers that were live until just now; of their states only the uses are there.
	Lost []membership.Member
	// Withdrawn are the addresses that this node had left to a stranger when its speaker was started, as its AddressConflicts say.
	Withdrawn []netip.Addr
	// Isolated is whether this node was cut off from all others and is not sure of itself yet: then it announces nothing that has one
	// owner.
	Isolated bool
	// Ownerless is whether no announcer runs that announces an address from one node.
	Ownerless bool
	// Routed is whether an announcer runs that speaks with routers.
	Routed bool
	// DrainOnCordon takes the traffic away from nodes that are cordoned.
	DrainOnCordon bool
	// Passwords are what was read of the Secrets that BGPPeers of this node name, by name of the Secret; those that are just being read
	// for the first time are missing.
	Passwords map[string]Password
	// IgnoreExcludeLabel lets nodes announce that carry node.kubernetes.io/exclude-from-external-load-balancers.
	IgnoreExcludeLabel bool

	// subnets are what the live speakers tell to be on the link, by node; Decide fills it and what follows.
	subnets map[string][]netip.Prefix
	// unserved says that no announcer runs that has owners, pools by name that no L2Advertisement selects a Service of a pool.
	unserved *reason.Problem
	pools    map[string]*reason.Problem
}

// Node is what a decision has to know about a node.
type Node struct {
	// NetworkUnavailable is the node's condition of that name (Kubernetes: NodeNetworkUnavailable).
	NetworkUnavailable bool
	// Excluded is whether the node carries the label node.kubernetes.io/exclude-from-external-load-balancers.
	Excluded bool
	// Cordoned is whether no new pods are put on the node (spec.unschedulable); Drain is whether the node carries the label
	// metallb.io/drain, empty or "true".
	Cordoned, Drain bool
	// ShuttingDown is whether the kubelet says that the node is shutting down (Kubernetes: graceful node shutdown).
	ShuttingDown bool
	// Labels and Taints are those of the node. They decide nothing: they say why the node has no speaker.
	Labels map[string]string
	Taints []corev1.Taint
	// Addresses are the node's own.
	Addresses []netip.Addr
}

func (n Node) equal(m Node) bool {
	return n.NetworkUnavailable == m.NetworkUnavailable && n.Excluded == m.Excluded && n.Cordoned == m.Cordoned && n.Drain == m.Drain &&
		n.ShuttingDown == m.ShuttingDown && slices.Equal(n.Addresses, m.Addresses)
}

// Password is what was read of a Secret, or why it has no password. Problem keeps the session from running; Warning does not.
type Password struct {
	Value            announcers.Secret
	Problem, Warning *reason.Problem
}

func (p Password) equal(q Password) bool {
	return p.Value == q.Value && alike(p.Problem, q.Problem) && alike(p.Warning, q.Warning)
}

// draining says whether the traffic is to leave this node.
func (w World) draining() bool {
	n := w.Nodes[w.Self]
	return n.Drain || n.Cordoned && w.DrainOnCordon
}

// Service is what a decision has to know about a Service of type LoadBalancer.
type Service struct {
	// Key is namespace/name.
	Key    string
	Labels map[string]string
	// Addresses are those of its status, in order.
	Addresses []netip.Addr
	// Pool is where the addresses were granted from, in the word of the controller; it may be empty.
	Pool string
	// Tenant is what decides whether others may be on its addresses, Seniority who of several stays if they may not.
	Tenant    allocation.Tenant
	Seniority kube.Seniority
	// Shares is whether the Service carries a sharing key, even an empty one.
	Shares bool
	// Local is externalTrafficPolicy Local: only nodes with a serving endpoint take its traffic.
	Local bool
	// ServingNodes are the nodes with an endpoint that can serve (ready, or terminating and still serving). An endpoint without node
	// counts under the empty name.
	ServingNodes map[string]bool
}
