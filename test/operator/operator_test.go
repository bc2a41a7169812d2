// SPDX-License-Identifier: Apache-2.0

// Package operator runs the operator's command, as shipped, against an API server.
package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/cmd/operator"
	"metalsuite.io/controllers/admission"
	"metalsuite.io/test/shipped"
)

const namespace = "metallb-system"

func TestRole(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "the operator's command")
}

var _ = Describe("The operator command", func() {
	It("is ready once it can serve webhooks, which the API server calls by their Service and trusts", func(ctx SpecContext) {
		environment := &envtest.Environment{
			CRDDirectoryPaths: []string{shipped.Path(shipped.CRDs)}, ErrorIfCRDPathMissing: true,
		}
		// No kube-proxy runs here, so the API server has to find the endpoints of Services by itself.
		environment.ControlPlane.GetAPIServer().Configure().Set("enable-aggregator-routing", "true")
		// Owner references take rights, as on OpenShift.
		environment.ControlPlane.GetAPIServer().Configure().Append("enable-admission-plugins", "OwnerReferencesPermissionEnforcement")
		config, err := environment.Start()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(environment.Stop)
		scheme := runtime.NewScheme()
		Expect(errors.Join(clientgoscheme.AddToScheme(scheme), v1beta1.AddToScheme(scheme))).To(Succeed())
		api, err := client.New(config, client.Options{Scheme: scheme})
		Expect(err).NotTo(HaveOccurred())
		Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
		installAll := func(files ...string) {
			GinkgoHelper()
			Expect(shipped.Create(ctx, api, files...)).To(Succeed())
		}
		installAll("rbac/operator/service_account.yaml", "webhook/service.yaml", "webhook/manifests.yaml")
		port, health := freePort(), freePort()
		lead(ctx, api, port)

		By("accepting everything before the operator runs")
		Expect(api.Create(ctx, backwards("before"))).To(Succeed())

		kubeconfig := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
		user, err := environment.AddUser(envtest.User{
			Name: "system:serviceaccount:" + namespace + ":metalsuite-operator", Groups: []string{"system:serviceaccounts", "system:authenticated"},
		}, nil)
		Expect(err).NotTo(HaveOccurred())
		content, err := user.KubeConfig()
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(kubeconfig, content, 0o600)).To(Succeed())
		command := operator.New()
		command.SetArgs([]string{
			"--log-level=warn", "--namespace=" + namespace, "--kubeconfig=" + kubeconfig, "--image=x", "--port=0",
			"--health-probe-host=127.0.0.1", "--health-probe-port=" + strconv.Itoa(int(health)),
			"--webhook-port=" + strconv.Itoa(int(port)), "--webhook-cert-dir=" + GinkgoT().TempDir(),
		})
		running, stop := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan error, 1)
		go func() { ended <- command.ExecuteContext(running) }()
		DeferCleanup(func() {
			stop()
			Eventually(ended).Should(Receive(BeNil()))
		})

		By("not being ready without the right to write the Secret")
		url := fmt.Sprintf("http://127.0.0.1:%d/readyz?verbose", health)
		Eventually(ask).WithArguments(ctx, url).Should(And(HavePrefix("500 "), ContainSubstring("[-]certificate failed"), ContainSubstring("[-]webhooks failed")))
		installAll("rbac/operator/role.yaml", "rbac/operator/role_binding.yaml")
		Eventually(ask).WithArguments(ctx, url).Should(HavePrefix("200 "))

		By("refusing once it does")
		Eventually(func() error { return api.Create(ctx, backwards("after"), client.DryRunAll) }).Should(
			MatchError(ContainSubstring("denied the request")))
		Expect(api.Create(ctx, backwards("after"))).To(MatchError(ContainSubstring("is after the end IP")))
		fine := backwards("fine")
		fine.Spec.Addresses = []string{"198.18.0.0/24"}
		Expect(api.Create(ctx, fine)).To(Succeed())
	}, SpecTimeout(2*time.Minute))
})

func backwards(name string) *v1beta1.IPAddressPool {
	return &v1beta1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1beta1.IPAddressPoolSpec{Addresses: []string{"198.18.0.9-198.18.0.1"}},
	}
}

// ask returns status and text of an answer.
func ask(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(response.Body)
	return fmt.Sprintf("%d %s", response.StatusCode, text), errors.Join(err, response.Body.Close())
}

func freePort() uint16 {
	GinkgoHelper()
	l, err := net.Listen("tcp", ":0")
	Expect(err).NotTo(HaveOccurred())
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// lead makes this process the endpoint of the webhooks' Service. Its address is the one that the API server tells of itself, since both
// run on this machine.
func lead(ctx context.Context, api client.Client, port uint16) {
	GinkgoHelper()
	var self discoveryv1.EndpointSlice
	Eventually(func() error { return api.Get(ctx, client.ObjectKey{Namespace: "default", Name: "kubernetes"}, &self) }).Should(Succeed())
	Expect(api.Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "webhooks", Labels: map[string]string{discoveryv1.LabelServiceName: admission.ServiceName},
		},
		AddressType: self.AddressType,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: self.Endpoints[0].Addresses}},
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("webhook"), Port: ptr.To(int32(port))}},
	})).To(Succeed())
}
