// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"net/netip"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

// serve applies a pool with the advertisement of it.
func serve(ctx context.Context, pool *v1beta1.IPAddressPool) {
	GinkgoHelper()
	apply(ctx, pool)
	apply(ctx, suite.L2Advertisement(pool.Name, pool.Name))
}

// annotated returns a Service with these annotations, key by value.
func annotated(name string, annotations map[string]string) *corev1.Service {
	s := suite.HelloService(namespace, name, app)
	s.Annotations = annotations
	return s
}

// addressesOf returns the addresses in the status of a Service, in their order.
func addressesOf(ctx context.Context, name string) []string {
	GinkgoHelper()
	var all []string
	for _, i := range serviceOf(ctx, name).Status.LoadBalancer.Ingress {
		all = append(all, i.IP)
	}
	return all
}

// answers expects that the client on the segment gets a page from there.
func answers(ctx context.Context, address netip.Addr, port uint16) {
	GinkgoHelper()
	line, err := cluster.Get(ctx, cluster.Lab.Client(), address, port, patience)
	Expect(err).NotTo(HaveOccurred())
	Expect(line).To(ContainSubstring("Hello"))
}

// owners returns the hardware addresses that answer for an address within a fifth of a second.
func owners(ctx context.Context, address netip.Addr) ([]string, error) {
	return cluster.Lab.Client().WhoHas(ctx, lab.Segment, address, listening)
}

var _ = Describe("Who asks for an address", func() {
	It("gets that one, and it works", func(ctx SpecContext) {
		serve(ctx, suite.Pool("asked", rangeOf(100, 109)))
		apply(ctx, annotated("asking", map[string]string{v1beta1.AnnotationLoadBalancerIPs: addressOf(107).String()}))
		Eventually(addressesOf).WithArguments(ctx, "asking").Should(HaveExactElements(addressOf(107).String()))
		answers(ctx, addressOf(107), 80)
	})

	It("shares it with whom it names, each on its own port, and with nobody else", func(ctx SpecContext) {
		shared := addressOf(115)
		sharing := func(name, key string, port int32) *corev1.Service {
			s := annotated(name, map[string]string{v1beta1.AnnotationLoadBalancerIPs: shared.String(), v1beta1.AnnotationAllowSharedIP: key})
			s.Spec.Ports[0].Port = port
			return s
		}
		serve(ctx, suite.Pool("shared", rangeOf(110, 119)))
		apply(ctx, sharing("first", "together", 80))
		Eventually(addressesOf).WithArguments(ctx, "first").Should(HaveExactElements(shared.String()))
		apply(ctx, sharing("second", "together", 8080))
		Eventually(addressesOf).WithArguments(ctx, "second").Should(HaveExactElements(shared.String()))
		apply(ctx, sharing("stranger", "alone", 443))
		Eventually(allocated).WithArguments(ctx, "stranger").Should(refusedFor(reason.SharingKeyDiffers))
		answers(ctx, shared, 80)
		answers(ctx, shared, 8080)
		_, _, err := cluster.OneAnswer(ctx, shared, patience, 300*time.Millisecond)
		Expect(err).NotTo(HaveOccurred())
	})

	It("in both families gets them in the order of its families", func(ctx SpecContext) {
		six := cluster.Lab.Pool6().Masked().Addr().Next()
		serve(ctx, suite.Pool("dual", rangeOf(120, 129), netip.PrefixFrom(six, 128).String()))
		s := suite.HelloService(namespace, "dual", app)
		s.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
		apply(ctx, s)
		Eventually(addressesOf).WithArguments(ctx, "dual").Should(HaveExactElements(six.String(), addressOf(120).String()))
		for _, address := range []netip.Addr{six, addressOf(120)} {
			answers(ctx, address, 80)
			_, _, err := cluster.OneAnswer(ctx, address, patience, 300*time.Millisecond)
			Expect(err).NotTo(HaveOccurred())
		}
	})
})

var _ = Describe("A namespace that loses its pool's favour", func() {
	It("has its Service move to another address, and the old one falls silent", func(ctx SpecContext) {
		label := func(labels map[string]string) {
			GinkgoHelper()
			n := suite.HelloNamespace(namespace)
			for key, value := range labels {
				metav1.SetMetaDataLabel(&n.ObjectMeta, key, value)
			}
			Expect(cluster.Apply(ctx, n)).To(Succeed())
		}
		label(map[string]string{"team": "blue"})
		DeferCleanup(func(ctx SpecContext) { Expect(cluster.Apply(ctx, suite.HelloNamespace(namespace))).To(Succeed()) })
		pinned := suite.Pool("pinned", rangeOf(130, 134))
		pinned.Spec.ServiceAllocation = &v1beta1.ServiceAllocation{
			Priority: 10, NamespaceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"team": "blue"}}},
		}
		serve(ctx, pinned)
		serve(ctx, suite.Pool("open", rangeOf(135, 139)))
		apply(ctx, suite.HelloService(namespace, "moving", app))
		Eventually(addressesOf).WithArguments(ctx, "moving").Should(HaveExactElements(addressOf(130).String()))
		answers(ctx, addressOf(130), 80)

		By("taking the label from the namespace")
		label(nil)
		Eventually(addressesOf).WithArguments(ctx, "moving").Should(HaveExactElements(addressOf(135).String()))
		Eventually(events).WithArguments("Service", "moving").WithContext(ctx).Should(ContainElement(string(reason.ClearAssignment)))
		answers(ctx, addressOf(135), 80)
		Eventually(owners).WithArguments(addressOf(130)).WithContext(ctx).Should(BeEmpty())
	})
})

var _ = Describe("A Service with a reservation", func() {
	It("finds its address again after it was deleted, whoever came in between", func(ctx SpecContext) {
		serve(ctx, suite.Pool("reserved", rangeOf(140, 149)))
		reservation := &v1beta1.IPReservation{
			ObjectMeta: metav1.ObjectMeta{Name: "returning", Namespace: suite.Namespace},
			Spec: v1beta1.IPReservationSpec{
				Service: &v1beta1.ServiceReference{Namespace: namespace, Name: "returning"},
				KeepFor: &metav1.Duration{Duration: time.Hour},
			},
		}
		apply(ctx, reservation)
		returning := func() *corev1.Service { return suite.HelloService(namespace, "returning", app) }
		apply(ctx, returning())
		mine := addressOf(140)
		Eventually(addressesOf).WithArguments(ctx, "returning").Should(HaveExactElements(mine.String()))
		kept := func(ctx context.Context) ([]string, error) {
			err := cluster.Client.Get(ctx, client.ObjectKeyFromObject(reservation), reservation)
			return reservation.Status.Addresses, err
		}
		Eventually(kept).WithContext(ctx).Should(HaveExactElements(mine.String()))

		By("deleting it and creating another one")
		Expect(cluster.Gone(ctx, returning(), patience)).To(Succeed())
		apply(ctx, suite.HelloService(namespace, "between", app))
		Eventually(addressesOf).WithArguments(ctx, "between").Should(HaveExactElements(addressOf(141).String()))
		Eventually(owners).WithArguments(mine).WithContext(ctx).Should(BeEmpty())

		By("creating it anew")
		Expect(cluster.Apply(ctx, returning())).To(Succeed())
		Eventually(addressesOf).WithArguments(ctx, "returning").Should(HaveExactElements(mine.String()))
		answers(ctx, mine, 80)
	})
})
