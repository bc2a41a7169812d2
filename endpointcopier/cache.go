// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// CacheOptions keeps in memory only what the copier needs. Without annotated targets that is one Service and the slices of two; with
// them any Service may become a source, so all are watched, without the parts that are never read.
func (c Config) CacheOptions() cache.Options {
	services, slices := cache.ByObject{Transform: slimService}, cache.ByObject{Transform: slimSlice}
	if !c.Annotated {
		services.Namespaces = map[string]cache.Config{
			c.Target.Namespace: {FieldSelector: fields.OneTermEqualSelector("metadata.name", c.Target.Name)},
		}
		slices.Namespaces = c.pairSlices()
	}
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Service{}:            services,
			&discoveryv1.EndpointSlice{}: slices,
			&corev1.Node{}:               {Transform: slimNode},
		},
	}
}

func (c Config) pairSlices() map[string]cache.Config {
	names := map[string][]string{}
	names[c.Source.Namespace] = append(names[c.Source.Namespace], c.Source.Name)
	names[c.Target.Namespace] = append(names[c.Target.Namespace], c.Target.Name)
	namespaces := map[string]cache.Config{}
	for namespace, services := range names {
		// The operator is "in" and the values are names of Services, so the requirement is always valid.
		if wanted, err := labels.NewRequirement(discoveryv1.LabelServiceName, selection.In, services); err == nil {
			namespaces[namespace] = cache.Config{LabelSelector: labels.NewSelector().Add(*wanted)}
		}
	}
	return namespaces
}

// Mapper knows the resources of the kinds that the copier reads and writes. So it need not ask the API server for them and can be built
// while that is away. A cache of some namespaces asks for the kinds of lists as well.
func Mapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, suffix := range []string{"", "List"} {
		mapper.Add(corev1.SchemeGroupVersion.WithKind("Service"+suffix), meta.RESTScopeNamespace)
		mapper.Add(corev1.SchemeGroupVersion.WithKind("Node"+suffix), meta.RESTScopeRoot)
		mapper.Add(discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"+suffix), meta.RESTScopeNamespace)
	}
	return mapper
}

func slimService(o any) (any, error) {
	if service, ok := o.(*corev1.Service); ok {
		service.ManagedFields = nil
		service.Status = corev1.ServiceStatus{}
	}
	return o, nil
}

func slimSlice(o any) (any, error) {
	slice, ok := o.(*discoveryv1.EndpointSlice)
	if !ok {
		return o, nil
	}
	slice.ManagedFields = nil
	for i := range slice.Endpoints {
		slice.Endpoints[i].TargetRef = nil
	}
	return slice, nil
}

// slimNode keeps a node's name, zone and addresses.
func slimNode(o any) (any, error) {
	node, ok := o.(*corev1.Node)
	if !ok {
		return o, nil
	}
	slim := &corev1.Node{
		TypeMeta:   node.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion},
		Status:     corev1.NodeStatus{Addresses: node.Status.Addresses},
	}
	if zone, ok := node.Labels[corev1.LabelTopologyZone]; ok {
		slim.Labels = map[string]string{corev1.LabelTopologyZone: zone}
	}
	return slim, nil
}
