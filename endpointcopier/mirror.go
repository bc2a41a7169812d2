// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// ManagedBy is the value of the label endpointslice.kubernetes.io/managed-by on every slice that this package writes. A slice with
// another value is never changed and never deleted.
const ManagedBy = "endpoint-copier.metallb.io"

// Annotations on the slices that this package writes: where the endpoints come from.
const (
	// AnnotationSlice is namespace/name of the source slice.
	AnnotationSlice = "endpoint-copier.metallb.io/source"
	// AnnotationSliceUID is the UID of the source slice.
	AnnotationSliceUID = "endpoint-copier.metallb.io/source-uid"
)

// Observed is everything that the slices of a target depend on.
type Observed struct {
	// Target is the target Service. It has been found fit to be one (Config.Refusal).
	Target *corev1.Service
	// Sources are the slices of the source Service.
	Sources []discoveryv1.EndpointSlice
	// Existing are the slices of the target Service, its own and those of others.
	Existing []discoveryv1.EndpointSlice
	// Nodes finds the node of an endpoint.
	Nodes Nodes
}

// Plan is what is to be written so that the target mirrors its source. It is empty when the target already does.
type Plan struct {
	Create, Update, Delete []discoveryv1.EndpointSlice
	// Endpoints is the number of endpoints that the target has once the plan is carried out.
	Endpoints int
	// Unserved are the families of the target, in its order, that have no endpoints once the plan is carried out.
	Unserved []corev1.IPFamily
}

// Empty reports whether there is nothing to write.
func (p Plan) Empty() bool { return len(p.Create)+len(p.Update)+len(p.Delete) == 0 }

// Mirror plans one target slice for each source slice of a family that the target has, and the end of every slice of ours that is not
// among them. The slices of others are left alone, and what we wrote ourselves is no source, so no two targets feed each other.
func Mirror(o Observed) Plan {
	existing := ours(o.Existing)
	var plan Plan
	served := map[corev1.IPFamily]bool{}
	for i := range o.Sources {
		source := &o.Sources[i]
		if source.Labels[discoveryv1.LabelManagedBy] == ManagedBy || !serves(o.Target, source.AddressType) {
			continue
		}
		desired := mirrored(o, source)
		plan.Endpoints += len(desired.Endpoints)
		served[corev1.IPFamily(source.AddressType)] = served[corev1.IPFamily(source.AddressType)] || len(desired.Endpoints) > 0
		current, ok := existing[desired.Name]
		delete(existing, desired.Name)
		switch updated := merged(current, desired); {
		case !ok:
			plan.Create = append(plan.Create, desired)
		case !apiequality.Semantic.DeepEqual(current, updated):
			plan.Update = append(plan.Update, updated)
		}
	}
	plan.Delete = sorted(existing)
	for _, family := range o.Target.Spec.IPFamilies {
		if !served[family] {
			plan.Unserved = append(plan.Unserved, family)
		}
	}
	return plan
}

// Clear plans the end of every slice of ours: for a Service that is no target, or no longer.
func Clear(existing []discoveryv1.EndpointSlice) Plan {
	return Plan{Delete: sorted(ours(existing))}
}

func ours(all []discoveryv1.EndpointSlice) map[string]discoveryv1.EndpointSlice {
	kept := map[string]discoveryv1.EndpointSlice{}
	for _, slice := range all {
		if slice.Labels[discoveryv1.LabelManagedBy] == ManagedBy {
			kept[slice.Name] = slice
		}
	}
	return kept
}

func sorted(byName map[string]discoveryv1.EndpointSlice) []discoveryv1.EndpointSlice {
	var list []discoveryv1.EndpointSlice
	for _, slice := range byName {
		list = append(list, slice)
	}
	slices.SortFunc(list, func(a, b discoveryv1.EndpointSlice) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// serves reports whether the Service has the family of the slice. Names (address type FQDN) have no family and are not mirrored.
func serves(target *corev1.Service, family discoveryv1.AddressType) bool {
	switch family {
	case discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6:
		return len(target.Spec.IPFamilies) == 0 || slices.Contains(target.Spec.IPFamilies, corev1.IPFamily(family))
	default:
		return false
	}
}

// SliceName is the name of the target slice for a source slice: the same for as long as both exist. The family is part of it because
// the API server lets no slice change its family, while a source slice may come back under its name with another one.
func SliceName(target *corev1.Service, source *discoveryv1.EndpointSlice) string {
	sum := sha256.Sum256([]byte(source.Namespace + "/" + source.Name + "/" + string(source.AddressType)))
	return target.Name + "-" + hex.EncodeToString(sum[:5])
}

func mirrored(o Observed, source *discoveryv1.EndpointSlice) discoveryv1.EndpointSlice {
	return discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: o.Target.Namespace,
			Name:      SliceName(o.Target, source),
			Labels: map[string]string{
				discoveryv1.LabelServiceName: o.Target.Name,
				discoveryv1.LabelManagedBy:   ManagedBy,
			},
			Annotations: map[string]string{
				AnnotationSlice:    source.Namespace + "/" + source.Name,
				AnnotationSliceUID: string(source.UID),
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Service", Name: o.Target.Name, UID: o.Target.UID, Controller: ptr.To(true),
			}},
		},
		AddressType: source.AddressType,
		Endpoints:   endpoints(source.Endpoints, o.Nodes),
		Ports:       ports(o.Target.Spec.Ports, source.Ports),
	}
}

// endpoints copies what is true of an endpoint behind any Service: addresses, conditions, host name and place. Hints were computed for
// the source Service and targetRef may point into another namespace, so both stay behind. The order is by address, so that a source that
// lists its endpoints in another order causes no write.
func endpoints(source []discoveryv1.Endpoint, nodes Nodes) []discoveryv1.Endpoint {
	copied := make([]discoveryv1.Endpoint, 0, len(source))
	for i := range source {
		if len(source[i].Addresses) == 0 {
			continue
		}
		endpoint := discoveryv1.Endpoint{
			Addresses:  slices.Clone(source[i].Addresses),
			Conditions: *source[i].Conditions.DeepCopy(),
			Hostname:   clone(source[i].Hostname),
		}
		endpoint.NodeName, endpoint.Zone = nodes.locate(endpoint.Addresses[0], source[i].NodeName, source[i].Zone)
		copied = append(copied, endpoint)
	}
	slices.SortStableFunc(copied, func(a, b discoveryv1.Endpoint) int { return slices.Compare(a.Addresses, b.Addresses) })
	return copied
}

// merged lays what we want over what is there: foreign labels and annotations stay, everything else is ours.
func merged(current, desired discoveryv1.EndpointSlice) discoveryv1.EndpointSlice {
	result := *current.DeepCopy()
	if result.Labels == nil {
		result.Labels = map[string]string{}
	}
	if result.Annotations == nil {
		result.Annotations = map[string]string{}
	}
	for k, v := range desired.Labels {
		result.Labels[k] = v
	}
	for k, v := range desired.Annotations {
		result.Annotations[k] = v
	}
	result.OwnerReferences = desired.OwnerReferences
	result.Endpoints, result.Ports = desired.Endpoints, desired.Ports
	return result
}
