// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/test/suite"
)

// workloads returns the names of the workloads in the suite's namespace, without the operator.
func workloads(ctx context.Context) ([]string, error) {
	var names []string
	var deployments appsv1.DeploymentList
	if err := cluster.Client.List(ctx, &deployments, client.InNamespace(suite.Namespace)); err != nil {
		return nil, err
	}
	for _, d := range deployments.Items {
		if d.Name != "metalsuite-operator" {
			names = append(names, d.Name)
		}
	}
	var sets appsv1.DaemonSetList
	if err := cluster.Client.List(ctx, &sets, client.InNamespace(suite.Namespace)); err != nil {
		return nil, err
	}
	for _, d := range sets.Items {
		names = append(names, d.Name)
	}
	return names, nil
}

var _ = Describe("The one MetalLB resource", func() {
	It("keeps the key of the speakers when the Deployment of the controller is deleted", func(ctx SpecContext) {
		Expect(cluster.AwaitAvailable(ctx, time.Minute)).To(Succeed())
		read := func(ctx context.Context) (*corev1.Secret, error) {
			secret := &corev1.Secret{}
			err := cluster.Client.Get(ctx, client.ObjectKey{Namespace: suite.Namespace, Name: "memberlist"}, secret)
			return secret, err
		}
		before, err := read(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(before.OwnerReferences).To(ConsistOf(HaveField("Kind", "MetalLB")))
		_, err = cluster.Kubectl(ctx, "", "delete", "deployment", "-n", suite.Namespace, "controller", "--cascade=foreground", "--timeout=60s")
		Expect(err).NotTo(HaveOccurred(), "the garbage collector has removed what the Deployment owned")
		Expect(cluster.AwaitAvailable(ctx, time.Minute)).To(Succeed())
		after, err := read(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(after.UID).To(Equal(before.UID))
		Expect(after.Data).To(Equal(before.Data))
	})

	It("is all that there is to install and to remove", func(ctx SpecContext) {
		Expect(cluster.AwaitAvailable(ctx, time.Minute)).To(Succeed())
		out, err := cluster.Kubectl(ctx, "", "get", "metallb", "-A", "--no-headers")
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.Fields(out)).To(HaveExactElements(suite.Namespace, "metallb", "True", "False", "False", Not(BeEmpty())))
		Expect(workloads(ctx)).To(ConsistOf("controller", "speaker", "endpoint-copier"))

		By("deleting a workload, which comes back")
		speaker := &appsv1.DaemonSet{}
		speaker.Name, speaker.Namespace = "speaker", suite.Namespace
		Expect(cluster.Client.Delete(ctx, speaker)).To(Succeed())
		Eventually(workloads).WithContext(ctx).Should(ConsistOf("controller", "speaker", "endpoint-copier"))

		By("deleting the resource")
		Expect(cluster.Gone(ctx, suite.MetalLB(), time.Minute)).To(Succeed())
		Eventually(workloads).WithContext(ctx).Should(BeEmpty())
		Eventually(func(g Gomega, ctx context.Context) {
			var pods corev1.PodList
			g.Expect(cluster.Client.List(ctx, &pods, client.InNamespace(suite.Namespace))).To(Succeed())
			g.Expect(pods.Items).To(HaveLen(1), "only the operator is left")
		}).WithTimeout(time.Minute).WithContext(ctx).Should(Succeed())

		By("applying it again")
		Expect(cluster.Apply(ctx, suite.MetalLB())).To(Succeed())
		Expect(cluster.AwaitAvailable(ctx, time.Minute)).To(Succeed())
	})
})
