// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
)

// kindOf is the kind of a workload.
func kindOf(o client.Object) string {
	if _, ok := o.(*appsv1.DaemonSet); ok {
		return "DaemonSet"
	}
	return "Deployment"
}

func selectorOf(o client.Object) *metav1.LabelSelector {
	switch w := o.(type) {
	case *appsv1.Deployment:
		return w.Spec.Selector
	case *appsv1.DaemonSet:
		return w.Spec.Selector
	}
	return nil
}

// selectorProblem says that a workload of the same name is in the way, as MetalLB's own manifests make it: Kubernetes never changes a
// selector. Its pods must end with it: two controllers would grant the same addresses, and two speakers of a node need the same ports. So
// the command deletes them with the workload, not only the workload (--cascade=orphan).
func selectorProblem(desired, live client.Object) *reason.Problem {
	if live.GetUID() == "" || equality.Semantic.DeepEqual(selectorOf(desired), selectorOf(live)) {
		return nil
	}
	return reason.New(reason.SelectorDiffers, "%s %s has the selector %s; run: kubectl delete %s -n %s %s",
		kindOf(live), live.GetName(), metav1.FormatLabelSelector(selectorOf(live)),
		strings.ToLower(kindOf(live)), live.GetNamespace(), live.GetName())
}
