// SPDX-License-Identifier: Apache-2.0

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
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"
)

const namespace = "metallb-system"

func TestRole(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second)
	RunSpecs(t, "operator role")
}

var _ = Describe("The operator command", func() {
	It("is ready once it has a certificate and serves the webhooks", func(ctx context.Context) {
		api, kubeconfig := cluster()
		Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
		health, hooks, folder := freePort(), freePort(), GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(folder, "kubeconfig"), kubeconfig, 0o600)).To(Succeed())
		command := New()
		command.SilenceUsage, command.SilenceErrors = true, true
		command.SetArgs([]string{
			"--namespace=" + namespace, "--image=x", "--kubeconfig=" + filepath.Join(folder, "kubeconfig"), "--port=0", "--log-level=none",
			"--health-probe-host=127.0.0.1", fmt.Sprintf("--health-probe-port=%d", health),
			fmt.Sprintf("--webhook-port=%d", hooks), "--webhook-cert-dir=" + filepath.Join(folder, "none"),
		})
		running, stop := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan error, 1)
		go func() { ended <- command.ExecuteContext(running) }()
		DeferCleanup(func() {
			stop()
			Eventually(ended, "40s").Should(Receive(BeNil()))
		})

		By("starting without the right to write the Secret")
		url := fmt.Sprintf("http://127.0.0.1:%d/readyz?verbose", health)
		Eventually(ask).WithArguments(ctx, url).Should(And(HavePrefix("500 "), ContainSubstring("[-]certificate failed"), ContainSubstring("[-]webhooks failed")))
		Consistently(ask).WithArguments(ctx, url).Should(HavePrefix("500 "))

		By("getting it")
		install(ctx, api, filepath.Join("..", "..", "config", "rbac", "operator"))
		Eventually(ask).WithArguments(ctx, url).Should(HavePrefix("200 "))
	}, NodeTimeout(2*time.Minute))
})

// cluster starts an API server for the length of a spec and returns a client of it, and a kubeconfig of the operator's service account.
func cluster() (client.Client, []byte) {
	GinkgoHelper()
	environment := &envtest.Environment{
		CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true,
	}
	config, err := environment.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(environment.Stop)
	user, err := environment.AddUser(envtest.User{
		Name: "system:serviceaccount:" + namespace + ":metalsuite-operator", Groups: []string{"system:serviceaccounts", "system:authenticated"},
	}, nil)
	Expect(err).NotTo(HaveOccurred())
	kubeconfig, err := user.KubeConfig()
	Expect(err).NotTo(HaveOccurred())
	scheme, err := newScheme()
	Expect(err).NotTo(HaveOccurred())
	api, err := client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	return api, kubeconfig
}

// install creates the roles and bindings of a folder.
func install(ctx context.Context, api client.Client, folder string) {
	GinkgoHelper()
	for _, name := range []string{"role.yaml", "role_binding.yaml"} {
		raw, err := os.ReadFile(filepath.Join(folder, name))
		Expect(err).NotTo(HaveOccurred())
		for document := range strings.SplitSeq(string(raw), "\n---\n") {
			object := &unstructured.Unstructured{}
			Expect(yaml.Unmarshal([]byte(document), &object.Object)).To(Succeed())
			if len(object.Object) > 0 {
				Expect(api.Create(ctx, object)).To(Succeed())
			}
		}
	}
}

func freePort() int {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	Expect(listener.Close()).To(Succeed())
	return listener.Addr().(*net.TCPAddr).Port
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
