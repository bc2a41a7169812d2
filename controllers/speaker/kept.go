// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/api/v1beta1"
)

// kept is what the cache keeps of an object of which there are many, in place of the object: every speaker holds all Services and
// EndpointSlices of the cluster. It knows what a cache asks of an object, and answers nothing to all other questions; nobody may set anything.
type kept struct {
	metav1.Object
	key     types.NamespacedName
	version string
}

var nothing = &metav1.ObjectMeta{}

// GetNamespace implements metav1.Object.
func (k *kept) GetNamespace() string { return k.key.Namespace }

// GetName implements metav1.Object.
func (k *kept) GetName() string { return k.key.Name }

// GetResourceVersion implements metav1.Object.
func (k *kept) GetResourceVersion() string { return k.version }

func keptOf(o metav1.Object, texts *repeated) kept {
	key := types.NamespacedName{Namespace: texts.one(o.GetNamespace()), Name: o.GetName()}
	return kept{Object: nothing, key: key, version: o.GetResourceVersion()}
}

// keptService is what the cache keeps of a Service.
type keptService struct {
	kept
	// service is what a decision has to know, but for its endpoints; nil when there is nothing to decide. Uid is the object's.
	service *Service
	uid     types.UID
	// clusterIPs are those of the Service, of whatever type it is.
	clusterIPs []netip.Addr
}

// keptSlice is what the cache keeps of an EndpointSlice.
type keptSlice struct {
	kept
	// service is the one that the endpoints are of, without a name when nobody said. Nodes are those with an endpoint that can serve, sorted.
	service types.NamespacedName
	nodes   []string
}

// slim returns a transformation that leaves of an object what a decision looks at, before it is kept in memory. Services of another class
// are none of ours. It leaves what it has made as it is: a cache may transform an object more than once.
func slim(class string) func(any) (any, error) {
	texts := &repeated{}
	return func(o any) (any, error) {
		switch object := o.(type) {
		case *discoveryv1.EndpointSlice:
			r := &keptSlice{kept: keptOf(object, texts), nodes: serving(object.Endpoints, texts)}
			r.service = types.NamespacedName{Namespace: r.key.Namespace, Name: object.Labels[discoveryv1.LabelServiceName]}
			return r, nil
		case *corev1.Service:
			return &keptService{kept: keptOf(object, texts), service: observeService(object, class, texts), uid: object.UID, clusterIPs: clusterIPs(object)}, nil
		case *corev1.Node:
			object.ManagedFields, object.Annotations = nil, nil
			object.Status = corev1.NodeStatus{Conditions: object.Status.Conditions, Addresses: object.Status.Addresses}
		case *v1beta1.ServiceBGPStatus:
			return &keptStatus{kept: keptOf(object, texts), service: serviceOfRouters(object), digests: digestsOf(object)}, nil
		}
		return o, nil
	}
}

// repeated are texts that many objects have, each once: names of namespaces, nodes and pools. It may be used by any goroutine.
type repeated struct {
	mu    sync.Mutex
	texts map[string]string
}

// mostRepeated is how many texts are remembered; a cluster that has had more of them in its life begins anew.
const mostRepeated = 10000

// one returns the one copy of a text.
func (r *repeated) one(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.texts[text]; ok {
		return known
	}
	if r.texts == nil || len(r.texts) >= mostRepeated {
		r.texts = map[string]string{}
	}
	r.texts[text] = text
	return text
}
