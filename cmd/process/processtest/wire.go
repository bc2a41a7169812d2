// SPDX-License-Identifier: Apache-2.0

package processtest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Wire is the only connection of a process to the API server: every request of the process passes it.
type Wire struct {
	server *httptest.Server
	marked atomic.Bool
	// release lets the requests for the Lease through that came after the mark.
	release chan struct{}

	mu sync.Mutex
	// done and refused are the writes that began after the mark, by what the API server answered.
	done, refused []string
}

type afterMark struct{}

// NewWire returns a wire with the rights of a role.
func NewWire(role *rest.Config) *Wire {
	GinkgoHelper()
	target, err := url.Parse(role.Host)
	Expect(err).NotTo(HaveOccurred())
	transport, err := rest.TransportFor(role)
	Expect(err).NotTo(HaveOccurred())
	w := &Wire{release: make(chan struct{})}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      transport,
		FlushInterval:  -1, // a watch hands on every event at once
		ModifyResponse: w.note,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) {}, // who asked has gone
	}
	w.server = httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		marked := w.marked.Load()
		if marked && strings.Contains(r.URL.Path, "/leases/") {
			select {
			case <-w.release:
			case <-r.Context().Done():
			}
		}
		proxy.ServeHTTP(answer, r.WithContext(context.WithValue(r.Context(), afterMark{}, marked)))
	}))
	DeferCleanup(w.server.Close)
	return w
}

// Mark makes the wire remember the writes that begin from now on, and hold back the requests for the Lease until Release.
func (w *Wire) Mark() { w.marked.Store(true) }

// Release lets the requests for the Lease through.
func (w *Wire) Release() { close(w.release) }

// KubeconfigFile writes the kubeconfig of a process that uses the wire and returns its path.
func (w *Wire) KubeconfigFile() string {
	GinkgoHelper()
	config := clientcmdapi.NewConfig()
	config.Clusters["api"] = &clientcmdapi.Cluster{Server: w.server.URL}
	config.Contexts["api"] = &clientcmdapi.Context{Cluster: "api"}
	config.CurrentContext = "api"
	raw, err := clientcmd.Write(*config)
	Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(os.WriteFile(path, raw, 0o600)).To(Succeed())
	return path
}

// note keeps the answer to a write that began after the mark. Events do not count: they tell of earlier writes.
func (w *Wire) note(answer *http.Response) error {
	after, _ := answer.Request.Context().Value(afterMark{}).(bool)
	if !after || answer.Request.Method == http.MethodGet || strings.HasSuffix(answer.Request.URL.Path, "/events") {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	text := fmt.Sprintf("%s %s: %s", answer.Request.Method, answer.Request.URL.Path, answer.Status)
	if answer.StatusCode < http.StatusBadRequest {
		w.done = append(w.done, text)
	} else {
		w.refused = append(w.refused, text)
	}
	return nil
}

// Writes returns the writes that began after the mark: those that took place and those that the API server refused.
func (w *Wire) Writes() (done, refused []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done, w.refused
}
