// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/suite"
)

// serverTaints are what K3s, RKE2 and kubeadm put on nodes that are servers only.
var serverTaints = []corev1.Taint{
	{Key: "CriticalAddonsOnly", Value: "true", Effect: corev1.TaintEffectNoExecute},
	{Key: "node-role.kubernetes.io/etcd", Effect: corev1.TaintEffectNoExecute},
	{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule},
}

// taint makes a node a server that takes no ordinary pods, or an ordinary node again.
func taint(ctx context.Context, node string, server bool) {
	GinkgoHelper()
	changeNode(ctx, node, func(n *corev1.Node) {
		n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool {
			return slices.ContainsFunc(serverTaints, func(s corev1.Taint) bool { return s.Key == t.Key })
		})
		if server {
			n.Spec.Taints = append(n.Spec.Taints, serverTaints...)
		}
	})
}

// podNames returns the names of all pods of the suite that are not ending.
func podNames(ctx context.Context) ([]string, error) {
	var pods corev1.PodList
	err := cluster.Client.List(ctx, &pods, client.InNamespace(suite.Namespace))
	var names []string
	for _, p := range pods.Items {
		if p.DeletionTimestamp.IsZero() {
			names = append(names, p.Name)
		}
	}
	return names, err
}

var _ = Describe("A cluster of servers only", func() {
	It("runs the operator, the controller, the speakers and the endpoint copier, and announces", func(ctx SpecContext) {
		for _, node := range cluster.Lab.Nodes() {
			taint(ctx, node.Name, true)
		}
		DeferCleanup(func(ctx SpecContext) {
			for _, node := range cluster.Lab.Nodes() {
				taint(ctx, node.Name, false)
			}
		})

		By("scheduling every pod of the suite anew")
		before, err := podNames(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(cluster.Client.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(suite.Namespace))).To(Succeed())
		Eventually(podNames).WithContext(ctx).WithTimeout(2 * time.Minute).Should(And(
			HaveLen(len(before)), Not(ContainElement(BeElementOf(before)))))
		Expect(cluster.AwaitDeployment(ctx, suite.Namespace, "metalsuite-operator", 2*time.Minute)).To(Succeed())
		Expect(cluster.AwaitAvailable(ctx, 2*time.Minute)).To(Succeed())

		By("announcing an address")
		address := addressOf(31)
		apply(ctx, suite.Pool("servers", address.String()+"/32"))
		apply(ctx, suite.L2Advertisement("servers", "servers"))
		apply(ctx, suite.HelloService(namespace, "servers", app))
		_, _, err = cluster.OneAnswer(ctx, address, patience, time.Second)
		Expect(err).NotTo(HaveOccurred())
	})
})

var _ = Describe("A node selector that matches no node", func() {
	It("makes the suite unavailable, by name, until it is corrected", func(ctx SpecContext) {
		m := suite.MetalLB()
		m.Spec.NodeSelector = map[string]string{"typo": "x"}
		DeferCleanup(func(ctx SpecContext) { configure(ctx, func(*v1beta1.MetalLBSpec) {}) })
		Expect(cluster.Apply(ctx, m)).To(Succeed())
		message := func(ctx context.Context) (string, error) {
			c, err := metallbCondition(ctx, m.Name, v1beta1.ConditionAvailable)
			if c == nil || err != nil {
				return "", err
			}
			return string(c.Status) + " " + c.Reason + " " + c.Message, nil
		}
		Eventually(message).WithContext(ctx).Should(And(HavePrefix("False NoNodesForSpeakers"), ContainSubstring("typo=x"), ContainSubstring("matches 0 of")))

		// The status of a DaemonSet counts pods that are terminating, so the next speakers are waited for only when these are gone.
		Eventually(func(ctx context.Context) ([]corev1.Pod, error) {
			var pods corev1.PodList
			err := cluster.Client.List(ctx, &pods, client.InNamespace(suite.Namespace), client.MatchingLabels{"app.kubernetes.io/component": "speaker"})
			return pods.Items, err
		}).WithContext(ctx).Should(BeEmpty())
	})
})

var _ = Describe("An expression of excluded interfaces that is none", func() {
	It("is refused with its path and stops no speaker", func(ctx SpecContext) {
		m := suite.MetalLB()
		m.Spec.Announcers = []v1beta1.Announcer{{Name: "l2", L2: &v1beta1.L2Announcer{ExcludeInterfaces: []string{"("}}}, {Name: "bgp"}}
		Expect(cluster.Apply(ctx, m)).To(MatchError(ContainSubstring("spec.announcers[0].l2.excludeInterfaces[0]")))
		Expect(cluster.AwaitAvailable(ctx, time.Minute)).To(Succeed())
	})
})
