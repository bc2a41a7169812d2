// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// overtaken writes what a leader would write whose lease ran out while it was stopped.
func overtaken(ctx context.Context, s *corev1.Service, address, pool string, since time.Time) {
	GinkgoHelper()
	Eventually(func() error {
		if err := api.Get(ctx, client.ObjectKeyFromObject(s), s); err != nil {
			return err
		}
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
		meta.RemoveStatusCondition(&s.Status.Conditions, v1beta1.ConditionAddressAllocated)
		meta.SetStatusCondition(&s.Status.Conditions, metav1.Condition{
			Type: v1beta1.ConditionAddressAllocated, Status: metav1.ConditionTrue, Reason: string(reason.Allocated),
			Message: address + ofPool + pool, LastTransitionTime: metav1.NewTime(since),
		})
		metav1.SetMetaDataAnnotation(&s.ObjectMeta, v1beta1.AnnotationAllocatedFromPool, pool)
		return api.Status().Update(ctx, s)
	}).Should(Succeed())
}

var _ = Describe("An address that an overtaken leader wrote", func() {
	var (
		c            *cluster
		first, other *corev1.Service
	)
	BeforeEach(func(ctx context.Context) {
		c = newCluster(ctx)
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.9")
		c.start()
		first = c.service(ctx, "first")
		Eventually(fresh(ctx, first)).Should(haveIPs("198.18.2.1"))
		other = c.service(ctx, "other")
		Eventually(fresh(ctx, other)).Should(haveIPs("198.18.2.2"))
	})

	It("is taken back when the Service that has it is older", func(ctx context.Context) {
		overtaken(ctx, other, "198.18.2.1", "blue", time.Now().Add(time.Hour))
		Eventually(fresh(ctx, other)).Should(haveIPs("198.18.2.2"))
		Expect(fresh(ctx, first)()).To(haveIPs("198.18.2.1"))
	})

	It("stays when its Service is older, and the younger one gets another", func(ctx context.Context) {
		overtaken(ctx, other, "198.18.2.1", "blue", time.Now().Add(-time.Hour))
		Eventually(fresh(ctx, first)).Should(haveIPs("198.18.2.2"))
		Expect(fresh(ctx, other)()).To(haveIPs("198.18.2.1"))
		Eventually(told(ctx, first)).Should(HaveKeyWithValue(string(reason.ClearAssignment), 1))
		c.stop()
		c.start()
		Eventually(fresh(ctx, c.service(ctx, "third"))).Should(haveIPs("198.18.2.3"))
		Expect(fresh(ctx, first)()).To(haveIPs("198.18.2.2"))
		Expect(fresh(ctx, other)()).To(haveIPs("198.18.2.1"))
	})

	It("stays when nobody else has it", func(ctx context.Context) {
		overtaken(ctx, other, "198.18.2.7", "blue", time.Now())
		Eventually(fresh(ctx, c.service(ctx, "asking", annotated(v1beta1.AnnotationLoadBalancerIPs, "198.18.2.7")))).Should(beRefused(reason.AddressInUse))
		Expect(fresh(ctx, other)()).To(haveIPs("198.18.2.7"))
		Eventually(fresh(ctx, c.service(ctx, "third"))).Should(haveIPs("198.18.2.2"))
	})
})

var _ = Describe("A new leader", func() {
	It("waits until its cache has what was written before its time", func(ctx context.Context) {
		c := newCluster(ctx)
		s := c.service(ctx, "web")
		behind := &stale{Reader: api, version: "1"}
		b := &barrier{live: api, cached: behind, namespace: c.namespace}
		Expect(b.pass(ctx)).To(MatchError(errBehind))
		behind.missing = true
		Expect(b.pass(ctx)).To(MatchError(errBehind))
		behind.missing, behind.version = false, ""
		update(ctx, s, func(s *corev1.Service) { metav1.SetMetaDataAnnotation(&s.ObjectMeta, "later", "yes") })
		Expect(b.pass(ctx)).To(Succeed())
		behind.missing = true
		Expect(b.pass(ctx)).To(Succeed())
	})

	It("does not wait for a Service that is gone", func(ctx context.Context) {
		c := newCluster(ctx)
		s := c.service(ctx, "web")
		behind := &stale{Reader: api, missing: true}
		b := &barrier{live: api, cached: behind, namespace: c.namespace}
		Expect(b.pass(ctx)).To(MatchError(errBehind))
		Expect(api.Delete(ctx, s)).To(Succeed())
		behind.only = client.ObjectKeyFromObject(s)
		Expect(b.pass(ctx)).To(Succeed())
	})

	It("does not wait when nobody has led since it began to read", func(ctx context.Context) {
		b := &barrier{undisturbed: func() bool { return true }}
		Expect(b.pass(ctx)).To(Succeed())
	})

	It("reads in pages", func(ctx context.Context) {
		pages := &paged{Reader: api}
		b := &barrier{live: pages, cached: api}
		Expect(b.pass(ctx)).To(Succeed())
		Expect(pages.limits).To(HaveEach(BeEquivalentTo(pageSize)))
	})
})

// stale is a cache that is behind: Services have an old version there, or are missing.
type stale struct {
	client.Reader
	version string
	missing bool
	only    types.NamespacedName
}

func (s *stale) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if s.missing && (s.only.Name == "" || s.only == key) {
		key.Name = "no-such"
	}
	err := s.Reader.Get(ctx, key, o, opts...)
	if s.version != "" {
		o.SetResourceVersion(s.version)
	}
	return err
}

type paged struct {
	client.Reader
	limits []int64
}

func (p *paged) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	o := client.ListOptions{}
	o.ApplyOptions(opts)
	p.limits = append(p.limits, o.Limit)
	return p.Reader.List(ctx, list, opts...)
}

var _ = Describe("A dying API server", func() {
	It("costs no address and gives none twice", func(ctx context.Context) {
		const services, cuts = 40, 8
		way := newBrittle(config.Host)
		DeferCleanup(way.Close)
		c := newCluster(ctx, func(c *cluster) {
			c.config = rest.CopyConfig(config)
			c.config.Host, c.config.TLSClientConfig.ServerName = way.url, "127.0.0.1"
		})
		c.pool(ctx, "blue", "198.18.2.0/26")
		c.start()
		given := map[string]string{}
		for i := range services {
			s := c.service(ctx, fmt.Sprintf("s%02d", i))
			if i%(services/cuts) == 0 {
				way.cut()
			}
			if i%3 == 0 {
				Eventually(fresh(ctx, s), "20s").Should(WithTransform(ips, HaveLen(1)))
				given[s.Name] = ips(s)[0]
			}
		}
		seen := map[string]string{}
		for i := range services {
			s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: fmt.Sprintf("s%02d", i)}}
			Eventually(fresh(ctx, s), "20s").Should(WithTransform(ips, HaveLen(1)))
			Expect(seen).NotTo(HaveKey(ips(s)[0]))
			seen[ips(s)[0]] = s.Name
			if had, ok := given[s.Name]; ok {
				Expect(ips(s)[0]).To(Equal(had))
			}
		}
	})
})

// brittle is a way to a server that breaks, with everything that is on it.
type brittle struct {
	net.Listener
	url, target string
	mu          sync.Mutex
	open        map[net.Conn]struct{}
	group       sync.WaitGroup
}

func newBrittle(host string) *brittle {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	target := host
	if u, err := url.Parse(host); err == nil && u.Host != "" {
		target = u.Host
	}
	b := &brittle{Listener: listener, url: "https://" + listener.Addr().String(), target: target, open: map[net.Conn]struct{}{}}
	b.group.Go(b.serve)
	return b
}

func (b *brittle) serve() {
	for {
		near, err := b.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", b.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		b.mu.Lock()
		b.open[near], b.open[far] = struct{}{}, struct{}{}
		b.mu.Unlock()
		b.group.Go(func() { b.carry(near, far) })
		b.group.Go(func() { b.carry(far, near) })
	}
}

func (b *brittle) carry(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = errors.Join(to.Close(), from.Close())
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, to)
	delete(b.open, from)
}

// cut breaks every connection.
func (b *brittle) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.open {
		_ = c.Close()
	}
}

// Close ends the way and joins what serves it.
func (b *brittle) Close() error {
	err := b.Listener.Close()
	b.cut()
	b.group.Wait()
	return err
}

func TestSpeaksOfWhatItsStatusNames(t *testing.T) {
	for name, row := range map[string]struct {
		status  metav1.ConditionStatus
		message string
		want    bool
	}{
		"as we write it":            {metav1.ConditionTrue, "192.0.2.1 of pool blue", true},
		"as we write it with a but": {metav1.ConditionTrue, "keeps 192.0.2.1 of pool blue: pool blue is invalid", true},
		"another address":           {metav1.ConditionTrue, "192.0.2.2 of pool blue", false},
		"a longer address":          {metav1.ConditionTrue, "192.0.2.10 of pool blue", false},
		"a refusal":                 {metav1.ConditionFalse, "192.0.2.1 of pool blue", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := with("192.0.2.1")
			s.Status.Conditions = []metav1.Condition{{Type: v1beta1.ConditionAddressAllocated, Status: row.status, Message: row.message}}
			if got := speaksOf(s, observe(s)); got != row.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
