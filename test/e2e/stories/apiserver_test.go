// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/suite"
)

// vipEndpoints returns the addresses in the slices of default/kubernetes-vip.
func vipEndpoints(ctx context.Context) ([]string, error) {
	var slices discoveryv1.EndpointSliceList
	err := cluster.Client.List(ctx, &slices, client.InNamespace("default"), client.MatchingLabels{discoveryv1.LabelServiceName: "kubernetes-vip"})
	var addresses []string
	for _, s := range slices.Items {
		for _, e := range s.Endpoints {
			addresses = append(addresses, e.Addresses...)
		}
	}
	return addresses, err
}

var _ = Describe("The Kubernetes API behind a virtual IP", func() {
	It("is reached by the client, and follows the API servers' endpoints", func(ctx SpecContext) {
		vip := addressOf(30)
		pool := suite.Pool("kubernetes-vip-ip-pool", vip.String()+"/32")
		pool.Spec.ServiceAllocation = &v1beta1.ServiceAllocation{Priority: 100, Namespaces: []string{"default"}}
		apply(ctx, pool)
		apply(ctx, suite.L2Advertisement("kubernetes-vip-l2-adv", pool.Name))
		apply(ctx, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: "kubernetes-vip", Namespace: "default"},
			Spec: corev1.ServiceSpec{
				Type:  corev1.ServiceTypeLoadBalancer,
				Ports: []corev1.ServicePort{{Name: "https", Port: 6443, TargetPort: intstr.FromInt32(6443), Protocol: corev1.ProtocolTCP}},
			},
		})
		addresses, err := cluster.AwaitAddresses(ctx, "default", "kubernetes-vip", patience)
		Expect(err).NotTo(HaveOccurred())
		Expect(addresses).To(ConsistOf(vip))

		By("asking the API through the virtual IP")
		Eventually(func(ctx context.Context) error {
			conn, err := cluster.Lab.Client().Dial(ctx, "tcp", net.JoinHostPort(vip.String(), "6443"))
			if err != nil {
				return err
			}
			defer conn.Close()
			// Who answers is the question here, not whom the certificate names: it was not made for this address.
			return tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) //nolint:gosec
		}).WithContext(ctx).Should(Succeed())

		By("adding a second API server's endpoint")
		only, err := vipEndpoints(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(only).To(HaveLen(1))
		second := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: "kubernetes-second", Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("https"), Port: ptr.To[int32](6443), Protocol: ptr.To(corev1.ProtocolTCP)}},
			// It is not ready, so that no client of the cluster is sent to a server that is not there.
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.89.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}}},
		}
		apply(ctx, second)
		Eventually(vipEndpoints).WithContext(ctx).Should(ConsistOf(only[0], "10.89.0.2"))

		By("taking it away again")
		Expect(cluster.Gone(ctx, second.DeepCopy(), time.Minute)).To(Succeed())
		Eventually(vipEndpoints).WithContext(ctx).Should(ConsistOf(only[0]))
	})
})
