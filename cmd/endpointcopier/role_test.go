// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

const namespace = "metallb-system"

func TestRole(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "endpoint-copier role")
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
			if err := decoder.Decode(object); errors.Is(err, io.EOF) {
				break
			} else {
				Expect(err).NotTo(HaveOccurred())
			}
			if len(object.Object) > 0 {
				Expect(api.Create(ctx, object)).To(Succeed())
			}
		}
	}
}

// freePort is a port that nobody listened on a moment ago.
func freePort() int {
	GinkgoHelper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

var _ = Describe("The endpoint-copier command", func() {
	It("mirrors with the rights of its own role, becomes ready and hands the lead over when it ends", func(ctx SpecContext) {
		environment := &envtest.Environment{}
		config, err := environment.Start()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(environment.Stop)
		api, err := client.New(config, client.Options{})
		Expect(err).NotTo(HaveOccurred())
		Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
		install(ctx, api, filepath.Join("..", "..", "config", "rbac", "endpoint-copier"))
		user, err := environment.AddUser(envtest.User{
			Name:   "system:serviceaccount:" + namespace + ":endpoint-copier",
			Groups: []string{"system:serviceaccounts", "system:authenticated"},
		}, nil)
		Expect(err).NotTo(HaveOccurred())
		kubeconfig, err := user.KubeConfig()
		Expect(err).NotTo(HaveOccurred())
		path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
		Expect(os.WriteFile(path, kubeconfig, 0o600)).To(Succeed())

		port := freePort()
		command := New()
		command.SetArgs([]string{
			"--namespace=" + namespace, "--kubeconfig=" + path, "--leader-elect", "--port=0",
			"--health-probe-host=127.0.0.1", fmt.Sprintf("--health-probe-port=%d", port), "--log-level=error",
		})
		running, stop := context.WithCancel(ctx)
		defer stop()
		ended := make(chan error, 1)
		go func() { ended <- command.ExecuteContext(running) }()

		Eventually(func() (int, error) {
			answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", port))
			if err != nil {
				return 0, err
			}
			return answer.StatusCode, answer.Body.Close()
		}).Should(Equal(http.StatusOK))

		vip := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes-vip"},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Name: "k8s-api", Port: 6443}}},
		}
		Expect(api.Create(ctx, vip)).To(Succeed())
		Eventually(func(g Gomega) {
			slices := &discoveryv1.EndpointSliceList{}
			g.Expect(api.List(ctx, slices, client.InNamespace("default"), client.MatchingLabels{discoveryv1.LabelServiceName: vip.Name})).To(Succeed())
			g.Expect(slices.Items).To(HaveLen(1))
			g.Expect(slices.Items[0].Endpoints).To(HaveLen(1))
		}).Should(Succeed())
		Eventually(func(g Gomega) {
			events := &eventsv1.EventList{}
			g.Expect(api.List(ctx, events, client.InNamespace("default"))).To(Succeed())
			g.Expect(events.Items).To(ContainElement(HaveField("Reason", "EndpointsCopied")))
		}).Should(Succeed())

		stop()
		Eventually(ended).Should(Receive(BeNil()))
		lease := &coordinationv1.Lease{}
		Expect(api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: leaderElectionID}, lease)).To(Succeed())
		Expect(ptr.Deref(lease.Spec.HolderIdentity, "")).To(BeEmpty())
	})
})
