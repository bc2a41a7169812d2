// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// lists is a reader that answers lists of ServiceCIDRs.
type lists func(context.Context, *networkingv1.ServiceCIDRList) error

func (l lists) List(ctx context.Context, list client.ObjectList, _ ...client.ListOption) error {
	return l(ctx, list.(*networkingv1.ServiceCIDRList))
}

func (lists) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("nobody gets a ServiceCIDR")
}

var (
	errForbiddenCIDRs = apierrors.NewForbidden(schema.GroupResource{Group: "networking.k8s.io", Resource: "servicecidrs"}, "", errors.New("no right"))
	errOtherCIDRs     = errors.New("the connection broke")
)

// TestServiceCIDRsNeverHoldUpAllocation follows one reader: each row is one pass at a time, with what the API server and the cache answer then.
func TestServiceCIDRsNeverHoldUpAllocation(t *testing.T) {
	const minutes = time.Minute
	fills := func(context.Context) error { return nil }
	waits := func(ctx context.Context) error { <-ctx.Done(); return apierrors.NewTimeoutError("not synced", 0) }
	type row struct {
		name    string
		at      time.Duration
		served  bool
		live    error
		cache   func(context.Context) error
		watch   error
		want    int           // ServiceCIDRs
		problem bool          // one is told
		again   time.Duration // when to ask again; zero when changes are heard of
		err     bool
		asked   int // how often the API server was asked so far
	}
	tests := []struct {
		name string
		rows []row
	}{
		{"the kind comes with an upgrade", []row{
			{name: "before", again: 10 * minutes},
			{name: "too early", at: 9 * minutes, served: true, again: 10 * minutes},
			{name: "later", at: 10 * minutes, served: true, cache: fills, want: 1, asked: 1},
			{name: "then from the cache only", at: 11 * minutes, served: true, live: errOtherCIDRs, cache: fills, want: 1, asked: 1},
		}},
		{"the right is missing", []row{
			{name: "told", served: true, live: errForbiddenCIDRs, cache: waits, problem: true, again: 10 * minutes, asked: 1},
			{name: "not asked all the time", at: 5 * minutes, served: true, cache: fills, problem: true, again: 10 * minutes, asked: 1},
			{name: "still missing", at: 10 * minutes, served: true, live: errForbiddenCIDRs, cache: waits, problem: true, again: 20 * minutes, asked: 2},
			{name: "given", at: 20 * minutes, served: true, cache: fills, want: 1, asked: 3},
		}},
		{"the cache does not fill", []row{
			{name: "told", served: true, cache: waits, problem: true, asked: 1},
			{name: "still", at: minutes, served: true, cache: waits, problem: true, asked: 1},
			{name: "filled", at: 2 * minutes, served: true, cache: fills, want: 1, asked: 1},
		}},
		{"another error is tried again at once", []row{
			{name: "of the API server", served: true, live: errOtherCIDRs, err: true, asked: 1},
			{name: "of the watch", served: true, watch: errOtherCIDRs, err: true, asked: 2},
			{name: "of the cache", served: true, cache: func(context.Context) error { return errOtherCIDRs }, err: true, asked: 3},
			{name: "none", served: true, cache: fills, want: 1, asked: 3},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r row
			asked := 0
			c := &serviceCIDRs{
				live: lists(func(context.Context, *networkingv1.ServiceCIDRList) error { asked++; return r.live }),
				cached: lists(func(ctx context.Context, list *networkingv1.ServiceCIDRList) error {
					list.Items = make([]networkingv1.ServiceCIDR, 1)
					return r.cache(ctx)
				}),
				watch: func() error { return r.watch }, now: func() time.Time { return noon.Add(r.at) }, patience: time.Millisecond,
			}
			for _, r = range tt.rows {
				mapper := meta.NewDefaultRESTMapper(nil)
				if r.served {
					mapper.Add(networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR"), meta.RESTScopeRoot)
				}
				c.mapper = mapper
				got, err := c.list(context.Background())
				if (err != nil) != r.err || len(got.items) != r.want || asked != r.asked {
					t.Errorf("%s: %d objects after asking %d times: %v", r.name, len(got.items), asked, err)
				}
				if (got.problem != nil) != r.problem || r.problem && got.problem.Reason != reason.ServiceCIDRsUnknown {
					t.Errorf("%s: problem %v", r.name, got.problem)
				}
				if r.again == 0 && !got.again.IsZero() || r.again > 0 && !got.again.Equal(noon.Add(r.again)) {
					t.Errorf("%s: asks again at %s", r.name, got.again)
				}
			}
		})
	}
}

// TestAnEndedPassIsNoUnreadableCache: when the process ends while it waits for the cache, nothing is wrong with the ServiceCIDRs.
func TestAnEndedPassIsNoUnreadableCache(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &serviceCIDRs{watched: true, now: time.Now, cached: lists(func(ctx context.Context, _ *networkingv1.ServiceCIDRList) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})}
	if got, err := c.list(ctx); err == nil {
		t.Errorf("got %+v", got)
	}
}

// TestAQuietClusterIsAskedForServiceCIDRsAgain: nothing but the alarm wakes the controller, which withholds cluster IPs one by one until then.
func TestAQuietClusterIsAskedForServiceCIDRsAgain(t *testing.T) {
	w := newWorld(nil)
	w.apply(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: here}})
	w.apply(&v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "blue", Namespace: here}, Spec: v1beta1.IPAddressPoolSpec{Addresses: []string{"10.96.0.0/28"}}})
	w.apply(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: here},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	})
	p := newProcess(w, Options{Namespace: here}, silence{})
	defer p.end()
	answer := cidrs{problem: reason.New(reason.ServiceCIDRsUnknown, "no right"), again: w.now.Add(lookForServiceCIDRs)}
	p.serviceCIDRs = func(context.Context) (cidrs, error) { return answer, nil }
	told := func() []string {
		t.Helper()
		if err := p.settle(); err != nil {
			t.Fatal(err)
		}
		said, _ := p.writers.board.configuration()
		return said.warnings
	}
	if got := told(); len(got) != 1 || !strings.HasPrefix(got[0], "ServiceCIDRsUnknown: no right. ") {
		t.Errorf("warnings %q", got)
	}
	if counts, _ := p.allocator.Counts("blue"); counts.AvailableIPv4 != 14 { // one is a cluster IP, one is granted
		t.Errorf("%d addresses are available", counts.AvailableIPv4)
	}
	if !p.rings.Equal(answer.again) {
		t.Fatalf("the alarm rings at %s, want %s", p.rings, answer.again)
	}
	w.now = answer.again
	answer = cidrs{items: []networkingv1.ServiceCIDR{{Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16"}}}}}
	if got := told(); len(got) != 0 {
		t.Errorf("warnings %q", got)
	}
	if counts, _ := p.allocator.Counts("blue"); counts.AvailableIPv4 != 0 {
		t.Errorf("%d addresses of the Service CIDR are available", counts.AvailableIPv4)
	}
}

// refusing answers requests for ServiceCIDRs as an API server does whose role does not allow them.
type refusing struct{ http.RoundTripper }

func (r refusing) RoundTrip(request *http.Request) (*http.Response, error) {
	if !strings.Contains(request.URL.Path, "/servicecidrs") {
		return r.RoundTripper.RoundTrip(request)
	}
	const body = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"servicecidrs is forbidden"}`
	return &http.Response{
		StatusCode: http.StatusForbidden, Status: "403 Forbidden", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader([]byte(body))),
	}, nil
}

var _ = Describe("The controller under the ClusterRole of an earlier version", func() {
	It("serves without the right to list ServiceCIDRs, and says so", func(ctx context.Context) {
		c := newCluster(ctx)
		c.config = rest.CopyConfig(config)
		c.config.Wrap(func(inner http.RoundTripper) http.RoundTripper { return refusing{inner} })
		c.start()
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.3")
		Eventually(fresh(ctx, c.service(ctx, "web"))).Should(haveIPs("198.18.2.1"))
		state := &v1beta1.ConfigurationState{ObjectMeta: metav1.ObjectMeta{Name: stateName, Namespace: c.namespace}}
		warned := func(s *v1beta1.ConfigurationState) bool {
			return slices.ContainsFunc(s.Status.Conditions, func(c metav1.Condition) bool {
				return c.Status == metav1.ConditionTrue && c.Reason == string(reason.ConfigurationWarning) && strings.Contains(c.Message, string(reason.ServiceCIDRsUnknown))
			})
		}
		Eventually(fresh(ctx, state)).Should(WithTransform(warned, BeTrue()))
	})
})
