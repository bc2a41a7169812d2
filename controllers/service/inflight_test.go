// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/kube"
)

func TestWhatWasCertainlyNotMade(t *testing.T) {
	services := schema.GroupResource{Resource: "services"}
	coded := func(code int32) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Code: code}}
	}
	for name, row := range map[string]struct {
		err  error
		want bool
	}{
		"refused by a webhook":         {apierrors.NewForbidden(services, "web", errors.New("no")), true},
		"not understood":               {apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "web", nil), true},
		"the Service is gone":          {apierrors.NewNotFound(services, "web"), true},
		"not sent":                     {fmt.Errorf("%w: %w", kube.ErrNotSent, errors.New("not leading")), true},
		"somebody wrote since":         {apierrors.NewConflict(services, "web", errors.New("modified")), false},
		"too much at once":             {apierrors.NewTooManyRequestsError("later"), false},
		"gave up waiting":              {coded(http.StatusRequestTimeout), false},
		"the API server timed out":     {apierrors.NewServerTimeout(services, "patch", 1), false},
		"the API server failed inside": {apierrors.NewInternalError(errors.New("etcd")), false},
		"no answer":                    {context.DeadlineExceeded, false},
	} {
		if got := notMade(fmt.Errorf("writing: %w", row.err)); got != row.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestInFlight(t *testing.T) {
	key, other := allocation.Key{Namespace: "n", Name: "web"}, allocation.Key{Namespace: "n", Name: "other"}
	a, b := netip.MustParseAddr("198.18.2.1"), netip.MustParseAddr("198.18.2.2")
	for name, row := range map[string]struct {
		do   func(*inFlight)
		a, b []allocation.Key
	}{
		"sent": {func(f *inFlight) { f.sent(key, []netip.Addr{a}, "1") }, []allocation.Key{key}, nil},
		"refused": {func(f *inFlight) {
			f.refused(key, f.sent(key, []netip.Addr{a, b}, "1"), "1")
		}, nil, nil},
		"what got no answer stays when the same is refused": {func(f *inFlight) {
			f.sent(key, []netip.Addr{a}, "1")
			f.refused(key, f.sent(key, []netip.Addr{a}, "1"), "1")
		}, []allocation.Key{key}, nil},
		"what got no answer stays when more is refused": {func(f *inFlight) {
			f.sent(key, []netip.Addr{a}, "1")
			f.refused(key, f.sent(key, []netip.Addr{a, b}, "1"), "1")
		}, []allocation.Key{key}, nil},
		"a refusal of long ago": {func(f *inFlight) {
			added := f.sent(key, []netip.Addr{a}, "1")
			f.sent(key, []netip.Addr{a}, "2")
			f.refused(key, added, "1")
		}, []allocation.Key{key}, nil},
		"another's is not touched": {func(f *inFlight) {
			f.sent(other, []netip.Addr{a}, "7")
			f.refused(key, f.sent(key, []netip.Addr{a}, "1"), "1")
		}, []allocation.Key{other}, nil},
		"heard of": {func(f *inFlight) {
			f.sent(key, []netip.Addr{a}, "1")
			f.heard(key, "1")
			f.sent(other, []netip.Addr{b}, "1")
			f.heard(other, "2")
		}, []allocation.Key{key}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newInFlight()
			row.do(f)
			if !slices.Equal(f.bearers(a), row.a) || !slices.Equal(f.bearers(b), row.b) {
				t.Errorf("%v and %v", f.bearers(a), f.bearers(b))
			}
			if len(row.a) == 0 && len(f.flights)+len(f.byAddress) > 0 {
				t.Errorf("remembers %v, %v", f.flights, f.byAddress)
			}
		})
	}
}

var _ = Describe("A Service whose status the API server refuses to write", func() {
	It("does not keep its address from others once it has lost it", func(ctx context.Context) {
		var refusals atomic.Int32
		c := newCluster(ctx, func(c *cluster) {
			c.newClient = func(config *rest.Config, o client.Options) (client.Client, error) {
				base, err := client.NewWithWatch(config, o)
				return interceptor.NewClient(base, interceptor.Funcs{SubResourcePatch: func(ctx context.Context, b client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
					if _, ok := o.(*corev1.Service); ok && o.GetName() == "refused" {
						refusals.Add(1)
						return apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, o.GetName(), errors.New("a policy of the cluster"))
					}
					return b.SubResource(sub).Patch(ctx, o, p, opts...)
				}}), err
			}
		})
		c.start()
		blue := c.pool(ctx, "blue", "198.18.2.1-198.18.2.2")
		c.service(ctx, "refused")
		Eventually(refusals.Load).Should(BeNumerically(">=", 1))
		witness := c.service(ctx, "witness")
		Eventually(fresh(ctx, witness)).Should(haveIPs("198.18.2.2"))

		By("giving the address to a Service that asks for a pool which is only for those that do")
		Expect(api.Delete(ctx, blue)).To(Succeed())
		// A pool that takes the place of another one in the same pass takes over the addresses of its Services.
		Eventually(fresh(ctx, witness)).Should(beRefused(reason.NoPools))
		no := false
		Expect(api.Create(ctx, &v1beta1.IPAddressPool{
			ObjectMeta: metav1.ObjectMeta{Name: "green", Namespace: c.namespace},
			Spec:       v1beta1.IPAddressPoolSpec{Addresses: []string{"198.18.2.1-198.18.2.1"}, AutoAssign: &no},
		})).To(Succeed())
		Eventually(fresh(ctx, c.service(ctx, "web", annotated(v1beta1.AnnotationAddressPool, "green")))).Should(haveIPs("198.18.2.1"))
	})
})
