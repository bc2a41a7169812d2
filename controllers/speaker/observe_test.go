// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"metalsuite.io/api/v1beta1"
)

func TestWhatANodeHadLeftToStrangers(t *testing.T) {
	object := func(address, why string, withdrawn bool) v1beta1.AddressConflict {
		return v1beta1.AddressConflict{Status: v1beta1.AddressConflictStatus{Address: address, Reason: why, Withdrawn: withdrawn}}
	}
	got := withdrawn([]v1beta1.AddressConflict{
		object("192.0.2.10", "AddressConflict", true), object("192.0.2.11", "AddressConflict", false), object("192.0.2.12", "LocalAddress", true),
		object("here", "AddressConflict", true), object("2001:db8::10", "AddressConflict", true),
	})
	partly := object("192.0.2.13", "AddressConflict", false)
	partly.Status.PartlyWithdrawn = true
	if got = append(got, withdrawn([]v1beta1.AddressConflict{partly})...); fmt.Sprint(got) != "[192.0.2.10 2001:db8::10 192.0.2.13]" {
		t.Errorf("got %v", got)
	}
}

func TestClusterIPsOfAService(t *testing.T) {
	service := &corev1.Service{Spec: corev1.ServiceSpec{ClusterIPs: []string{"10.96.0.10", "None", "fd00::10"}}}
	for _, kind := range []corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeLoadBalancer} {
		service.Spec.Type = kind
		if got := fmt.Sprint(slimmed[*keptService](t, service.DeepCopy()).clusterIPs); got != "[10.96.0.10 fd00::10]" {
			t.Errorf("of type %s: got %v", kind, got)
		}
	}
}

func TestWhichEndpointsServe(t *testing.T) {
	yes, no := ptr.To(true), ptr.To(false)
	for _, row := range []struct {
		name       string
		conditions discoveryv1.EndpointConditions
		serves     bool
	}{
		{"nothing said", discoveryv1.EndpointConditions{}, true},
		{"ready", discoveryv1.EndpointConditions{Ready: yes}, true},
		{"not ready", discoveryv1.EndpointConditions{Ready: no}, false},
		{"terminating and still serving", discoveryv1.EndpointConditions{Ready: no, Serving: yes, Terminating: yes}, true},
		{"terminating and no longer serving", discoveryv1.EndpointConditions{Ready: no, Serving: no, Terminating: yes}, false},
		{"not ready, of a publisher that knows no serving", discoveryv1.EndpointConditions{Ready: no, Terminating: yes}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := serving([]discoveryv1.Endpoint{{NodeName: ptr.To("n2"), Conditions: row.conditions}}, &repeated{})
			if (len(got) == 1 && got[0] == "n2") != row.serves || len(got) > 1 {
				t.Errorf("serving are %v", got)
			}
		})
	}
}

func TestServingNodesAreSortedAndNamedOnce(t *testing.T) {
	got := serving([]discoveryv1.Endpoint{{NodeName: ptr.To("n3")}, {}, {NodeName: ptr.To("n1")}, {NodeName: ptr.To("n3")}}, &repeated{})
	if fmt.Sprintf("%q", got) != `["" "n1" "n3"]` {
		t.Errorf("got %q", got)
	}
}

func TestWhatIsObservedOfANode(t *testing.T) {
	for _, row := range []struct {
		name string
		node corev1.Node
		want Node
	}{
		{"nothing special", corev1.Node{}, Node{}},
		{"excluded, whatever the label's value", corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{corev1.LabelNodeExcludeBalancers: "false"}}}, Node{Excluded: true}},
		{"cordoned, tainted and not ready", corev1.Node{
			Spec:   corev1.NodeSpec{Unschedulable: true, Taints: []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoExecute}}},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse}}},
		}, Node{Cordoned: true}},
		{"to be drained", corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1beta1.LabelDrain: ""}}}, Node{Drain: true}},
		{"to be drained, in a word", corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1beta1.LabelDrain: "true"}}}, Node{Drain: true}},
		{"not to be drained", corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1beta1.LabelDrain: "false"}}}, Node{}},
		{"shutting down", corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady", Message: "node is shutting down"},
		}}}, Node{ShuttingDown: true}},
		{"no network", corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue},
		}}}, Node{NetworkUnavailable: true}},
		{"a network of which nothing is known", corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionUnknown},
		}}}, Node{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.want.Labels, row.want.Taints = row.node.Labels, row.node.Spec.Taints
			if got := observeNode(&row.node); fmt.Sprint(got) != fmt.Sprint(row.want) {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
		})
	}
}

func TestAddressesOfAServiceAreThereOnce(t *testing.T) {
	service := &corev1.Service{}
	for _, ip := range []string{"192.0.2.1", "", "2001:db8::1", "192.0.2.1", "::ffff:192.0.2.1", "web.example", "192.0.2.2"} {
		service.Status.LoadBalancer.Ingress = append(service.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
	}
	if got := ingress(service); fmt.Sprint(got) != "[192.0.2.1 2001:db8::1 192.0.2.2]" {
		t.Errorf("got %v", got)
	}
}
