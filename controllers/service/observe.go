// SPDX-License-Identifier: Apache-2.0

package service

import (
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/policy"
)

func keyOf(s *corev1.Service) allocation.Key {
	return allocation.Key{Namespace: s.Namespace, Name: s.Name}
}

// borneAbroad are the addresses of a Service that another controller serves: they are on the network as ours are.
func borneAbroad(s *corev1.Service) []netip.Addr {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return nil
	}
	return addressesOf(s)
}

// observe reads everything about a Service that decides on its addresses.
func observe(s *corev1.Service) allocation.Service {
	addresses, _ := kube.Annotation(s, v1beta1.AnnotationLoadBalancerIPs)
	requested, invalid := allocation.ParseRequest(addresses, s.Spec.LoadBalancerIP)
	pool, _ := kube.Annotation(s, v1beta1.AnnotationAddressPool)
	granted, _ := kube.AllocatedFrom(s)
	tenant := kube.Tenant(s)
	seen := allocation.Service{
		Key:           keyOf(s),
		Labels:        s.Labels,
		Families:      families(s),
		Policy:        familyPolicy(s),
		Requested:     requested,
		RequestedPool: strings.TrimSpace(pool),
		Invalid:       invalid,
		SharingKey:    tenant.SharingKey,
		BackendKey:    tenant.BackendKey,
		Ports:         tenant.Ports,
		Current:       addressesOf(s),
		CurrentPool:   granted,
	}
	seen.CurrentForeign = !isClaimed(s, seen)
	return seen
}

// isClaimed reports whether a Service says that this suite or MetalLB, which writes the annotation and no condition, granted the addresses in
// its status.
func isClaimed(s *corev1.Service, seen allocation.Service) bool {
	if meta.FindStatusCondition(s.Status.Conditions, v1beta1.ConditionAddressAllocated) == nil {
		return seen.CurrentPool != ""
	}
	return speaksOf(s, seen)
}

func usesDeprecated(s *corev1.Service) bool {
	for _, key := range []string{v1beta1.AnnotationLoadBalancerIPs, v1beta1.AnnotationAddressPool, v1beta1.AnnotationAllowSharedIP} {
		if _, deprecated := kube.Annotation(s, key); deprecated {
			return true
		}
	}
	return false
}

// families are those of the cluster IPs, which stand in the order of spec.ipFamilies.
func families(s *corev1.Service) []allocation.Family {
	var list []allocation.Family
	for _, ip := range policy.ClusterIPs(s) {
		list = append(list, allocation.FamilyOf(ip))
	}
	return list
}

func familyPolicy(s *corev1.Service) allocation.FamilyPolicy {
	if s.Spec.IPFamilyPolicy == nil {
		return allocation.SingleStack
	}
	switch *s.Spec.IPFamilyPolicy {
	case corev1.IPFamilyPolicyPreferDualStack:
		return allocation.PreferDualStack
	case corev1.IPFamilyPolicyRequireDualStack:
		return allocation.RequireDualStack
	case corev1.IPFamilyPolicySingleStack:
	}
	return allocation.SingleStack
}

// addressesOf are the addresses in the Service's status; what is no address there is nobody's.
func addressesOf(s *corev1.Service) []netip.Addr {
	var list []netip.Addr
	for _, i := range s.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(i.IP); err == nil {
			list = append(list, a.Unmap())
		}
	}
	return list
}
