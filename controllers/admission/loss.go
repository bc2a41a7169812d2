// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/policy"
)

const (
	// pageSize bounds how many objects are in memory at once.
	pageSize = 500
	// maxNamed is how many Services a warning names.
	maxNamed = 5
	// maxWarning is the length in bytes from which API servers may cut a warning (Kubernetes: AdmissionResponse.warnings).
	maxWarning = 256
)

// findLosers returns the Services that lose addresses by a change, with the addresses: "namespace/name (192.0.2.7)".
func findLosers(ctx context.Context, reader client.Reader, before, after *policy.Policy) ([]string, error) {
	var losers []string
	empty := func() *corev1.ServiceList { return &corev1.ServiceList{} }
	err := eachPage(ctx, reader, empty, func(page *corev1.ServiceList) {
		for i := range page.Items {
			if lost := lostBy(&page.Items[i], before, after); len(lost) > 0 {
				losers = append(losers, fmt.Sprintf("%s/%s (%s)", page.Items[i].Namespace, page.Items[i].Name, strings.Join(lost, ", ")))
			}
		}
	})
	return losers, err
}

// lostBy returns the addresses of a Service that it may keep before a change and not after.
func lostBy(s *corev1.Service, before, after *policy.Policy) []string {
	pool, granted := kube.AllocatedFrom(s)
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer || !granted {
		return nil
	}
	var lost []string
	for _, ingress := range s.Status.LoadBalancer.Ingress {
		address, err := netip.ParseAddr(ingress.IP)
		if err == nil && keeps(before, s, address.Unmap(), pool) && !keeps(after, s, address.Unmap(), pool) {
			lost = append(lost, address.String())
		}
	}
	return lost
}

func keeps(p *policy.Policy, s *corev1.Service, address netip.Addr, granted string) bool {
	pool, held := p.PoolHolding(address, granted)
	return held && p.Admits(pool, s.Namespace, s.Labels)
}

// loss is the warning that names those who lose addresses, as many as fit.
func loss(losers []string) string {
	text := "1 Service loses its address: "
	if len(losers) > 1 {
		text = fmt.Sprintf("%d Services lose their address: ", len(losers))
	}
	for i, name := range losers {
		rest := fmt.Sprintf("and %d more", len(losers)-i)
		if i == maxNamed || i > 0 && len(text)+len(name)+len(", ")+len(rest) > maxWarning {
			return text + rest
		}
		text += name
		if i < len(losers)-1 {
			text += ", "
		}
	}
	return text
}
