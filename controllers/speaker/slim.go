// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"unique"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// slim takes away from an object what no decision looks at before it is kept in memory: every speaker holds all EndpointSlices, Services and
// Nodes of the cluster.
func slim(o any) (any, error) {
	switch object := o.(type) {
	case *discoveryv1.EndpointSlice:
		object.ManagedFields, object.Annotations, object.OwnerReferences, object.Ports = nil, nil, nil, nil
		for i := range object.Endpoints {
			e := &object.Endpoints[i]
			*e = discoveryv1.Endpoint{Conditions: e.Conditions, NodeName: interned(e.NodeName)}
		}
	case *corev1.Service:
		object.ManagedFields = nil
		delete(object.Annotations, corev1.LastAppliedConfigAnnotation)
	case *corev1.Node:
		object.ManagedFields, object.Annotations = nil, nil
		object.Status = corev1.NodeStatus{Conditions: object.Status.Conditions, Addresses: object.Status.Addresses}
	}
	return o, nil
}

// interned returns the one copy of a name that many objects have.
func interned(name *string) *string {
	if name == nil {
		return nil
	}
	one := unique.Make(*name).Value()
	return &one
}
