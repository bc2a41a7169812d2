// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/api/reason"
)

// Annotations by which a Service asks to become a target, named as in the endpoint-copier-operator.
const (
	// AnnotationEnabled makes a Service a target when its value is "true".
	AnnotationEnabled = "endpoint-copier/enabled"
	// AnnotationSourceName names the source Service; absent, it is the configured source.
	AnnotationSourceName = "endpoint-copier/default-service-name"
	// AnnotationSourceNamespace is the namespace of the source Service; absent, it is the namespace of the target.
	AnnotationSourceNamespace = "endpoint-copier/default-service-namespace"
)

// anyName stands for every Service of a namespace in an allowed source.
const anyName = "*"

// Config says which Services are targets and from where they may be fed.
type Config struct {
	// Source and Target are the pair that needs no annotation.
	Source, Target types.NamespacedName
	// Annotated lets annotated Services be targets, too.
	Annotated bool
	// Allowed are sources from which annotated Services of every namespace may copy; the name "*" means all of the namespace. Sources in
	// the target's own namespace are always allowed, and the pair's source to targets in the namespace of the pair's target.
	Allowed []types.NamespacedName
}

// ParseSource reads an allowed source: "namespace/name", or "namespace/*" for every Service of the namespace.
func ParseSource(s string) (types.NamespacedName, error) {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok || namespace == "" || namespace == anyName || name == "" || strings.Contains(name, "/") {
		return types.NamespacedName{}, fmt.Errorf("reading the source %q: want namespace/name or namespace/*", s)
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, nil
}

// SourceOf returns the source that a Service asks for, and whether the Service is a target at all. It does not judge the request.
func (c Config) SourceOf(service *corev1.Service) (types.NamespacedName, bool) {
	if c.Annotated && service.Annotations[AnnotationEnabled] == "true" {
		return c.requested(service), true
	}
	if service.Namespace == c.Target.Namespace && service.Name == c.Target.Name {
		return c.Source, true
	}
	return types.NamespacedName{}, false
}

func (c Config) requested(service *corev1.Service) types.NamespacedName {
	name, namespace := service.Annotations[AnnotationSourceName], service.Annotations[AnnotationSourceNamespace]
	switch {
	case name == "" && namespace == "":
		return c.Source
	case name == "":
		return types.NamespacedName{Namespace: namespace, Name: c.Source.Name}
	case namespace == "":
		return types.NamespacedName{Namespace: service.Namespace, Name: name}
	}
	return types.NamespacedName{Namespace: namespace, Name: name}
}

// Refusal says why the Service cannot be a target of the source; nil means that it can.
func (c Config) Refusal(service *corev1.Service, source types.NamespacedName) *reason.Problem {
	key := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
	switch {
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return reason.New(reason.TargetIsExternalName, "the target Service %s is of type ExternalName and has no endpoints", key)
	case len(service.Spec.Selector) > 0:
		return reason.New(reason.TargetHasSelector, "the target Service %s has a selector, so Kubernetes itself manages its endpoints", key)
	case source == key:
		return reason.New(reason.SourceNotAllowed, "the Service %s cannot be its own source", key)
	case !c.allows(source, service.Namespace):
		return reason.New(reason.SourceNotAllowed, "the Service %s may not copy the endpoints of %s from another namespace", key, source)
	}
	return nil
}

// allows keeps a user who may annotate Services from reaching the endpoints of namespaces that are closed to that user. The pair's source
// is no exception: its endpoints are the hosts of the API servers, and a target chooses the ports.
func (c Config) allows(source types.NamespacedName, targetNamespace string) bool {
	if source.Namespace == targetNamespace || source == c.Source && targetNamespace == c.Target.Namespace {
		return true
	}
	return slices.ContainsFunc(c.Allowed, func(a types.NamespacedName) bool {
		return a.Namespace == source.Namespace && (a.Name == anyName || a.Name == source.Name)
	})
}
