// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"metalsuite.io/cmd/process"
)

var _ = Describe("The controller command", func() {
	// run starts a controller with the rights of the role and returns how to end it, which it has to do without an error. The loggers of
	// the process are left alone: they are set once in the life of a process.
	run := func() (stop func()) {
		GinkgoHelper()
		o := newOptions()
		Expect(o.command().ParseFlags([]string{"--namespace=" + namespace, "--kubeconfig=" + kubeconfigFile(), "--port=0", "--health-probe-port=0"})).To(Succeed())
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

	It("decides as the only one, ends without an error and hands over at once", func(ctx SpecContext) {
		pool(ctx, "blue", "198.18.2.0/24")
		stopFirst := run()
		served(ctx, "first")
		first, err := holder(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(first).NotTo(BeEmpty())

		stopSecond := run()
		Consistently(ctx, holder, time.Second).Should(Equal(first))
		stopFirst()
		ended := time.Now()
		Eventually(ctx, holder, 4*time.Second).ShouldNot(Or(BeEmpty(), Equal(first)))
		served(ctx, "second")
		AddReportEntry("from the end of the leader to a grant of its successor", time.Since(ended).Round(time.Millisecond).String())

		stopSecond()
		Expect(holder(ctx)).To(BeEmpty())
		begin := time.Now()
		run()
		served(ctx, "third")
		Expect(time.Since(begin)).To(BeNumerically("<", newOptions().lease.Duration), "nobody is waited for: that takes as long as a Lease lasts")
	})
})

func TestReachEndsWithTheContext(t *testing.T) {
	o := newOptions()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := o.reach(ctx, &rest.Config{Host: "http://127.0.0.1:1"}, logr.Discard(), &process.Health{}, true); err != nil || ctx.Err() == nil {
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
	if err := o.reach(t.Context(), &rest.Config{Host: server.URL}, logr.Discard(), &process.Health{}, true); err != nil || asked.Load() < 3 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
}
