// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/shipped"
)

const (
	installed = "metallb-system"
	someone   = "controller-with-its-own-rights"
)

var _ = Describe("The controller with nothing but its own rights", func() {
	It("does its whole duty and reads no Secret nor endpoints elsewhere", func(ctx context.Context) {
		Expect(client.IgnoreAlreadyExists(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: installed}}))).To(Succeed())
		Expect(shipped.Grant(ctx, api, someone, "rbac/controller/role.yaml")).To(Succeed())
		user, err := environment.AddUser(envtest.User{Name: someone}, config)
		Expect(err).NotTo(HaveOccurred())
		owner := deployment()
		Expect(api.Create(ctx, owner)).To(Succeed())

		c := newCluster(ctx, func(c *cluster) {
			c.namespace, c.config = installed, user.Config()
			c.options = Options{Namespace: installed, Deployment: "controller"}
		})
		c.start()
		good, bad := c.pool(ctx, "blue", "198.18.2.1-198.18.2.1"), c.pool(ctx, "bad", "198.18.3.9-198.18.3.1")
		first, second := c.service(ctx, "first"), c.service(ctx, "second")
		Eventually(fresh(ctx, first)).Should(haveIPs("198.18.2.1"))
		Eventually(fresh(ctx, second)).Should(beRefused(reason.PoolExhausted))
		Eventually(told(ctx, first)).Should(HaveKeyWithValue("IPAllocated", 1))
		Eventually(told(ctx, bad)).Should(HaveKeyWithValue(string(reason.InvalidAddressRange), 1))
		Eventually(fresh(ctx, good)).Should(WithTransform(figures, Equal([4]int64{1, 0, 0, 0})))
		state := &v1beta1.ConfigurationState{ObjectMeta: metav1.ObjectMeta{Name: "controller", Namespace: installed}}
		Eventually(fresh(ctx, state)).Should(HaveField("OwnerReferences", ConsistOf(HaveField("UID", owner.UID))))

		limited, err := client.New(user.Config(), client.Options{Scheme: scheme})
		Expect(err).NotTo(HaveOccurred())
		for _, name := range []string{"memberlist", "other"} {
			Expect(apierrors.IsForbidden(limited.Get(ctx, client.ObjectKey{Namespace: installed, Name: name}, &corev1.Secret{}))).To(BeTrue(), name)
		}
		key := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "memberlist", Namespace: installed}}
		Expect(apierrors.IsForbidden(limited.Create(ctx, key))).To(BeTrue())
		Expect(apierrors.IsForbidden(limited.Update(ctx, first.DeepCopy()))).To(BeTrue())
		Expect(apierrors.IsForbidden(limited.List(ctx, &discoveryv1.EndpointSliceList{}, client.InNamespace(installed)))).To(BeTrue())
		Expect(limited.List(ctx, &discoveryv1.EndpointSliceList{}, client.InNamespace("default"))).To(Succeed())
	})
})

func deployment() *appsv1.Deployment {
	labels := map[string]string{"app": "controller"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "controller", Namespace: installed},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
			},
		},
	}
}
