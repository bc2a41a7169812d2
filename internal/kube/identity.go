// SPDX-License-Identifier: Apache-2.0

package kube

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SameSpec reports whether two states of an object have the same specification. An object that was deleted and created again under its name
// is another one, although its generation may be equal: after a relist an informer delivers the two as one update.
func SameSpec(x, y metav1.Object) bool {
	return x.GetUID() == y.GetUID() && x.GetGeneration() == y.GetGeneration()
}
