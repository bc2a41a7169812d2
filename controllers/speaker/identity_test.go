// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
)

func TestAPolicyObjectThatWasRecreatedUnderItsNameIsCompiledAnew(t *testing.T) {
	first := &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "blue", UID: "first", Generation: 1}}
	second := &v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "blue", UID: "second", Generation: 1}}
	if !specChanged(first, second) {
		t.Error("the policy still has the first one")
	}
	status := first.DeepCopy()
	status.Status.AssignedIPv4 = 1
	if specChanged(first, status) {
		t.Error("a status is no reason to compile anew")
	}
}

func TestAServiceWhoseDeletionHasBegunIsNotAnnounced(t *testing.T) {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Finalizers: []string{"example.com/hold"}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
		Status:     corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}}},
	}
	if observeService(s, "", &repeated{}) == nil {
		t.Error("it is announced before")
	}
	s.DeletionTimestamp = &metav1.Time{}
	if observeService(s, "", &repeated{}) != nil {
		t.Error("it is still announced")
	}
}
