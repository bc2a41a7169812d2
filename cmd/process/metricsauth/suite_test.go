// SPDX-License-Identifier: Apache-2.0

package metricsauth

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"metalsuite.io/test/shipped"
)

const namespace = "metallb-system"

var (
	api client.Client
	// roleConfig reaches the API server with the rights of the controller's ServiceAccount: those of config/rbac/metrics.
	roleConfig *rest.Config
)

func TestMetricsAuth(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "metrics authentication")
}

var _ = BeforeSuite(func(ctx context.Context) {
	ctrl.SetLogger(GinkgoLogr)
	environment := &envtest.Environment{}
	config, err := environment.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(environment.Stop)
	api, err = client.New(config, client.Options{})
	Expect(err).NotTo(HaveOccurred())
	Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	Expect(shipped.Create(ctx, api, "rbac/metrics/auth.yaml", "rbac/metrics/reader.yaml")).To(Succeed())
	serviceAccount(ctx, "controller")
	roleConfig = rest.AnonymousClientConfig(config)
	roleConfig.BearerToken = token(ctx, "controller")
})

func serviceAccount(ctx context.Context, name string) {
	GinkgoHelper()
	Expect(api.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})).To(Succeed())
}

// token returns a new token of a ServiceAccount.
func token(ctx context.Context, name string) string {
	GinkgoHelper()
	request := &authenticationv1.TokenRequest{}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	Expect(api.SubResource("token").Create(ctx, account, request)).To(Succeed())
	return request.Status.Token
}
