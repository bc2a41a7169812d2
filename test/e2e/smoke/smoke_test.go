// SPDX-License-Identifier: Apache-2.0

package smoke

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/test/lab"
)

const patience = 60 * time.Second

var _ = Describe("The lab", func() {
	It("has nodes that are Ready, each with an address of both families", func(ctx SpecContext) {
		var nodes corev1.NodeList
		Expect(api.List(ctx, &nodes)).To(Succeed())
		Expect(nodes.Items).To(HaveLen(len(running.Nodes())))
		for _, node := range nodes.Items {
			Expect(node.Status.Conditions).To(ContainElement(SatisfyAll(
				HaveField("Type", corev1.NodeReady), HaveField("Status", corev1.ConditionTrue))), node.Name)
			Expect(families(node.Status.Addresses)).To(Equal(map[int]int{32: 1, 128: 1}), node.Name)
			Expect(node.Spec.PodCIDRs).To(HaveLen(2), node.Name)
		}
	})

	It("forwards to pods on every node, in both families", func(ctx SpecContext) {
		namespace := makeNamespace(ctx)
		service := deployHello(ctx, namespace, len(running.Nodes()))
		for _, address := range service.Spec.ClusterIPs {
			By("asking " + address + " from a node")
			node := running.Nodes()[0]
			Eventually(answers(ctx, node, address, 80)).WithTimeout(patience).Should(Succeed())
		}
		for _, node := range running.Nodes() {
			for _, address := range addresses(node) {
				By("asking node port " + address.String() + " from both clients")
				for _, from := range []lab.Host{running.Client(), running.RoutedClient()} {
					Eventually(answers(ctx, from, address.String(), int(service.Spec.Ports[0].NodePort))).WithTimeout(patience).Should(Succeed())
				}
			}
		}
	})

	It("cuts a node off and heals it, with and without the carrier", func(ctx SpecContext) {
		victim := running.Nodes()[len(running.Nodes())-1]
		address := addresses(victim)[0]
		own, err := victim.MAC(lab.Segment)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { Expect(running.Heal(ctx, victim.Name)).To(Succeed()) })
		for _, cut := range []func(context.Context, string) error{running.Cut, running.CutSilently} {
			Expect(owners(ctx, address)).To(ConsistOf(own.String()))
			Expect(cut(ctx, victim.Name)).To(Succeed())
			Expect(owners(ctx, address)).To(BeEmpty())
			Expect(running.Heal(ctx, victim.Name)).To(Succeed())
			Eventually(func() []string { return owners(ctx, address) }).WithTimeout(patience).Should(ConsistOf(own.String()))
		}
		node, ok, err := running.NodeOfMAC(own)
		Expect(err).NotTo(HaveOccurred())
		Expect(ok).To(BeTrue())
		Expect(node).To(Equal(victim.Name))
	})
})

// addresses of a host on the segment, the IPv4 address first.
func addresses(host lab.Host) []netip.Addr {
	GinkgoHelper()
	found, err := host.Addresses(lab.Segment)
	Expect(err).NotTo(HaveOccurred())
	slices.SortFunc(found, netip.Addr.Compare)
	Expect(found).To(HaveLen(2))
	return found
}

func owners(ctx context.Context, address netip.Addr) []string {
	GinkgoHelper()
	macs, err := running.Client().WhoHas(ctx, lab.Segment, address, 200*time.Millisecond)
	Expect(err).NotTo(HaveOccurred())
	return macs
}

// families counts the internal addresses by their length in bits.
func families(addresses []corev1.NodeAddress) map[int]int {
	counts := map[int]int{}
	for _, address := range addresses {
		if address.Type == corev1.NodeInternalIP {
			counts[netip.MustParseAddr(address.Address).BitLen()]++
		}
	}
	return counts
}

func makeNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "smoke-"}}
	Expect(api.Create(ctx, namespace)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(api.Delete(ctx, namespace)).To(Succeed()) })
	return namespace.Name
}

// deployHello runs one pod per node behind a dual-stack NodePort Service and waits until all are available.
func deployHello(ctx context.Context, namespace string, replicas int) *corev1.Service {
	GinkgoHelper()
	labels := map[string]string{"app": "hello"}
	meta, count, both := metav1.ObjectMeta{Name: "hello", Namespace: namespace}, int32(replicas), corev1.IPFamilyPolicyRequireDualStack
	deployment := &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Replicas: &count,
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "hello", Image: "metalsuite.io/hello:lab", ImagePullPolicy: corev1.PullIfNotPresent}},
			TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{
				MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: &metav1.LabelSelector{MatchLabels: labels},
			}},
		}},
	}}
	service := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Selector: labels, IPFamilyPolicy: &both,
		Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
	}}
	Expect(api.Create(ctx, deployment)).To(Succeed())
	Expect(api.Create(ctx, service)).To(Succeed())
	Eventually(func(g Gomega) {
		g.Expect(api.Get(ctx, client.ObjectKeyFromObject(deployment), deployment)).To(Succeed())
		g.Expect(deployment.Status.AvailableReplicas).To(Equal(count))
	}).WithTimeout(patience).Should(Succeed())
	return service
}

// answers asks once from a host and expects HTTP 200.
func answers(ctx context.Context, from lab.Host, address string, port int) func() error {
	url := "http://" + net.JoinHostPort(address, fmt.Sprint(port)) + "/"
	return func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := from.HTTPClient(2 * time.Second).Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s answered %s: %s", url, response.Status, body)
		}
		return err
	}
}
