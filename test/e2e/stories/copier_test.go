// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/suite"
)

var _ = Describe("The endpoint copier", func() {
	It("is removed when the MetalLB resource disables it, and installed again when that enables it", func(ctx SpecContext) {
		copier := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "endpoint-copier", Namespace: suite.Namespace}}
		DeferCleanup(func(ctx SpecContext) { configure(ctx, func(*v1beta1.MetalLBSpec) {}) })
		configure(ctx, func(s *v1beta1.MetalLBSpec) { s.EndpointCopier = &v1beta1.EndpointCopier{Enabled: ptr.To(false)} })
		Eventually(func() error { return cluster.Client.Get(ctx, client.ObjectKeyFromObject(copier), copier.DeepCopy()) }).WithContext(ctx).
			Should(MatchError(ContainSubstring("not found")))
		configure(ctx, func(*v1beta1.MetalLBSpec) {})
		Expect(cluster.AwaitDeployment(ctx, suite.Namespace, copier.Name, time.Minute)).To(Succeed())
	})
})
