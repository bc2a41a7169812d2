// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"unique"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/api/v1beta1"
)

// kept is what the cache keeps of an object of which there are many, in place of the object: every speaker holds all Services and
// EndpointSlices of the cluster. It knows what a cache asks of an object and nothing else.
type kept struct {
	metav1.Object // nil
	key           types.NamespacedName
	version       string
}

// GetNamespace implements metav1.Object.
func (k *kept) GetNamespace() string { return k.key.Namespace }

// GetName implements metav1.Object.
func (k *kept) GetName() string { return k.key.Name }

// GetResourceVersion implements metav1.Object.
func (k *kept) GetResourceVersion() string { return k.version }

func keptOf(o metav1.Object) kept {
	return kept{key: types.NamespacedName{Namespace: one(o.GetNamespace()), Name: o.GetName()}, version: o.GetResourceVersion()}
}

// keptService is what the cache keeps of a Service.
type keptService struct {
	kept
	// service is what a decision has to know, but for its endpoints; nil when there is nothing to decide. Uid is the object's.
	service *Service
	uid     types.UID
}

// keptSlice is what the cache keeps of an EndpointSlice.
type keptSlice struct {
	kept
	// service is the one that the endpoints are of, without a name when nobody said. Nodes are those with an endpoint that can serve, sorted.
	service types.NamespacedName
	nodes   []string
}

// slim returns a transformation that leaves of an object what a decision looks at, before it is kept in memory. Services of another class
// are none of ours.
func slim(class string) func(any) (any, error) {
	return func(o any) (any, error) {
		switch object := o.(type) {
		case *discoveryv1.EndpointSlice:
			r := &keptSlice{kept: keptOf(object), nodes: serving(object.Endpoints)}
			r.service = types.NamespacedName{Namespace: r.key.Namespace, Name: object.Labels[discoveryv1.LabelServiceName]}
			return r, nil
		case *corev1.Service:
			return &keptService{kept: keptOf(object), service: observeService(object, class), uid: object.UID}, nil
		case *corev1.Node:
			object.ManagedFields, object.Annotations = nil, nil
			object.Status = corev1.NodeStatus{Conditions: object.Status.Conditions, Addresses: object.Status.Addresses}
		case *v1beta1.ServiceBGPStatus:
			return &keptStatus{kept: keptOf(object), service: serviceOfRouters(object), digests: digestsOf(object)}, nil
		}
		return o, nil
	}
}

// one returns the one copy of a string that many objects have.
func one(s string) string { return unique.Make(s).Value() }
