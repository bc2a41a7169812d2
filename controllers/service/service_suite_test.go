// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/shipped"
)

var (
	environment *envtest.Environment
	config      *rest.Config
	scheme      *runtime.Scheme
	api         client.WithWatch
)

func TestService(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(10 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "service")
}

var _ = BeforeSuite(func() {
	ctrl.SetLogger(GinkgoLogr)
	environment = &envtest.Environment{
		CRDDirectoryPaths:     []string{shipped.Path(shipped.CRDs)},
		ErrorIfCRDPathMissing: true,
	}
	environment.ControlPlane.GetAPIServer().Configure().Set("service-cluster-ip-range", "10.96.0.0/16,fd00:10:96::/112")
	var err error
	config, err = environment.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(environment.Stop)
	config.QPS = -1
	scheme = runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1beta1.AddToScheme(scheme)).To(Succeed())
	api, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})

// cluster is one namespace with a controller that serves it. Everything in it is gone after the spec.
type cluster struct {
	namespace string
	options   Options
	config    *rest.Config
	newClient client.NewClientFunc
	stop      func()
}

func newCluster(ctx context.Context, change ...func(*cluster)) *cluster {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "c-"}}
	Expect(api.Create(ctx, namespace)).To(Succeed())
	c := &cluster{config: config, namespace: namespace.Name, options: Options{Namespace: namespace.Name}}
	for _, f := range change {
		f(c)
	}
	DeferCleanup(func(ctx context.Context) {
		if c.stop != nil {
			c.stop()
		}
		var all corev1.ServiceList
		Expect(api.List(ctx, &all, client.InNamespace(c.namespace))).To(Succeed())
		for i := range all.Items {
			Expect(client.IgnoreNotFound(api.Delete(ctx, &all.Items[i]))).To(Succeed())
		}
	})
	return c
}

// start runs a controller until stop is called, which returns after its last goroutine.
func (c *cluster) start() {
	GinkgoHelper()
	skip := true
	mgr, err := ctrl.NewManager(c.config, ctrl.Options{
		Scheme: scheme, Logger: GinkgoLogr, Cache: CacheOptions(c.namespace), NewClient: c.newClient,
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: &skip},
	})
	Expect(err).NotTo(HaveOccurred())
	Expect(Setup(mgr, c.options)).To(Succeed())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	c.stop = func() {
		cancel()
		Eventually(done).Should(Receive(BeNil()))
		c.stop = nil
	}
}

func (c *cluster) pool(ctx context.Context, name string, addresses ...string) *v1beta1.IPAddressPool {
	GinkgoHelper()
	p := &v1beta1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.namespace},
		Spec:       v1beta1.IPAddressPoolSpec{Addresses: addresses},
	}
	Expect(api.Create(ctx, p)).To(Succeed())
	return p
}

func (c *cluster) service(ctx context.Context, name string, change ...func(*corev1.Service)) *corev1.Service {
	GinkgoHelper()
	no := false
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.namespace, Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: &no,
			Ports: []corev1.ServicePort{{Port: 80}}, Selector: map[string]string{"app": name},
		},
	}
	for _, f := range change {
		f(s)
	}
	Expect(api.Create(ctx, s)).To(Succeed())
	return s
}

func annotated(key, value string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Annotations[key] = value }
}

func onPort(n int32) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.Ports = []corev1.ServicePort{{Port: n}} }
}

func stack(p corev1.IPFamilyPolicy, families ...corev1.IPFamily) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.IPFamilyPolicy, s.Spec.IPFamilies = &p, families }
}

// fresh reads an object anew; it is meant for Eventually.
func fresh[T client.Object](ctx context.Context, o T) func() (T, error) {
	return func() (T, error) {
		err := api.Get(ctx, client.ObjectKeyFromObject(o), o)
		return o, err
	}
}

func update[T client.Object](ctx context.Context, o T, change func(T)) {
	GinkgoHelper()
	Eventually(func() error {
		if err := api.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		change(o)
		return api.Update(ctx, o)
	}).Should(Succeed())
}

func ips(s *corev1.Service) []string {
	list := []string{}
	for _, i := range s.Status.LoadBalancer.Ingress {
		list = append(list, i.IP)
	}
	return list
}

func verdict(s *corev1.Service) string {
	c := meta.FindStatusCondition(s.Status.Conditions, v1beta1.ConditionAddressAllocated)
	if c == nil {
		return ""
	}
	return string(c.Status) + "/" + c.Reason
}

// haveIPs matches a Service with exactly these addresses in its status, in this order, and a condition that says so.
func haveIPs(want ...string) OmegaMatcher {
	return And(WithTransform(ips, Equal(want)), WithTransform(verdict, Equal("True/"+string(reason.Allocated))))
}

// beRefused matches a Service without address and with this reason.
func beRefused(r reason.Reason) OmegaMatcher {
	return And(WithTransform(ips, BeEmpty()), WithTransform(verdict, Equal("False/"+string(r))))
}

// told returns how often each reason was told about an object.
func told(ctx context.Context, o client.Object) func() (map[string]int, error) {
	return func() (map[string]int, error) {
		var all eventsv1.EventList
		if err := api.List(ctx, &all, client.InNamespace(o.GetNamespace())); err != nil {
			return nil, err
		}
		counts := map[string]int{}
		for _, e := range all.Items {
			if e.Regarding.Name == o.GetName() && e.Regarding.UID == o.GetUID() {
				counts[e.Reason]++
				if e.Series != nil {
					counts[e.Reason] += int(e.Series.Count)
				}
			}
		}
		return counts, nil
	}
}
