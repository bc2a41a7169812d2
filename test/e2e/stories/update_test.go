// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/suite"
)

var _ = Describe("An update of the speakers while a node is down", func() {
	const annotation = "story.metalsuite.io/update"

	// updated are the nodes whose speakers run in the form with the annotation.
	updated := func(ctx context.Context) ([]string, error) {
		pods, err := cluster.Speakers(ctx)
		var nodes []string
		for _, p := range pods {
			if p.Annotations[annotation] != "" {
				nodes = append(nodes, p.Spec.NodeName)
			}
		}
		return nodes, err
	}
	It("reaches the speakers of all other nodes, and that one when it is back", func(ctx SpecContext) {
		operators, err := cluster.OperatorPods(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(operators).To(HaveLen(1))
		var others []string
		for _, node := range cluster.Lab.Nodes() {
			others = append(others, node.Name)
		}
		down := others[slices.IndexFunc(others, func(name string) bool { return name != operators[0].Spec.NodeName })]
		others = slices.DeleteFunc(others, func(name string) bool { return name == down })

		address := addressOf(33)
		serve(ctx, suite.Pool("update", address.String()+"/32"))
		apply(ctx, suite.HelloService(namespace, "update", app))
		DeferCleanup(func(ctx SpecContext) {
			Expect(cluster.Lab.Heal(ctx, down)).To(Succeed())
			Expect(cluster.AwaitNodesReady(ctx, 2*time.Minute)).To(Succeed())
			configure(ctx, func(*v1beta1.MetalLBSpec) {})
		})

		By("cutting the node off")
		Expect(cluster.Lab.Cut(ctx, down)).To(Succeed())
		lose(ctx, down)

		By("updating the speakers")
		m := suite.MetalLB()
		m.Spec.SpeakerConfig = &v1beta1.Config{Annotations: map[string]string{annotation: "yes"}}
		Expect(cluster.Apply(ctx, m)).To(Succeed())
		Eventually(updated).WithContext(ctx).WithTimeout(2 * time.Minute).Should(ConsistOf(others))
		owner, _, err := cluster.OneAnswer(ctx, address, patience, time.Second)
		Expect(err).NotTo(HaveOccurred())
		Expect(others).To(ContainElement(owner))

		By("bringing the node back")
		Expect(cluster.Lab.Heal(ctx, down)).To(Succeed())
		Eventually(updated).WithContext(ctx).WithTimeout(2 * time.Minute).Should(ConsistOf(append(others, down)))
		Expect(cluster.AwaitAvailable(ctx, 2*time.Minute)).To(Succeed())
		_, _, err = cluster.OneAnswer(ctx, address, patience, time.Second)
		Expect(err).NotTo(HaveOccurred())
	})
})
