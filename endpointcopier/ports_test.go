// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func TestPort(t *testing.T) {
	source := []discoveryv1.EndpointPort{
		{Name: ptr.To("dns"), Port: ptr.To[int32](5353), Protocol: ptr.To(corev1.ProtocolUDP)},
		{Name: ptr.To("https"), Port: ptr.To[int32](6443), AppProtocol: ptr.To("https")},
		{Name: ptr.To("any")},
	}
	for _, row := range []struct {
		name string
		port corev1.ServicePort
		want discoveryv1.EndpointPort
	}{
		{"integer target port",
			corev1.ServicePort{Name: "a", Port: 443, TargetPort: intstr.FromInt32(9345)},
			discoveryv1.EndpointPort{Name: ptr.To("a"), Port: ptr.To[int32](9345), Protocol: ptr.To(corev1.ProtocolTCP)}},
		{"integer target port of the source brings its protocol name",
			corev1.ServicePort{Name: "a", Port: 443, TargetPort: intstr.FromInt32(6443)},
			discoveryv1.EndpointPort{Name: ptr.To("a"), Port: ptr.To[int32](6443), Protocol: ptr.To(corev1.ProtocolTCP), AppProtocol: ptr.To("https")}},
		{"named target port",
			corev1.ServicePort{Name: "a", Port: 443, TargetPort: intstr.FromString("https")},
			discoveryv1.EndpointPort{Name: ptr.To("a"), Port: ptr.To[int32](6443), Protocol: ptr.To(corev1.ProtocolTCP), AppProtocol: ptr.To("https")}},
		{"the target's own protocol name wins",
			corev1.ServicePort{Name: "a", Port: 443, TargetPort: intstr.FromString("https"), AppProtocol: ptr.To("mine")},
			discoveryv1.EndpointPort{Name: ptr.To("a"), Port: ptr.To[int32](6443), Protocol: ptr.To(corev1.ProtocolTCP), AppProtocol: ptr.To("mine")}},
		{"named target port of another protocol",
			corev1.ServicePort{Name: "a", Port: 53, TargetPort: intstr.FromString("dns")},
			discoveryv1.EndpointPort{Name: ptr.To("a"), Port: ptr.To[int32](53), Protocol: ptr.To(corev1.ProtocolTCP)}},
		{"named target port that matches by protocol",
			corev1.ServicePort{Name: "a", Port: 53, TargetPort: intstr.FromString("dns"), Protocol: corev1.ProtocolUDP},
			discoveryv1.EndpointPort{Name: ptr.To("a"), Port: ptr.To[int32](5353), Protocol: ptr.To(corev1.ProtocolUDP)}},
		{"unknown name", corev1.ServicePort{Name: "a", Port: 443, TargetPort: intstr.FromString("nothing")},
			discoveryv1.EndpointPort{Name: ptr.To("a"), Port: ptr.To[int32](443), Protocol: ptr.To(corev1.ProtocolTCP)}},
		{"source port without number", corev1.ServicePort{Name: "a", Port: 443, TargetPort: intstr.FromString("any")},
			discoveryv1.EndpointPort{Name: ptr.To("a"), Port: ptr.To[int32](443), Protocol: ptr.To(corev1.ProtocolTCP)}},
		{"no target port, no name", corev1.ServicePort{Port: 443},
			discoveryv1.EndpointPort{Name: ptr.To(""), Port: ptr.To[int32](443), Protocol: ptr.To(corev1.ProtocolTCP)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if diff := cmp.Diff([]discoveryv1.EndpointPort{row.want}, ports([]corev1.ServicePort{row.port}, source)); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}
