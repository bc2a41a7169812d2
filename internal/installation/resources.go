// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// resources checks the resources of a container as Kubernetes does and reports whether it accepts them.
func (c *checker) resources(at *field.Path, r corev1.ResourceRequirements) bool {
	before := len(c.problems)
	if len(r.Claims) > 0 {
		c.refuse(at.Child("claims"), "the pods have no resource claims")
	}
	c.quantities(at.Child("limits"), r.Limits)
	c.quantities(at.Child("requests"), r.Requests)
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		request, path := r.Requests[name], at.Child("requests").Key(string(name))
		limit, limited := r.Limits[name]
		switch {
		case limited && request.Cmp(limit) > 0:
			c.refuse(path, "%s is more than the limit of %s", request.String(), limit.String())
		case !overcommittable(name) && (!limited || request.Cmp(limit) != 0):
			c.refuse(path, "%s must be the limit as well", request.String())
		}
	}
	return len(c.problems) == before
}

func (c *checker) quantities(at *field.Path, list corev1.ResourceList) {
	for _, name := range slices.Sorted(maps.Keys(list)) {
		path, amount := at.Key(string(name)), list[name]
		if !c.names(path, string(name), validation.IsQualifiedName(string(name))) {
			continue
		}
		huge := strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
		switch {
		case !strings.Contains(string(name), "/") && !huge && !overcommittable(name):
			c.refuse(path, "a container has no resource of this name")
		case huge && !hugePages(name, amount):
			c.refuse(path, "%s is no multiple of the page size", amount.String())
		case amount.Sign() < 0:
			c.refuse(path, "%s is negative", amount.String())
		case !overcommittable(name) && amount.MilliValue()%1000 != 0:
			c.refuse(path, "%s is not a whole number", amount.String())
		}
		_, cpu := list[corev1.ResourceCPU]
		_, memory := list[corev1.ResourceMemory]
		if huge && !cpu && !memory {
			c.refuse(path, "huge pages need cpu or memory beside them")
		}
	}
}

// overcommittable are the resources of which a limit may exceed the request.
func overcommittable(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage
}

// hugePages reports whether an amount is a number of pages of the size that the resource's name ends with.
func hugePages(name corev1.ResourceName, amount resource.Quantity) bool {
	size, err := resource.ParseQuantity(strings.TrimPrefix(string(name), corev1.ResourceHugePagesPrefix))
	return err == nil && size.Value() > 0 && amount.Value()%size.Value() == 0
}
