// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
)

func TestTenant(t *testing.T) {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Annotations: map[string]string{"metallb.universe.tf/allow-shared-ip": "k"}},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"b": "2", "a": "1"}, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal,
			Ports: []corev1.ServicePort{{Port: 80}, {Port: 53, Protocol: corev1.ProtocolUDP}},
		},
	}
	want := allocation.Tenant{
		Key: allocation.Key{Namespace: "default", Name: "web"}, SharingKey: "k", BackendKey: "a=1,b=2",
		Ports: []allocation.Port{{Protocol: "TCP", Number: 80}, {Protocol: "UDP", Number: 53}},
	}
	if got := Tenant(s); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	s.Annotations[v1beta1.AnnotationAllowSharedIP] = ""
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
	if got := Tenant(s); got.SharingKey != "" || got.BackendKey != "" {
		t.Errorf("the present name counts, and the selector only with Local: %+v", got)
	}
}

func TestSeniority(t *testing.T) {
	epoch := time.Unix(1_000_000, 0)
	service := func(namespace, name string, created, since int) *corev1.Service {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		s.CreationTimestamp = metav1.NewTime(epoch.Add(time.Duration(created) * time.Second))
		if since > 0 {
			s.Status.Conditions = []metav1.Condition{{
				Type: v1beta1.ConditionAddressAllocated, LastTransitionTime: metav1.NewTime(epoch.Add(time.Duration(since) * time.Second)),
			}}
		}
		return s
	}
	inOrder := []*corev1.Service{
		service("z", "first-to-get-one", 9, 10), service("z", "older", 1, 11), service("a", "b", 2, 11), service("a", "c", 2, 11),
		service("b", "a", 2, 11), service("a", "says-nothing", 0, 0),
	}
	for i, x := range inOrder {
		for j, y := range inOrder {
			if got := SeniorityOf(x).Compare(SeniorityOf(y)); got != slices.Compare([]int{i}, []int{j}) {
				t.Errorf("%s/%s against %s/%s: %d", x.Namespace, x.Name, y.Namespace, y.Name, got)
			}
		}
	}
}

func TestAServiceIsServedByTypeAndClassUntilItIsDeleted(t *testing.T) {
	class := func(c string) *string { return &c }
	deleted := &metav1.Time{Time: time.Unix(1, 0)}
	for name, row := range map[string]struct {
		kind    corev1.ServiceType
		class   *string
		flag    string
		deleted *metav1.Time
		want    bool
	}{
		"no class, no flag":                 {corev1.ServiceTypeLoadBalancer, nil, "", nil, true},
		"another class":                     {corev1.ServiceTypeLoadBalancer, class("x"), "", nil, false},
		"the class of the flag":             {corev1.ServiceTypeLoadBalancer, class("x"), "x", nil, true},
		"no class but a flag":               {corev1.ServiceTypeLoadBalancer, nil, "x", nil, false},
		"no load balancer":                  {corev1.ServiceTypeClusterIP, nil, "", nil, false},
		"deleted, kept by a finalizer":      {corev1.ServiceTypeLoadBalancer, nil, "", deleted, false},
		"deleted, of the class of the flag": {corev1.ServiceTypeLoadBalancer, class("x"), "x", deleted, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: row.deleted}, Spec: corev1.ServiceSpec{Type: row.kind, LoadBalancerClass: row.class}}
			if got := Served(s, row.flag); got != row.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestAllocatedFromReadsBothFormsAndPrefersThePresentOne(t *testing.T) {
	const present, former = v1beta1.AnnotationAllocatedFromPool, "metallb.universe.tf/ip-allocated-from-pool"
	for _, row := range []struct {
		annotations map[string]string
		pool        string
		annotated   bool
	}{
		{nil, "", false},
		{map[string]string{present: "blue"}, "blue", true},
		{map[string]string{former: "blue"}, "blue", true},
		{map[string]string{present: "green", former: "blue"}, "green", true},
		{map[string]string{present: "", former: "blue"}, "", true},
	} {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Annotations: row.annotations}}
		if pool, annotated := AllocatedFrom(s); pool != row.pool || annotated != row.annotated {
			t.Errorf("%v: pool %q, annotated %v", row.annotations, pool, annotated)
		}
	}
}
