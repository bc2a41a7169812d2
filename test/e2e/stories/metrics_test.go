// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/test/suite"
)

// tokenOf makes a service account for the length of a story and returns a token of it.
func tokenOf(ctx context.Context, name string) string {
	GinkgoHelper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	apply(ctx, account)
	request := &authenticationv1.TokenRequest{}
	Expect(cluster.Client.SubResource("token").Create(ctx, account, request)).To(Succeed())
	return request.Status.Token
}

// scrape asks a pod for its metrics from the network of its node, and returns the status and the body.
func scrape(ctx context.Context, pod corev1.Pod, token string) (int, string, error) {
	browser := &http.Client{Transport: &http.Transport{
		DialContext:       cluster.Lab.Node(pod.Spec.NodeName).Dial,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // the certificate is made by the pod itself
		DisableKeepAlives: true,
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+net.JoinHostPort(pod.Status.PodIP, "9120")+"/metrics", nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := browser.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}

var _ = Describe("The metrics of every role", func() {
	It("are served to who may get /metrics and to nobody else", func(ctx SpecContext) {
		reader, other := tokenOf(ctx, "scraper"), tokenOf(ctx, "passer-by")
		apply(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "stories-scraper"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "metallb-metrics-reader"},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "scraper", Namespace: namespace}},
		})
		seen := map[string]bool{}
		var pods corev1.PodList
		Expect(cluster.Client.List(ctx, &pods, client.InNamespace(suite.Namespace))).To(Succeed())
		for _, pod := range pods.Items {
			if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
				continue
			}
			seen[pod.Spec.ServiceAccountName] = true
			status := func(token string) func(context.Context) (string, error) {
				return func(ctx context.Context) (string, error) {
					code, body, err := scrape(ctx, pod, token)
					return fmt.Sprintf("%d %.4096s", code, body), err
				}
			}
			Eventually(status(reader)).WithContext(ctx).Should(HavePrefix("200"), pod.Name)
			Eventually(status(reader)).WithContext(ctx).Should(ContainSubstring("# TYPE "), pod.Name)
			Eventually(status("")).WithContext(ctx).Should(HavePrefix("401"), pod.Name)
			Eventually(status(other)).WithContext(ctx).Should(HavePrefix("403"), pod.Name)
		}
		Expect(seen).To(And(HaveKey("metalsuite-operator"), HaveKey("controller"), HaveKey("speaker"), HaveKey("endpoint-copier")))
	})
})
