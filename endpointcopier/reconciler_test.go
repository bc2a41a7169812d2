// SPDX-License-Identifier: Apache-2.0

package endpointcopier_test

import (
	"context"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/endpointcopier"
)

// createNamespace gives a spec a namespace of its own; envtest never deletes one.
func createNamespace(ctx context.Context) string {
	GinkgoHelper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "copier-"}}
	Expect(api.Create(ctx, ns)).To(Succeed())
	return ns.Name
}

// vip is a Service without selector that asks for the endpoints of another.
func vip(namespace, sourceNamespace, sourceName string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "kubernetes-vip", Annotations: map[string]string{
			endpointcopier.AnnotationEnabled:         "true",
			endpointcopier.AnnotationSourceName:      sourceName,
			endpointcopier.AnnotationSourceNamespace: sourceNamespace,
		}},
		Spec: corev1.ServiceSpec{
			Type:  corev1.ServiceTypeLoadBalancer,
			Ports: []corev1.ServicePort{{Name: "k8s-api", Port: 443, TargetPort: intstr.FromString("https"), Protocol: corev1.ProtocolTCP}},
		},
	}
}

func sourceSlice(namespace, name, service string, addresses ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("https"), Port: ptr.To[int32](6443), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	s.Endpoints = endpointsOf(addresses...)
	if strings.Contains(addresses[0], ":") {
		s.AddressType = discoveryv1.AddressTypeIPv6
	}
	return s
}

func endpointsOf(addresses ...string) []discoveryv1.Endpoint {
	var list []discoveryv1.Endpoint
	for _, a := range addresses {
		list = append(list, discoveryv1.Endpoint{Addresses: []string{a}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}})
	}
	return list
}

func slicesOf(ctx context.Context, namespace, service string) []discoveryv1.EndpointSlice {
	GinkgoHelper()
	list := &discoveryv1.EndpointSliceList{}
	Expect(api.List(ctx, list, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service})).To(Succeed())
	return list.Items
}

// addresses polls the addresses in all slices of a Service, sorted.
func addresses(ctx context.Context, namespace, service string) func() []string {
	return func() []string {
		all := []string{}
		for _, s := range slicesOf(ctx, namespace, service) {
			for _, e := range s.Endpoints {
				all = append(all, e.Addresses...)
			}
		}
		slices.Sort(all)
		return all
	}
}

// events polls the reasons of the events about a Service.
func events(ctx context.Context, namespace, service string) func() []string {
	return func() []string {
		list := &eventsv1.EventList{}
		Expect(api.List(ctx, list, client.InNamespace(namespace))).To(Succeed())
		var reasons []string
		for _, e := range list.Items {
			if e.Regarding.Name == service {
				reasons = append(reasons, e.Reason)
			}
		}
		return reasons
	}
}

var _ = Describe("The endpoint-copier", func() {
	var namespace string
	var copier *endpointcopier.Reconciler

	BeforeEach(func(ctx SpecContext) {
		namespace = createNamespace(ctx)
		copier = start(endpointcopier.Config{
			Source:    types.NamespacedName{Namespace: "default", Name: "kubernetes"},
			Target:    types.NamespacedName{Namespace: "default", Name: "kubernetes-vip"},
			Annotated: true,
			Allowed:   []types.NamespacedName{{Namespace: "shared", Name: "*"}},
		})
	})

	Context("with a source in the namespace of its target", func() {
		var source *discoveryv1.EndpointSlice
		var target *corev1.Service

		BeforeEach(func(ctx SpecContext) {
			source = sourceSlice(namespace, "kubernetes", "kubernetes", "192.0.2.1", "192.0.2.2")
			Expect(api.Create(ctx, source)).To(Succeed())
			target = vip(namespace, namespace, "kubernetes")
			Expect(api.Create(ctx, target)).To(Succeed())
			Eventually(addresses(ctx, namespace, "kubernetes-vip")).Should(Equal([]string{"192.0.2.1", "192.0.2.2"}))
		})

		It("writes slices that Kubernetes understands and collects", func(ctx SpecContext) {
			written := slicesOf(ctx, namespace, "kubernetes-vip")
			Expect(written).To(HaveLen(1))
			Expect(written[0].Labels).To(HaveKeyWithValue(discoveryv1.LabelManagedBy, endpointcopier.ManagedBy))
			Expect(written[0].OwnerReferences).To(ConsistOf(And(HaveField("UID", target.UID), HaveField("BlockOwnerDeletion", BeNil()))))
			Expect(written[0].Ports).To(ConsistOf(And(HaveField("Name", HaveValue(Equal("k8s-api"))), HaveField("Port", HaveValue(Equal(int32(6443)))))))
			Eventually(events(ctx, namespace, "kubernetes-vip")).Should(ContainElement("EndpointsCopied"))
		})

		It("follows an endpoint that leaves, a source that empties and a source that goes", func(ctx SpecContext) {
			source.Endpoints = endpointsOf("192.0.2.2")
			Expect(api.Update(ctx, source)).To(Succeed())
			Eventually(addresses(ctx, namespace, "kubernetes-vip")).Should(Equal([]string{"192.0.2.2"}))
			source.Endpoints = nil
			Expect(api.Update(ctx, source)).To(Succeed())
			Eventually(addresses(ctx, namespace, "kubernetes-vip")).Should(BeEmpty())
			Expect(api.Delete(ctx, source)).To(Succeed())
			Eventually(slicesOf).WithArguments(ctx, namespace, "kubernetes-vip").Should(BeEmpty())
			Eventually(events(ctx, namespace, "kubernetes-vip")).Should(ContainElement("EndpointSourceMissing"))
		})

		It("mirrors each of several slices, and only families that the target has", func(ctx SpecContext) {
			Expect(api.Create(ctx, sourceSlice(namespace, "kubernetes-v6", "kubernetes", "2001:db8::1"))).To(Succeed())
			more := sourceSlice(namespace, "kubernetes-more", "kubernetes", "192.0.2.3")
			Expect(api.Create(ctx, more)).To(Succeed())
			Eventually(addresses(ctx, namespace, "kubernetes-vip")).Should(Equal([]string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}))
			Expect(slicesOf(ctx, namespace, "kubernetes-vip")).To(HaveLen(2))
			Expect(api.Delete(ctx, more)).To(Succeed())
			Eventually(addresses(ctx, namespace, "kubernetes-vip")).Should(Equal([]string{"192.0.2.1", "192.0.2.2"}))
		})

		It("leaves the slices of others alone", func(ctx SpecContext) {
			other := sourceSlice(namespace, "by-hand", "kubernetes-vip", "192.0.2.200")
			other.Labels[discoveryv1.LabelManagedBy] = "someone-else"
			Expect(api.Create(ctx, other)).To(Succeed())
			delete(target.Annotations, endpointcopier.AnnotationEnabled)
			Expect(api.Update(ctx, target)).To(Succeed())
			Eventually(addresses(ctx, namespace, "kubernetes-vip")).Should(Equal([]string{"192.0.2.200"}))
			now := &discoveryv1.EndpointSlice{}
			Expect(api.Get(ctx, client.ObjectKeyFromObject(other), now)).To(Succeed())
			Expect(now.ResourceVersion).To(Equal(other.ResourceVersion))
		})

		It("repairs its slices when they are changed or deleted", func(ctx SpecContext) {
			written := slicesOf(ctx, namespace, "kubernetes-vip")[0]
			written.Endpoints = endpointsOf("192.0.2.66")
			Expect(api.Update(ctx, &written)).To(Succeed())
			Eventually(addresses(ctx, namespace, "kubernetes-vip")).Should(Equal([]string{"192.0.2.1", "192.0.2.2"}))
			Expect(api.Delete(ctx, &written)).To(Succeed())
			Eventually(addresses(ctx, namespace, "kubernetes-vip")).Should(Equal([]string{"192.0.2.1", "192.0.2.2"}))
		})

		It("cleans up when the target goes", func(ctx SpecContext) {
			Expect(api.Delete(ctx, target)).To(Succeed())
			Eventually(slicesOf).WithArguments(ctx, namespace, "kubernetes-vip").Should(BeEmpty())
		})

		It("clears a target that gets a selector and says so", func(ctx SpecContext) {
			target.Spec.Selector = map[string]string{"app": "web"}
			Expect(api.Update(ctx, target)).To(Succeed())
			Eventually(slicesOf).WithArguments(ctx, namespace, "kubernetes-vip").Should(BeEmpty())
			Eventually(events(ctx, namespace, "kubernetes-vip")).Should(ContainElement("TargetHasSelector"))
			target.Spec.Selector = nil
			Expect(api.Update(ctx, target)).To(Succeed())
			Eventually(addresses(ctx, namespace, "kubernetes-vip")).Should(Equal([]string{"192.0.2.1", "192.0.2.2"}))
		})

		It("writes nothing when nothing changed", func(ctx SpecContext) {
			request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(target)}
			before := slicesOf(ctx, namespace, "kubernetes-vip")
			// The first call may still meet a cache that has not seen the slice; after one that succeeds, the others must be silent.
			Eventually(func() error { _, err := copier.Reconcile(ctx, request); return err }).Should(Succeed())
			for range 5 {
				_, err := copier.Reconcile(ctx, request)
				Expect(err).NotTo(HaveOccurred())
			}
			after := slicesOf(ctx, namespace, "kubernetes-vip")
			Expect(after).To(HaveLen(1))
			Expect(after[0].ResourceVersion).To(Equal(before[0].ResourceVersion))
		})

		It("names the node of an endpoint once a node has its address", func(ctx SpecContext) {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "node-", Labels: map[string]string{corev1.LabelTopologyZone: "z1"}}}
			Expect(api.Create(ctx, node)).To(Succeed())
			DeferCleanup(func(ctx SpecContext) { Expect(api.Delete(ctx, node)).To(Succeed()) })
			node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}
			Expect(api.Status().Update(ctx, node)).To(Succeed())
			Eventually(func() []discoveryv1.Endpoint { return slicesOf(ctx, namespace, "kubernetes-vip")[0].Endpoints }).Should(ConsistOf(
				And(HaveField("Addresses", []string{"192.0.2.1"}), HaveField("NodeName", HaveValue(Equal(node.Name))), HaveField("Zone", HaveValue(Equal("z1")))),
				And(HaveField("Addresses", []string{"192.0.2.2"}), HaveField("NodeName", BeNil())),
			))
		})
	})

	It("mirrors default/kubernetes, as the API server writes it, into targets of its namespace and of no other", func(ctx SpecContext) {
		configured := vip("default", "", "")
		configured.Annotations = nil
		Expect(api.Create(ctx, configured)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(api.Delete(ctx, configured)).To(Succeed()) })
		annotated := vip("default", "default", "kubernetes")
		annotated.Name = "kubernetes-too"
		Expect(api.Create(ctx, annotated)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { Expect(api.Delete(ctx, annotated)).To(Succeed()) })
		foreign := vip(namespace, "default", "kubernetes")
		foreign.Spec.Ports[0].TargetPort = intstr.FromInt32(10250)
		Expect(api.Create(ctx, foreign)).To(Succeed())
		Eventually(addresses(ctx, "default", "kubernetes")).ShouldNot(BeEmpty())
		want := addresses(ctx, "default", "kubernetes")()
		Eventually(addresses(ctx, "default", "kubernetes-vip")).Should(Equal(want))
		Eventually(addresses(ctx, "default", "kubernetes-too")).Should(Equal(want))
		Eventually(events(ctx, namespace, "kubernetes-vip")).Should(ContainElement("SourceNotAllowed"))
		Expect(slicesOf(ctx, namespace, "kubernetes-vip")).To(BeEmpty())
	})

	It("acts when the source appears after the target", func(ctx SpecContext) {
		Expect(api.Create(ctx, vip(namespace, namespace, "late"))).To(Succeed())
		Eventually(events(ctx, namespace, "kubernetes-vip")).Should(ContainElement("EndpointSourceMissing"))
		Expect(api.Create(ctx, sourceSlice(namespace, "late-1", "late", "192.0.2.1"))).To(Succeed())
		Eventually(addresses(ctx, namespace, "kubernetes-vip")).Should(Equal([]string{"192.0.2.1"}))
	})

	It("warns of a family of the target that the source does not have", func(ctx SpecContext) {
		Expect(api.Create(ctx, sourceSlice(namespace, "kubernetes-v6", "kubernetes", "2001:db8::1"))).To(Succeed())
		Expect(api.Create(ctx, vip(namespace, namespace, "kubernetes"))).To(Succeed())
		Eventually(events(ctx, namespace, "kubernetes-vip")).Should(ContainElement("EndpointFamilyMissing"))
		Expect(events(ctx, namespace, "kubernetes-vip")()).NotTo(ContainElement("EndpointsCopied"))
		Expect(api.Create(ctx, sourceSlice(namespace, "kubernetes-v4", "kubernetes", "192.0.2.1"))).To(Succeed())
		Eventually(events(ctx, namespace, "kubernetes-vip")).Should(ContainElement("EndpointsCopied"))
	})

	It("refuses a source in a foreign namespace unless it is allowed", func(ctx SpecContext) {
		foreign := createNamespace(ctx)
		Expect(api.Create(ctx, sourceSlice(foreign, "secret-1", "secret", "192.0.2.1"))).To(Succeed())
		target := vip(namespace, foreign, "secret")
		Expect(api.Create(ctx, target)).To(Succeed())
		Eventually(events(ctx, namespace, "kubernetes-vip")).Should(ContainElement("SourceNotAllowed"))
		Expect(slicesOf(ctx, namespace, "kubernetes-vip")).To(BeEmpty())

		shared := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shared"}}
		Expect(api.Create(ctx, shared)).To(Succeed())
		Expect(api.Create(ctx, sourceSlice("shared", "web-1", "web", "192.0.2.7"))).To(Succeed())
		target.Annotations[endpointcopier.AnnotationSourceNamespace] = "shared"
		target.Annotations[endpointcopier.AnnotationSourceName] = "web"
		Expect(api.Update(ctx, target)).To(Succeed())
		Eventually(addresses(ctx, namespace, "kubernetes-vip")).Should(Equal([]string{"192.0.2.7"}))
	})

	It("refuses a target of type ExternalName", func(ctx SpecContext) {
		target := vip(namespace, namespace, "kubernetes")
		target.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.org"}
		Expect(api.Create(ctx, target)).To(Succeed())
		Eventually(events(ctx, namespace, "kubernetes-vip")).Should(ContainElement("TargetIsExternalName"))
	})

	It("does not overwrite a slice of its name that belongs to another manager", func(ctx SpecContext) {
		source := sourceSlice(namespace, "kubernetes", "kubernetes", "192.0.2.1")
		target := vip(namespace, namespace, "kubernetes")
		taken := sourceSlice(namespace, endpointcopier.SliceName(target, source), "other", "192.0.2.200")
		Expect(api.Create(ctx, taken)).To(Succeed())
		Expect(api.Create(ctx, source)).To(Succeed())
		Expect(api.Create(ctx, target)).To(Succeed())
		Eventually(events(ctx, namespace, "kubernetes-vip")).Should(ContainElement("SliceNameTaken"))
		Expect(addresses(ctx, namespace, "other")()).To(Equal([]string{"192.0.2.200"}))
		Expect(api.Delete(ctx, taken)).To(Succeed())
		Eventually(addresses(ctx, namespace, "kubernetes-vip")).Should(Equal([]string{"192.0.2.1"}))
	})

	It("removes what an earlier process left behind for a Service that is no target", func(ctx SpecContext) {
		plain := vip(namespace, "", "")
		plain.Annotations = nil
		Expect(api.Create(ctx, plain)).To(Succeed())
		left := sourceSlice(namespace, "kubernetes-vip-left", "kubernetes-vip", "192.0.2.1")
		left.Labels[discoveryv1.LabelManagedBy] = endpointcopier.ManagedBy
		Expect(api.Create(ctx, left)).To(Succeed())
		Eventually(func() bool {
			return apierrors.IsNotFound(api.Get(ctx, client.ObjectKeyFromObject(left), &discoveryv1.EndpointSlice{}))
		}).Should(BeTrue())
	})
})

var _ = Describe("The endpoint-copier without annotated targets", func() {
	It("serves its pair and no other, also between namespaces", func(ctx SpecContext) {
		from, to := createNamespace(ctx), createNamespace(ctx)
		Expect(api.Create(ctx, sourceSlice(from, "kubernetes", "kubernetes", "192.0.2.1", "192.0.2.2"))).To(Succeed())
		annotated := vip(from, from, "kubernetes")
		Expect(api.Create(ctx, annotated)).To(Succeed())
		start(endpointcopier.Config{
			Source: types.NamespacedName{Namespace: from, Name: "kubernetes"},
			Target: types.NamespacedName{Namespace: to, Name: "kubernetes-vip"},
		})
		target := vip(to, "", "")
		target.Annotations = nil
		Expect(api.Create(ctx, target)).To(Succeed())
		Eventually(addresses(ctx, to, "kubernetes-vip")).Should(Equal([]string{"192.0.2.1", "192.0.2.2"}))
		Expect(slicesOf(ctx, from, "kubernetes-vip")).To(BeEmpty())
	})
})
