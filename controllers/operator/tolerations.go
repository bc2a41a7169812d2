// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// serverTolerations let a pod run on the servers of kubeadm, K3s and RKE2. In small clusters servers are the only nodes, and the virtual
// IP of the Kubernetes API is announced by servers. Every component has these tolerations; config/manager gives them to the operator.
//
// The taints: control-plane (kubeadm, Rancher), master (before Kubernetes 1.24), etcd with NoExecute (RKE2 with separate roles) and
// CriticalAddonsOnly=true:NoExecute (documented by K3s and RKE2 for servers without workloads).
func serverTolerations() []corev1.Toleration {
	var all []corev1.Toleration
	for _, key := range []string{
		"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master", "node-role.kubernetes.io/etcd", "CriticalAddonsOnly",
	} {
		all = append(all, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists})
	}
	return all
}

// tolerate adds tolerations of the MetalLB resource to those that a pod has, each once.
func tolerate(pod *corev1.PodSpec, more []corev1.Toleration) {
	for _, t := range more {
		if !slices.ContainsFunc(pod.Tolerations, func(have corev1.Toleration) bool { return have.MatchToleration(&t) }) {
			pod.Tolerations = append(pod.Tolerations, t)
		}
	}
}
