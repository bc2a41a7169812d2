// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"metalsuite.io/api/v1beta1"
)

const namespace = "metallb-system"

func TestRole(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "controller role")
}

var _ = Describe("The controller command", Ordered, func() {
	var (
		api        client.Client
		kubeconfig []byte
	)

	BeforeAll(func(ctx SpecContext) {
		logf.SetLogger(GinkgoLogr)
		environment := &envtest.Environment{
			CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true,
		}
		config, err := environment.Start()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(environment.Stop)
		scheme := runtime.NewScheme()
		Expect(errors.Join(clientgoscheme.AddToScheme(scheme), v1beta1.AddToScheme(scheme))).To(Succeed())
		api, err = client.New(config, client.Options{Scheme: scheme})
		Expect(err).NotTo(HaveOccurred())
		Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
		install(ctx, api, filepath.Join("..", "..", "config", "rbac", "controller"))
		user, err := environment.AddUser(envtest.User{
			Name: "system:serviceaccount:" + namespace + ":controller", Groups: []string{"system:serviceaccounts", "system:authenticated"},
		}, nil)
		Expect(err).NotTo(HaveOccurred())
		kubeconfig, err = user.KubeConfig()
		Expect(err).NotTo(HaveOccurred())
	})

	// run starts a controller with the rights of the role and returns how to end it, which it has to do without an error. The loggers of
	// the process are left alone: they are set once in the life of a process.
	run := func() (stop func()) {
		GinkgoHelper()
		path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
		Expect(os.WriteFile(path, kubeconfig, 0o600)).To(Succeed())
		o := newOptions()
		Expect(o.command().ParseFlags([]string{"--namespace=" + namespace, "--kubeconfig=" + path, "--port=0", "--health-probe-port=0"})).To(Succeed())
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- o.serve(ctx, GinkgoLogr) }()
		stop = sync.OnceFunc(func() {
			GinkgoHelper()
			cancel()
			Eventually(ended).Should(Receive(BeNil()))
		})
		DeferCleanup(stop)
		return stop
	}

	holder := func(ctx context.Context) func() (string, error) {
		return func() (string, error) {
			lease := &coordinationv1.Lease{}
			err := client.IgnoreNotFound(api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: leaderElectionID}, lease))
			return ptr.Deref(lease.Spec.HolderIdentity, ""), err
		}
	}

	served := func(ctx context.Context, name string) {
		GinkgoHelper()
		s := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
		}
		Expect(api.Create(ctx, s)).To(Succeed())
		Eventually(func() ([]corev1.LoadBalancerIngress, error) {
			err := api.Get(ctx, client.ObjectKeyFromObject(s), s)
			return s.Status.LoadBalancer.Ingress, err
		}).Should(HaveLen(1))
	}

	It("decides as the only one, ends without an error and hands over at once", func(ctx SpecContext) {
		Expect(api.Create(ctx, &v1beta1.IPAddressPool{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "blue"}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"198.18.2.0/24"}},
		})).To(Succeed())
		stopFirst := run()
		served(ctx, "first")
		first, err := holder(ctx)()
		Expect(err).NotTo(HaveOccurred())
		Expect(first).NotTo(BeEmpty())

		stopSecond := run()
		Consistently(holder(ctx), time.Second).Should(Equal(first))
		stopFirst()
		Eventually(holder(ctx), 3*time.Second).ShouldNot(Or(BeEmpty(), Equal(first)))
		served(ctx, "second")

		stopSecond()
		Expect(holder(ctx)()).To(BeEmpty())
		begin := time.Now()
		run()
		served(ctx, "third")
		Expect(time.Since(begin)).To(BeNumerically("<", 3*time.Second), "nobody is waited for")
	})
})

func TestReachEndsWithTheContext(t *testing.T) {
	o := newOptions()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := o.reach(ctx, &rest.Config{Host: "http://127.0.0.1:1"}, logr.Discard()); err != nil || ctx.Err() == nil {
		t.Errorf("an API server that is away: %v", err)
	}
}

func TestReachWaits(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) <= 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"major":"1","minor":"36"}`))
	}))
	defer server.Close()
	o := newOptions()
	if err := o.reach(t.Context(), &rest.Config{Host: server.URL}, logr.Discard()); err != nil || asked.Load() < 3 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
}

// install creates the objects of the role as the package ships them, without the kustomization around them.
func install(ctx context.Context, api client.Client, folder string) {
	GinkgoHelper()
	for _, file := range []string{"service_account.yaml", "role.yaml", "role_binding.yaml"} {
		f, err := os.Open(filepath.Join(folder, file))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(f.Close)
		decoder := yaml.NewYAMLOrJSONDecoder(f, 4096)
		for {
			object := &unstructured.Unstructured{}
			err := decoder.Decode(object)
			if errors.Is(err, io.EOF) {
				break
			}
			Expect(err).NotTo(HaveOccurred())
			if len(object.Object) > 0 {
				Expect(api.Create(ctx, object)).To(Succeed())
			}
		}
	}
}
