// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
)

// onNode selects one node.
func onNode(name string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelHostname: name}}
}

// changeNode changes the Node object of a node.
func changeNode(ctx context.Context, node string, change func(*corev1.Node)) {
	GinkgoHelper()
	var n corev1.Node
	Expect(cluster.Client.Get(ctx, client.ObjectKey{Name: node}, &n)).To(Succeed())
	before := client.MergeFrom(n.DeepCopy())
	change(&n)
	Expect(cluster.Client.Patch(ctx, &n, before)).To(Succeed())
}

// label gives a node a label, or takes it when the value is empty.
func label(ctx context.Context, node, key, value string) {
	GinkgoHelper()
	changeNode(ctx, node, func(n *corev1.Node) {
		if value == "" {
			delete(n.Labels, key)
		} else {
			n.Labels[key] = value
		}
	})
}

// cordon keeps new pods from a node, or lets them come.
func cordon(ctx context.Context, node string, on bool) {
	GinkgoHelper()
	changeNode(ctx, node, func(n *corev1.Node) { n.Spec.Unschedulable = on })
}

// networkUnavailable gives a node the condition that network plugins set while they are not ready, or takes it away.
func networkUnavailable(ctx context.Context, node string, unavailable bool) {
	GinkgoHelper()
	status := corev1.ConditionStatus("")
	if unavailable {
		status = corev1.ConditionTrue
	}
	nodeCondition(ctx, node, corev1.NodeNetworkUnavailable, status)
}

// lose reports a node that is cut off as lost, as the node lifecycle controller does after 50 s without news. The taints of such a node are
// that controller's.
func lose(ctx context.Context, node string) {
	GinkgoHelper()
	nodeCondition(ctx, node, corev1.NodeReady, corev1.ConditionUnknown)
	Eventually(func(ctx context.Context) ([]corev1.Taint, error) {
		var n corev1.Node
		err := cluster.Client.Get(ctx, client.ObjectKey{Name: node}, &n)
		return n.Spec.Taints, err
	}).WithContext(ctx).Should(ContainElement(And(HaveField("Key", corev1.TaintNodeUnreachable), HaveField("Effect", corev1.TaintEffectNoExecute))))
}

// nodeCondition brings a condition of a node to a status, or takes the condition away when the status is empty.
func nodeCondition(ctx context.Context, node string, kind corev1.NodeConditionType, status corev1.ConditionStatus) {
	GinkgoHelper()
	var n corev1.Node
	Expect(cluster.Client.Get(ctx, client.ObjectKey{Name: node}, &n)).To(Succeed())
	before := client.StrategicMergeFrom(n.DeepCopy())
	n.Status.Conditions = slices.DeleteFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == kind })
	if status != "" {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
			Type: kind, Status: status, Reason: "Story", LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
		})
	}
	Expect(cluster.Client.Status().Patch(ctx, &n, before)).To(Succeed())
}

// calm takes from hosts and nodes what a story that was ended may have left.
func calm(ctx context.Context) {
	GinkgoHelper()
	Expect(cluster.Lab.Pacify(ctx)).To(Succeed())
	for _, node := range cluster.Lab.Nodes() {
		Expect(cluster.Lab.Heal(ctx, node.Name)).To(Succeed())
		label(ctx, node.Name, corev1.LabelNodeExcludeBalancers, "")
		label(ctx, node.Name, v1beta1.LabelDrain, "")
		taint(ctx, node.Name, false)
		cordon(ctx, node.Name, false)
		networkUnavailable(ctx, node.Name, false)
	}
}
