// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"metalsuite.io/api/v1beta1"
)

// labels checks a node selector.
func (c *checker) labels(at *field.Path, selector map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		if c.names(at, key, validation.IsQualifiedName(key)) {
			c.names(at.Key(key), selector[key], validation.IsValidLabelValue(selector[key]))
		}
	}
}

func (c *checker) config(at *field.Path, config *v1beta1.Config) {
	if config == nil {
		return
	}
	for _, class := range []struct {
		field string
		name  *string
	}{{"priorityClassName", &config.PriorityClassName}, {"runtimeClassName", &config.RuntimeClassName}} {
		if n := *class.name; n != "" && !c.names(at.Child(class.field), n, validation.IsDNS1123Subdomain(n)) {
			*class.name = ""
		}
	}
	for _, key := range slices.Sorted(maps.Keys(config.Annotations)) {
		if !c.names(at.Child("annotations"), key, validation.IsQualifiedName(strings.ToLower(key))) {
			delete(config.Annotations, key)
		}
	}
	if config.Resources != nil && !c.resources(at.Child("resources"), *config.Resources) {
		config.Resources = nil
	}
	if config.Affinity != nil {
		c.affinity(at.Child("affinity"), config.Affinity)
	}
}

// tolerations returns those that Kubernetes accepts. A number of seconds has no meaning but with the effect NoExecute: there it is dropped.
func (c *checker) tolerations(at *field.Path, all []corev1.Toleration) []corev1.Toleration {
	var usable []corev1.Toleration
	for i, t := range all {
		before := len(c.problems)
		c.toleration(at.Index(i), t)
		if t.Effect != corev1.TaintEffectNoExecute {
			t.TolerationSeconds = nil
		}
		if len(c.problems) == before {
			usable = append(usable, t)
		}
	}
	return usable
}

func (c *checker) toleration(at *field.Path, t corev1.Toleration) {
	if t.Key == "" && t.Operator != corev1.TolerationOpExists {
		c.refuse(at.Child("operator"), "must be Exists where key is empty")
	} else if t.Key != "" {
		c.names(at.Child("key"), t.Key, validation.IsQualifiedName(t.Key))
	}
	switch t.Operator {
	case corev1.TolerationOpExists:
		if t.Value != "" {
			c.refuse(at.Child("value"), "must be empty with operator Exists")
		}
	case corev1.TolerationOpEqual, "":
		c.names(at.Child("value"), t.Value, validation.IsValidLabelValue(t.Value))
	default:
		c.refuse(at.Child("operator"), "%q is neither Exists nor Equal", t.Operator)
	}
	switch t.Effect {
	case "", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
	default:
		c.refuse(at.Child("effect"), "%q is none of NoSchedule, PreferNoSchedule, NoExecute", t.Effect)
	}
}
