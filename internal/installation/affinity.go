// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// affinity checks what users write into an affinity: label keys and values, operators, weights, topology keys and selectors.
func (c *checker) affinity(at *field.Path, a *corev1.Affinity) {
	if n := a.NodeAffinity; n != nil {
		c.nodeAffinity(at.Child("nodeAffinity"), n)
	}
	if p := a.PodAffinity; p != nil {
		c.podTerms(at.Child("podAffinity"), p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if p := a.PodAntiAffinity; p != nil {
		c.podTerms(at.Child("podAntiAffinity"), p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

const (
	required  = "requiredDuringSchedulingIgnoredDuringExecution"
	preferred = "preferredDuringSchedulingIgnoredDuringExecution"
)

func (c *checker) nodeAffinity(at *field.Path, n *corev1.NodeAffinity) {
	if r := n.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
		terms := at.Child(required, "nodeSelectorTerms")
		if len(r.NodeSelectorTerms) == 0 {
			c.refuse(terms, "must have at least one term")
		}
		for i, term := range r.NodeSelectorTerms {
			c.nodeTerm(terms.Index(i), term)
		}
	}
	for i, p := range n.PreferredDuringSchedulingIgnoredDuringExecution {
		path := at.Child(preferred).Index(i)
		c.weight(path, p.Weight)
		c.nodeTerm(path.Child("preference"), p.Preference)
	}
}

func (c *checker) weight(at *field.Path, weight int32) {
	if weight < 1 || weight > 100 {
		c.refuse(at.Child("weight"), "%d is not from 1 to 100", weight)
	}
}

func (c *checker) nodeTerm(at *field.Path, term corev1.NodeSelectorTerm) {
	for i, r := range term.MatchExpressions {
		path := at.Child("matchExpressions").Index(i)
		c.names(path.Child("key"), r.Key, validation.IsQualifiedName(r.Key))
		c.nodeRequirement(path, r)
	}
	for i, r := range term.MatchFields {
		path := at.Child("matchFields").Index(i)
		if r.Key != metav1.ObjectNameField {
			c.refuse(path.Child("key"), "%q is not metadata.name", r.Key)
		}
		if known := r.Operator == corev1.NodeSelectorOpIn || r.Operator == corev1.NodeSelectorOpNotIn; !known || len(r.Values) != 1 {
			c.refuse(path, "takes the operator In or NotIn, and one value")
		}
	}
}

func (c *checker) nodeRequirement(at *field.Path, r corev1.NodeSelectorRequirement) {
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			c.refuse(at.Child("values"), "must not be empty with operator %s", r.Operator)
		}
		for i, v := range r.Values {
			c.names(at.Child("values").Index(i), v, validation.IsValidLabelValue(v))
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			c.refuse(at.Child("values"), "must be empty with operator %s", r.Operator)
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			c.refuse(at.Child("values"), "must be one value with operator %s", r.Operator)
		} else if _, err := strconv.ParseInt(r.Values[0], 10, 64); err != nil {
			c.refuse(at.Child("values").Index(0), "%q is not an integer", r.Values[0])
		}
	default:
		c.refuse(at.Child("operator"), "%q is none of In, NotIn, Exists, DoesNotExist, Gt, Lt", r.Operator)
	}
}

func (c *checker) podTerms(at *field.Path, must []corev1.PodAffinityTerm, should []corev1.WeightedPodAffinityTerm) {
	for i, term := range must {
		c.podTerm(at.Child(required).Index(i), term)
	}
	for i, w := range should {
		path := at.Child(preferred).Index(i)
		c.weight(path, w.Weight)
		c.podTerm(path.Child("podAffinityTerm"), w.PodAffinityTerm)
	}
}

func (c *checker) podTerm(at *field.Path, term corev1.PodAffinityTerm) {
	c.names(at.Child("topologyKey"), term.TopologyKey, validation.IsQualifiedName(term.TopologyKey))
	for i, selector := range []*metav1.LabelSelector{term.LabelSelector, term.NamespaceSelector} {
		name := [...]string{"labelSelector", "namespaceSelector"}[i]
		for _, err := range metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, at.Child(name)) {
			c.refuse(field.NewPath(err.Field), "%s", err.ErrorBody())
		}
	}
	for i, namespace := range term.Namespaces {
		c.names(at.Child("namespaces").Index(i), namespace, validation.IsDNS1123Label(namespace))
	}
}
