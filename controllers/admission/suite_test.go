// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/test/shipped"
)

// home is the namespace that the manifests name.
const home = "metallb-system"

var (
	environment *envtest.Environment
	config      *rest.Config
	api         client.Client
	heard       = &warnings{}
)

func TestAdmission(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(10 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "admission")
}

// The API server calls the webhooks as config/webhook says, and they run under the roles that config/rbac gives to the operator.
var _ = BeforeSuite(func(ctx context.Context) {
	ctrl.SetLogger(GinkgoLogr)
	environment = &envtest.Environment{
		CRDDirectoryPaths:     []string{shipped.Path(shipped.CRDs)},
		ErrorIfCRDPathMissing: true,
		WebhookInstallOptions: envtest.WebhookInstallOptions{Paths: []string{shipped.Path("webhook/manifests.yaml")}},
	}
	var err error
	config, err = environment.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(environment.Stop)
	config.QPS = -1
	mine := rest.CopyConfig(config)
	mine.WarningHandler = heard
	api, err = client.New(mine, client.Options{Scheme: testScheme()})
	Expect(err).NotTo(HaveOccurred())
	Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: home}})).To(Succeed())
	grantShippedRoles(ctx)
})

func testScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1beta1.AddToScheme(scheme)).To(Succeed())
	Expect(v1beta2.AddToScheme(scheme)).To(Succeed())
	return scheme
}

// asOperator is how the operator's service account talks to the API server.
func asOperator() *rest.Config {
	as := rest.CopyConfig(config)
	as.Impersonate.UserName = "system:serviceaccount:" + home + ":metalsuite-operator"
	return as
}

// serve runs the webhooks until stop is called.
func serve() (stop func()) {
	GinkgoHelper()
	hooks := &environment.WebhookInstallOptions
	mgr, err := ctrl.NewManager(asOperator(), ctrl.Options{
		Scheme: testScheme(), Logger: GinkgoLogr, Metrics: metricsserver.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: hooks.LocalServingHost, Port: hooks.LocalServingPort, CertDir: hooks.LocalServingCertDir,
		}),
	})
	Expect(err).NotTo(HaveOccurred())
	Register(mgr.GetWebhookServer(), mgr.GetAPIReader(), home, time.Now)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	Eventually(func() error { return mgr.GetWebhookServer().StartedChecker()(nil) }).Should(Succeed())
	return func() {
		cancel()
		Eventually(done, "20s").Should(Receive(BeNil()))
	}
}

// tidy deletes everything that specs create. Deletion is never refused here: peers go before the profiles they use.
func tidy(ctx context.Context) {
	GinkgoHelper()
	var services corev1.ServiceList
	Expect(api.List(ctx, &services, client.InNamespace("default"))).To(Succeed())
	for i := range services.Items {
		if services.Items[i].Name != "kubernetes" {
			Expect(api.Delete(ctx, &services.Items[i])).To(Succeed())
		}
	}
	for _, o := range []client.Object{
		&v1beta2.BGPPeer{}, &v1beta1.BFDProfile{}, &v1beta1.BGPAdvertisement{}, &v1beta1.L2Advertisement{},
		&v1beta1.Community{}, &v1beta1.IPAddressPool{}, &v1beta1.IPReservation{},
	} {
		Expect(api.DeleteAllOf(ctx, o, client.InNamespace(home))).To(Succeed())
	}
	Expect(api.DeleteAllOf(ctx, &corev1.Node{})).To(Succeed())
	heard.take()
}

func node(name string) *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} }

// warnings collects what API servers warn of.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

// take returns what was heard since the last call.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	texts := w.texts
	w.texts = nil
	return texts
}

// shippedRoles are the operator's roles and bindings as config/rbac ships them.
func shippedRoles() []*unstructured.Unstructured {
	GinkgoHelper()
	all, err := shipped.Objects("rbac/operator/role.yaml", "rbac/operator/role_binding.yaml")
	Expect(err).NotTo(HaveOccurred())
	return all
}

// grantShippedRoles creates the operator's roles and bindings as config/rbac ships them.
func grantShippedRoles(ctx context.Context) {
	GinkgoHelper()
	for _, o := range shippedRoles() {
		Expect(api.Create(ctx, o)).To(Succeed())
	}
}

func revokeShippedRoles(ctx context.Context) {
	GinkgoHelper()
	for _, o := range shippedRoles() {
		Expect(api.Delete(ctx, o)).To(Succeed())
	}
}

func at(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: home} }

func pool(name string, addresses ...string) *v1beta1.IPAddressPool {
	return &v1beta1.IPAddressPool{ObjectMeta: at(name), Spec: v1beta1.IPAddressPoolSpec{Addresses: addresses}}
}

func reservation(name string, addresses ...string) *v1beta1.IPReservation {
	return &v1beta1.IPReservation{ObjectMeta: at(name), Spec: v1beta1.IPReservationSpec{Addresses: addresses}}
}

func peer(name string, change ...func(*v1beta2.BGPPeerSpec)) *v1beta2.BGPPeer {
	p := &v1beta2.BGPPeer{ObjectMeta: at(name), Spec: v1beta2.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "198.18.255.1"}}
	for _, f := range change {
		f(&p.Spec)
	}
	return p
}

func bgp(name string, change ...func(*v1beta1.BGPAdvertisementSpec)) *v1beta1.BGPAdvertisement {
	a := &v1beta1.BGPAdvertisement{ObjectMeta: at(name)}
	for _, f := range change {
		f(&a.Spec)
	}
	return a
}

func community(name string, aliases ...v1beta1.CommunityAlias) *v1beta1.Community {
	return &v1beta1.Community{ObjectMeta: at(name), Spec: v1beta1.CommunitySpec{Communities: aliases}}
}

// loadBalancer creates a Service that has addresses of a pool.
func loadBalancer(ctx context.Context, name, from string, addresses ...string) {
	GinkgoHelper()
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "default", Annotations: map[string]string{v1beta1.AnnotationAllocatedFromPool: from},
			Labels: map[string]string{"app": name},
		},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	Expect(api.Create(ctx, s)).To(Succeed())
	for _, a := range addresses {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
	}
	Expect(api.Status().Update(ctx, s)).To(Succeed())
}

// update changes an object as it is stored.
func update[T client.Object](ctx context.Context, o T, change func(T)) error {
	GinkgoHelper()
	Expect(api.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
	change(o)
	return api.Update(ctx, o)
}
