// SPDX-License-Identifier: Apache-2.0

package metricsauth

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// clock is the time of a filter; specs move it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// serve runs a metrics server as the roles do, whose filter asks the API server of the configuration, and returns its URL.
func serve(config *rest.Config, provider func(*rest.Config, *http.Client) (metricsserver.Filter, error)) string {
	GinkgoHelper()
	httpClient, err := rest.HTTPClientFor(config)
	Expect(err).NotTo(HaveOccurred())
	options := metricsserver.Options{BindAddress: "127.0.0.1:0", SecureServing: true, FilterProvider: provider}
	server, err := metricsserver.NewServer(options, config, httpClient)
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Start(ctx) }()
	DeferCleanup(func() { cancel(); Expect(<-done).To(Succeed()) })
	bound := server.(interface{ GetBindAddr() string })
	Eventually(bound.GetBindAddr).ShouldNot(BeEmpty())
	return "https://" + bound.GetBindAddr() + "/metrics"
}

// scrape asks for the metrics as Prometheus does and returns the status and the page.
func scrape(ctx context.Context, url, bearer string) (int, string) {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	Expect(err).NotTo(HaveOccurred())
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport}).Do(request)
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(response.Body.Close()).To(Succeed()) }()
	page, err := io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())
	return response.StatusCode, string(page)
}

// reader makes a ServiceAccount that may read the metrics.
func reader(ctx context.Context, name string) *rbacv1.ClusterRoleBinding {
	GinkgoHelper()
	serviceAccount(ctx, name)
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "metallb-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: name}},
	}
	Expect(api.Create(ctx, binding)).To(Succeed())
	return binding
}

var _ = Describe("metrics behind the API server's authentication", func() {
	It("serves a ServiceAccount that is bound to the shipped ClusterRole, and no other caller", func(ctx SpecContext) {
		url := serve(roleConfig, Filter)
		reader(ctx, "prometheus")
		serviceAccount(ctx, "default-like")

		Eventually(func() int { code, _ := scrape(ctx, url, token(ctx, "prometheus")); return code }).Should(Equal(200))
		_, page := scrape(ctx, url, token(ctx, "prometheus"))
		Expect(page).To(ContainSubstring("go_goroutines"))

		code, page := scrape(ctx, url, token(ctx, "default-like"))
		Expect(code).To(Equal(403))
		Expect(page).To(ContainSubstring("system:serviceaccount:metallb-system:default-like may not get /metrics"))

		for _, bearer := range []string{"", "garbage", token(ctx, "prometheus") + "x"} {
			code, page = scrape(ctx, url, bearer)
			Expect(code).To(Equal(401))
			Expect(page).NotTo(ContainSubstring("go_goroutines"))
		}
	})

	It("notices a permission that was taken away once the cached one has expired", func(ctx SpecContext) {
		time := &clock{now: time.Now()}
		url := serve(roleConfig, func(config *rest.Config, httpClient *http.Client) (metricsserver.Filter, error) {
			r, err := newClient(config, httpClient)
			return filter(r, time.Now), err
		})
		binding := reader(ctx, "former")
		bearer := token(ctx, "former")
		status := func() int { code, _ := scrape(ctx, url, bearer); return code }
		Eventually(func() int { time.forward(forbiddenTTL); return status() }).Should(Equal(200))

		Expect(api.Delete(ctx, binding)).To(Succeed())
		Expect(status()).To(Equal(200), "from the cache")
		Eventually(func() int { time.forward(allowedTTL); return status() }).Should(Equal(403))
	})

	It("answers 503 while the API server is away or refuses the reviews", func(ctx SpecContext) {
		bearer := token(ctx, "controller")
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		gone := rest.CopyConfig(roleConfig)
		gone.Host = "https://" + listener.Addr().String()
		Expect(listener.Close()).To(Succeed())
		code, _ := scrape(ctx, serve(gone, Filter), bearer)
		Expect(code).To(Equal(503))

		serviceAccount(ctx, "without-rights")
		refused := rest.CopyConfig(roleConfig)
		refused.BearerToken = token(ctx, "without-rights")
		code, _ = scrape(ctx, serve(refused, Filter), bearer)
		Expect(code).To(Equal(503))
	})

	It("needs a configuration that a client can be made of", func() {
		_, err := Filter(&rest.Config{Host: "://"}, &http.Client{})
		Expect(err).To(MatchError(ContainSubstring("token reviews")))
	})
})
