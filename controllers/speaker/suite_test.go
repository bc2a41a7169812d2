// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"net/netip"
	"testing"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/announcertest"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/membership"
)

const namespace = "metallb-system"

func TestAgainstAnAPIServer(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "speaker against an API server")
}

var _ = Describe("A speaker", Ordered, func() {
	var (
		api     *envtest.Environment
		direct  client.Client
		members *membership.Fake
		ctx     context.Context
	)

	BeforeAll(func() {
		scheme := runtime.NewScheme()
		for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1beta1.AddToScheme, v1beta2.AddToScheme} {
			Expect(add(scheme)).To(Succeed())
		}
		api = &envtest.Environment{CRDDirectoryPaths: []string{"../../config/crd/bases"}, ErrorIfCRDPathMissing: true}
		config, err := api.Start()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(api.Stop)
		direct, err = client.New(config, client.Options{Scheme: scheme})
		Expect(err).NotTo(HaveOccurred())

		options := CacheOptions(namespace)
		options.Scheme = scheme
		objects, err := cache.New(config, options)
		Expect(err).NotTo(HaveOccurred())
		cached, err := client.New(config, client.Options{Scheme: scheme, Cache: &client.CacheOptions{Reader: objects}})
		Expect(err).NotTo(HaveOccurred())

		members = membership.NewFake("n1")
		trigger := kube.NewTrigger()
		source := NewSource(objects, namespace, "", trigger)
		status := NewStatus(StatusOptions{
			Client: cached, Recorder: record.NewFakeRecorder(100), Node: "n1", Namespace: namespace, Clock: clock.RealClock{}, Log: logr.Discard(),
		})
		loop := New(Options{
			Node: "n1", Observer: source, Members: members, Trigger: trigger, Clock: clock.RealClock{}, Log: logr.Discard(),
			Modules: []announcers.Announcer{announcertest.NewFake("l2", announcers.Exclusive)}, OnOutcome: status.Report,
		})
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(context.Background())
		group, running := errgroup.WithContext(ctx)
		for _, run := range []func(context.Context) error{objects.Start, source.Start, loop.Run, status.Run, func(ctx context.Context) error {
			return status.Watch(ctx, objects)
		}} {
			group.Go(func() error { return run(running) })
		}
		DeferCleanup(func() {
			cancel()
			Expect(group.Wait()).To(Succeed())
		})
		create(ctx, direct, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
		create(ctx, direct, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}})
		create(ctx, direct, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}})
	})

	statuses := func() []v1beta1.ServiceL2StatusStatus {
		var list v1beta1.ServiceL2StatusList
		Expect(direct.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
		var out []v1beta1.ServiceL2StatusStatus
		for _, i := range list.Items {
			out = append(out, i.Status)
		}
		return out
	}

	It("says which node announces a Service", func() {
		create(ctx, direct, inNamespace(pool("blue", "192.0.2.0/24")))
		ad := advertisement("all", v1beta1.L2AdvertisementSpec{})
		ad.Namespace = namespace
		create(ctx, direct, &ad)
		createService(ctx, direct, "web", "192.0.2.10")
		Eventually(statuses, patience).Should(ConsistOf(v1beta1.ServiceL2StatusStatus{Node: "n1", ServiceName: "web", ServiceNamespace: "default"}))
	})

	It("writes a status object again that somebody deleted", func() {
		var list v1beta1.ServiceL2StatusList
		Expect(direct.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
		uid := list.Items[0].UID
		Expect(direct.Delete(ctx, &list.Items[0])).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(direct.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
			g.Expect(list.Items).To(HaveLen(1))
			g.Expect(list.Items[0].UID).NotTo(Equal(uid))
			g.Expect(list.Items[0].Status.Node).To(Equal("n1"))
		}, patience).Should(Succeed())
	})

	It("removes what another node left behind for a Service that is announced here", func() {
		left := &v1beta1.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Name: "l2-left", Namespace: namespace, Labels: map[string]string{
			v1beta1.LabelNode: "gone", v1beta1.LabelServiceName: "web", v1beta1.LabelServiceNamespace: "default",
		}}}
		create(ctx, direct, left)
		Eventually(func() error { return direct.Get(ctx, client.ObjectKeyFromObject(left), left) }, patience).ShouldNot(Succeed())
	})

	It("leaves an invalid object out, says so, and goes on with the rest", func() {
		create(ctx, direct, inNamespace(pool("green", "192.0.2.128/25")))
		Eventually(func(g Gomega) {
			var state v1beta1.ConfigurationState
			g.Expect(direct.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "speaker-n1"}, &state)).To(Succeed())
			g.Expect(state.Status.Result).To(Equal(v1beta1.ConfigurationInvalid))
			g.Expect(state.Status.ErrorSummary).To(ContainSubstring("green"))
		}, patience).Should(Succeed())
		Expect(statuses()).To(HaveLen(1))
	})

	It("withdraws its status when the Service goes", func() {
		Expect(direct.Delete(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}})).To(Succeed())
		Eventually(statuses, patience).Should(BeEmpty())
	})
})

func create(ctx context.Context, c client.Client, o client.Object) {
	GinkgoHelper()
	Expect(c.Create(ctx, o)).To(Succeed())
}

func inNamespace(p v1beta1.IPAddressPool) *v1beta1.IPAddressPool {
	p.Namespace = namespace
	return &p
}

// createService makes a Service that has its address already, with one ready endpoint.
func createService(ctx context.Context, c client.Client, name, address string) {
	GinkgoHelper()
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	create(ctx, c, s)
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: netip.MustParseAddr(address).String()}}
	Expect(c.Status().Update(ctx, s)).To(Succeed())
	create(ctx, c, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, NodeName: ptr.To("n2")}},
	})
}
