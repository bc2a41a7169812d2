// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"metalsuite.io/api/v1beta1"
)

func slimmed[T any](t *testing.T, object T) T {
	t.Helper()
	got, err := slim(object)
	if err != nil {
		t.Fatal(err)
	}
	return got.(T)
}

func TestSlimObjectsLeadToTheSameDecision(t *testing.T) {
	meta := metav1.ObjectMeta{
		Namespace: "default", Name: "web", Labels: map[string]string{discoveryv1.LabelServiceName: "web", "app": "web"}, ManagedFields: make([]metav1.ManagedFieldsEntry, 1),
		Annotations: map[string]string{v1beta1.AnnotationAllocatedFromPool: "blue", v1beta1.AnnotationAllowSharedIP: "k", corev1.LastAppliedConfigAnnotation: "{}"},
	}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: *meta.DeepCopy(), Ports: make([]discoveryv1.EndpointPort, 1), Endpoints: []discoveryv1.Endpoint{
		{Addresses: []string{"10.0.0.1"}, NodeName: ptr.To("n1"), TargetRef: &corev1.ObjectReference{Name: "pod"}},
		{NodeName: ptr.To("n2"), Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}},
		{Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(true)}},
	}}
	want := serving([]discoveryv1.EndpointSlice{*slice.DeepCopy()})
	thin := slimmed(t, slice)
	if got := serving([]discoveryv1.EndpointSlice{*thin}); !reflect.DeepEqual(got, want) {
		t.Errorf("serving are %v, want %v", got, want)
	}
	if thin.Ports != nil || thin.Endpoints[0].Addresses != nil || thin.Endpoints[0].TargetRef != nil || thin.ManagedFields != nil {
		t.Errorf("got %+v", thin)
	}

	service := &corev1.Service{ObjectMeta: *meta.DeepCopy(), Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}}}
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	before, _ := observeService(service.DeepCopy(), "", nil)
	if after, ok := observeService(slimmed(t, service), "", nil); !ok || !reflect.DeepEqual(after, before) {
		t.Errorf("the Service is %+v, want %+v", after, before)
	}
	if service.Annotations[corev1.LastAppliedConfigAnnotation] != "" {
		t.Error("what was applied last is kept")
	}

	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: types.UID("1"), Labels: map[string]string{v1beta1.LabelDrain: ""}}, Spec: corev1.NodeSpec{Unschedulable: true}}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.9"}}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue}}
	node.Status.Images = make([]corev1.ContainerImage, 50)
	known := observeNode(node.DeepCopy())
	if got := observeNode(slimmed(t, node)); !reflect.DeepEqual(got, known) || node.Status.Images != nil {
		t.Errorf("the node is %+v, want %+v", got, known)
	}
}
