// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
)

// Annotation reads an annotation of a Service, else its deprecated form; it reports whether the deprecated form counted.
func Annotation(s *corev1.Service, key string) (value string, deprecated bool) {
	if v, ok := s.Annotations[key]; ok {
		return v, false
	}
	v, ok := s.Annotations[LegacyKey(key)]
	return v, ok
}

// LegacyKey returns the deprecated form of the key of an annotation.
func LegacyKey(key string) string {
	return v1beta1.LegacyAnnotationPrefix + strings.TrimPrefix(key, v1beta1.AnnotationPrefix)
}

// AllocatedFrom returns the pool from which a Service says that its addresses were allocated, and whether it says so. MetalLB up to 0.14
// wrote the deprecated form of the annotation.
func AllocatedFrom(s *corev1.Service) (pool string, annotated bool) {
	for _, key := range [...]string{v1beta1.AnnotationAllocatedFromPool, LegacyKey(v1beta1.AnnotationAllocatedFromPool)} {
		if pool, annotated = s.Annotations[key]; annotated {
			break
		}
	}
	return pool, annotated
}

// Served reports whether a Service is served under a load balancer class: it is of type LoadBalancer and of that class, and it is not being
// deleted. The empty class is that of Services without one. The controller and the speakers both go by this function, so that the controller
// grants the addresses of a Service to another one exactly when no speaker announces them for the first any more, however long a
// finalizer keeps the object.
func Served(s *corev1.Service, class string) bool {
	return s.DeletionTimestamp == nil && OfClass(s, class)
}

// OfClass reports whether a Service is of type LoadBalancer and of a load balancer class, whether it is being deleted or not.
func OfClass(s *corev1.Service, class string) bool {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return false
	}
	if s.Spec.LoadBalancerClass == nil {
		return class == ""
	}
	return *s.Spec.LoadBalancerClass == class
}

// Tenant reads what decides whether a Service may be on an address together with others.
func Tenant(s *corev1.Service) allocation.Tenant {
	sharing, _ := Annotation(s, v1beta1.AnnotationAllowSharedIP)
	return allocation.Tenant{
		Key:        allocation.Key{Namespace: s.Namespace, Name: s.Name},
		SharingKey: sharing, BackendKey: backendKey(s), Ports: ports(s),
	}
}

// backendKey is empty for Services whose traffic any node takes; the others may share an address only where their endpoints are the
// same ones.
func backendKey(s *corev1.Service) string {
	if s.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		return ""
	}
	return labels.Set(s.Spec.Selector).String()
}

func ports(s *corev1.Service) []allocation.Port {
	list := make([]allocation.Port, 0, len(s.Spec.Ports))
	for _, p := range s.Spec.Ports {
		protocol := string(p.Protocol)
		if protocol == "" {
			protocol = string(corev1.ProtocolTCP)
		}
		list = append(list, allocation.Port{Protocol: protocol, Number: p.Port})
	}
	return list
}

// Seniority decides which of several Services keeps an address that they bear and may not share. Controller and speakers go by the same
// order, so that no speaker announces what the controller is about to take away.
type Seniority struct {
	// Since is when the Service got its addresses, zero when nobody said; Created when it was made.
	Since, Created time.Time
	Key            allocation.Key
}

// SeniorityOf reads it: Since is the transition of the condition AddressAllocated, in whole seconds.
func SeniorityOf(s *corev1.Service) Seniority {
	order := Seniority{Created: s.CreationTimestamp.Time, Key: allocation.Key{Namespace: s.Namespace, Name: s.Name}}
	if c := meta.FindStatusCondition(s.Status.Conditions, v1beta1.ConditionAddressAllocated); c != nil {
		order.Since = c.LastTransitionTime.Time
	}
	return order
}

// Compare is negative when x goes first: who has had addresses for longer, then who is older, then by namespace and name. A Service of
// which nobody said since when goes last.
func (x Seniority) Compare(y Seniority) int {
	unknown := func(t time.Time) int {
		if t.IsZero() {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(unknown(x.Since), unknown(y.Since)),
		x.Since.Compare(y.Since),
		x.Created.Compare(y.Created),
		cmp.Compare(x.Key.Namespace, y.Key.Namespace),
		cmp.Compare(x.Key.Name, y.Key.Name),
	)
}
