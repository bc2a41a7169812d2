// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// ports gives every port of the target Service its endpoint port, under the name that ties the two together for kube-proxy.
func ports(target []corev1.ServicePort, source []discoveryv1.EndpointPort) []discoveryv1.EndpointPort {
	resolved := make([]discoveryv1.EndpointPort, 0, len(target))
	for i := range target {
		resolved = append(resolved, port(&target[i], source))
	}
	return resolved
}

// port resolves the number as Kubernetes does for a Service with selector, with the names of the source's ports in the place of the
// names of container ports: an integer targetPort, else the source port of that name, else the Service's own port.
func port(target *corev1.ServicePort, source []discoveryv1.EndpointPort) discoveryv1.EndpointPort {
	protocol := protocolOf(&target.Protocol)
	number, appProtocol := target.Port, target.AppProtocol
	from := func(fits func(discoveryv1.EndpointPort) bool) {
		for _, p := range source {
			if p.Port == nil || protocolOf(p.Protocol) != protocol || !fits(p) {
				continue
			}
			number = *p.Port
			if appProtocol == nil {
				appProtocol = p.AppProtocol
			}
			return
		}
	}
	if target.TargetPort.Type == intstr.String && target.TargetPort.StrVal != "" {
		from(func(p discoveryv1.EndpointPort) bool { return p.Name != nil && *p.Name == target.TargetPort.StrVal })
	} else {
		if target.TargetPort.IntVal != 0 {
			number = target.TargetPort.IntVal
		}
		wanted := number
		from(func(p discoveryv1.EndpointPort) bool { return *p.Port == wanted })
	}
	return discoveryv1.EndpointPort{
		Name: ptr.To(target.Name), Protocol: ptr.To(protocol), Port: ptr.To(number), AppProtocol: clone(appProtocol),
	}
}

func protocolOf(p *corev1.Protocol) corev1.Protocol {
	if p == nil || *p == "" {
		return corev1.ProtocolTCP
	}
	return *p
}
