// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/kube"
)

func TestContest(t *testing.T) {
	const ours, theirs, none = "198.18.2.1", "192.168.7.7", ""
	addressList := func(text string) []netip.Addr {
		if text == none {
			return nil
		}
		return []netip.Addr{netip.MustParseAddr(text)}
	}
	// step is one look at a Service that is to have ours. What may be written is written, unless it fails.
	type step struct {
		at            time.Duration
		have, writer  string
		marked, stale bool
		fails         bool
		hold          time.Duration
	}
	const minute = time.Minute
	k3s := func(at, hold time.Duration) step { return step{at: at, have: theirs, writer: "k3s", hold: hold} }
	stands := func(at time.Duration) step { return step{at: at, have: ours, writer: fieldManager} }
	for name, steps := range map[string][]step{
		"one overwrite is repaired at once":                    {stands(0), k3s(1, 0), stands(2)},
		"the second is left for a minute, then written":        {stands(0), k3s(1, 0), stands(2), k3s(3, minute), k3s(3+minute/2, minute/2), k3s(3+minute, 0)},
		"the second counts although ours was not seen between": {stands(0), k3s(1, 0), k3s(3, minute)},
		"the back-off doubles, up to five minutes": {
			stands(0), k3s(1, 0), k3s(2, minute), k3s(2+minute, 0), k3s(3+minute, 2*minute), k3s(3+3*minute, 0), k3s(4+3*minute, 4*minute),
			k3s(4+7*minute, 0), k3s(5+7*minute, 5*minute), k3s(5+12*minute, 0), k3s(6+12*minute, 5*minute),
		},
		"what stood for a minute makes up for what was before": {
			stands(0), k3s(1, 0), stands(2), k3s(2+minute, 0), stands(3 + minute), k3s(4+minute, minute), k3s(4+2*minute, 0), k3s(5+3*minute, 0),
		},
		"the same overwrite counts once, though writing fails": {stands(0), {at: 1, have: theirs, writer: "k3s", fails: true}, k3s(2, 0), stands(3)},
		"what is no news yet does not count":                   {stands(0), k3s(1, 0), {at: 2, have: theirs, writer: "k3s", stale: true}, stands(3)},
		"the rival ends meanwhile":                             {stands(0), k3s(1, 0), k3s(2, minute), stands(3), stands(2 * minute), k3s(2*minute+1, 0)},
		"another replica of ours is no rival": {
			stands(0), {at: 1, have: theirs, writer: fieldManager}, {at: 2, have: theirs, writer: "metalsuite"}, {at: 3, have: theirs, writer: fieldManager},
		},
		"whoever empties the list has no name, and counts": {stands(0), {at: 1, have: none}, {at: 2, have: none, hold: minute}},
		"what was there before us does not count":          {{at: 0, have: theirs, writer: "k3s"}, k3s(1, 0), k3s(2, minute)},
		"after a restart the marks say that ours was there": {
			{at: 0, have: theirs, writer: "k3s", marked: true}, {at: 1, have: theirs, writer: "k3s", marked: true, hold: minute},
		},
		"after a restart one edit is repaired":             {{at: 0, have: theirs, writer: "kubectl-edit", marked: true}, stands(1), stands(2)},
		"after a restart, what another release of us left": {{at: 0, have: theirs, writer: "metalsuite", marked: true}, k3s(1, 0), stands(2)},
	} {
		r := newRivals(usualTimes)
		key := allocation.Key{Namespace: "n", Name: "s"}
		version := ""
		for i, s := range steps {
			if !s.stale {
				version += "+"
			}
			seen := sight{uid: "u", version: version, have: ingress(addressList(s.have)), want: addressList(ours), marked: s.marked}
			seen.by(s.writer)
			got := r.look(key, seen, time.Unix(0, 0).Add(s.at))
			if got.hold != s.hold {
				t.Errorf("%s: step %d is held for %v, want %v", name, i, got.hold, s.hold)
			}
			if held := r.held(time.Unix(0, 0).Add(s.at)); held != 0 != (s.hold > 0) {
				t.Errorf("%s: step %d: %d Services are said to be held", name, i, held)
			}
			if got.hold > 0 && s.writer != "" && got.rival != s.writer {
				t.Errorf("%s: step %d is left to %q", name, i, got.rival)
			}
			if got.hold == 0 && s.have != ours && !s.fails && !s.stale {
				r.wrote(key, seen.want, version, time.Unix(0, 0).Add(s.at))
			}
		}
	}
}

func TestContestsEndWithTheirServices(t *testing.T) {
	w := newWriters(nil, nil, kube.StateWriter{}, logr.Discard())
	key := allocation.Key{Namespace: "n", Name: "s"}
	now := time.Unix(0, 0)
	theirs := sight{uid: "first", version: "1", have: ingress([]netip.Addr{netip.MustParseAddr("192.168.7.7")}), writer: "k3s"}
	w.rivals.look(key, theirs, now)
	w.rivals.wrote(key, nil, "1", now)
	theirs.version = "2"
	w.rivals.look(key, theirs, now)
	w.rivals.wrote(key, nil, "2", now)
	again := theirs
	again.uid, again.version = "second", "3"
	if s := w.rivals.look(key, again, now); s.hold > 0 || s.contested {
		t.Error("a Service of the same name inherits the rival")
	}
	if w.gone(key); len(w.rivals.contests) > 0 {
		t.Error("what is gone leaves something behind")
	}
}

func TestTheCacheKeepsWhoWroteTheIngress(t *testing.T) {
	entry := func(manager, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Time: &metav1.Time{Time: time.Unix(1, 0)}, FieldsV1: metav1.NewFieldsV1(fields)}
	}
	decoy := entry("kubectl", `{"f:metadata":{"f:annotations":{"f:ingress":{},"f:loadBalancer":{}}},"f:spec":{"f:type":{}}}`)
	conditions := entry("other", `{"f:status":{"f:conditions":{".":{}}}}`)
	for name, row := range map[string]struct {
		entries []metav1.ManagedFieldsEntry
		want    string
	}{
		"nobody":           {entries: []metav1.ManagedFieldsEntry{decoy, conditions}},
		"nothing":          {},
		"somebody":         {entries: []metav1.ManagedFieldsEntry{decoy, entry("k3s", `{"f:status":{"f:loadBalancer":{"f:ingress":{}}}}`), conditions}, want: "k3s"},
		"beside condition": {entries: []metav1.ManagedFieldsEntry{entry(fieldManager, `{"f:status":{"f:conditions":{},"f:loadBalancer":{"f:ingress":{}}}}`)}, want: fieldManager},
	} {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{ManagedFields: row.entries}}
		for range 2 { // the cache may pass an object through again
			if _, err := keepIngressWriter(s); err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, e := range s.ManagedFields {
				got += e.Manager
				if e.FieldsV1 != nil || e.Time == nil {
					t.Errorf("%s: kept %v", name, e)
				}
			}
			if got != row.want {
				t.Errorf("%s: kept %q", name, got)
			}
		}
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{decoy}}}
	if _, err := keepIngressWriter(namespace); err != nil || namespace.ManagedFields != nil {
		t.Errorf("of other kinds: %v, %v", namespace.ManagedFields, err)
	}
}

var _ = Describe("A foreign writer of the status", func() {
	const theirs = "192.168.7.7"
	var (
		c        *cluster
		writes   atomic.Int32 // of Services, that went through
		registry *prometheus.Registry
	)

	BeforeEach(func(ctx context.Context) {
		writes.Store(0)
		registry = prometheus.NewRegistry()
		c = newCluster(ctx, func(c *cluster) {
			c.options.Registry = registry
			c.newClient = func(config *rest.Config, o client.Options) (client.Client, error) {
				base, err := client.NewWithWatch(config, o)
				return interceptor.NewClient(base, interceptor.Funcs{SubResourcePatch: func(ctx context.Context, b client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
					err := b.SubResource(sub).Patch(ctx, o, p, opts...)
					if _, ok := o.(*corev1.Service); ok && err == nil {
						writes.Add(1)
					}
					return err
				}}), err
			}
		})
	})

	// rival writes its address whenever another one is there, until stop is called.
	rival := func(ctx context.Context, s *corev1.Service) (stop func()) {
		GinkgoHelper()
		watch, err := api.Watch(ctx, &corev1.ServiceList{}, client.InNamespace(s.Namespace), client.MatchingFields{"metadata.name": s.Name})
		Expect(err).NotTo(HaveOccurred())
		ended := make(chan error, 1)
		go func() {
			for e := range watch.ResultChan() {
				now, ok := e.Object.(*corev1.Service)
				if !ok || len(ips(now)) == 1 && ips(now)[0] == theirs {
					continue
				}
				now.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: theirs}}
				if err := api.Status().Update(ctx, now, client.FieldOwner("k3s")); err != nil && !apierrors.IsConflict(err) {
					ended <- err
					watch.Stop()
					return
				}
			}
			ended <- nil
		}()
		return func() {
			GinkgoHelper()
			watch.Stop()
			Eventually(ended).Should(Receive(BeNil()))
		}
	}
	yields := And(WithTransform(ips, Equal([]string{theirs})), WithTransform(verdict, Equal("False/"+string(reason.ForeignStatusWriter))))

	It("is repaired at once when it is one slip of a hand", func(ctx context.Context) {
		c.start()
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.9")
		s := c.service(ctx, "web")
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.1"))
		s.Status.LoadBalancer.Ingress[0].IP = theirs
		Expect(api.Status().Update(ctx, s, client.FieldOwner("kubectl-edit"))).To(Succeed())
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.1"))
		Expect(ingressWriter(s)).To(ConsistOf(HaveField("Manager", fieldManager)))
		Expect(told(ctx, s)()).NotTo(HaveKey(string(reason.ForeignStatusWriter)))
		Eventually(writes.Load).Should(BeEquivalentTo(2))
	})

	It("is not fought, is named, and does not cost the Service its address", func(ctx context.Context) {
		c.options.rivalry = rivalTimes{calm: time.Hour, first: time.Hour, longest: time.Hour}
		c.start()
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.1")
		s := c.service(ctx, "web")
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.1"))
		stop := rival(ctx, s)
		Eventually(fresh(ctx, s)).Should(yields)
		condition := meta.FindStatusCondition(s.Status.Conditions, v1beta1.ConditionAddressAllocated)
		Expect(condition.Message).To(HavePrefix("k3s overwrites status.loadBalancer of this Service, for which 198.18.2.1 stays reserved. "))
		Expect(s.Annotations).To(HaveKeyWithValue(v1beta1.AnnotationAllocatedFromPool, "blue"))
		Eventually(told(ctx, s)).Should(HaveKeyWithValue(string(reason.ForeignStatusWriter), 1))
		Consistently(writes.Load, "500ms").Should(BeEquivalentTo(3), "granted, repaired, explained")
		Expect(scrape(registry, "metallb_allocator_")()).To(And(
			HaveKeyWithValue("services_waiting{ForeignStatusWriter}", 1.0), HaveKeyWithValue("addresses_in_use_total{blue}", 1.0)))
		other := c.service(ctx, "other")
		Eventually(fresh(ctx, other)).Should(beRefused(reason.PoolExhausted))

		By("starting again, which counts as the first overwrite")
		c.stop()
		before := writes.Load()
		c.start()
		Eventually(writes.Load).Should(BeEquivalentTo(before + 2))
		Eventually(fresh(ctx, s)).Should(yields)
		Consistently(writes.Load, "500ms").Should(BeEquivalentTo(before+2), "repaired, explained")

		By("starting again without a rival")
		c.stop()
		stop()
		c.start()
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.1"))
		Expect(fresh(ctx, other)()).To(beRefused(reason.PoolExhausted))
	})

	It("is tried again after a while, and everything is repaired once it has gone", func(ctx context.Context) {
		c.options.rivalry = rivalTimes{calm: time.Hour, first: 100 * time.Millisecond, longest: 200 * time.Millisecond}
		c.start()
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.9")
		s := c.service(ctx, "web")
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.1"))
		stop := rival(ctx, s)
		Eventually(writes.Load).Should(BeNumerically(">=", 9), "granted, repaired, explained, and three more times tried and explained")
		Expect(told(ctx, s)()).To(HaveKeyWithValue("IPAllocated", BeNumerically("<=", 2)), "the grant and the first repair")
		stop()
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.1"))
		Eventually(told(ctx, s)).Should(HaveKeyWithValue(string(reason.ForeignStatusWriter), 1))
		Eventually(scrape(registry, "metallb_allocator_")).ShouldNot(HaveKey("services_waiting{ForeignStatusWriter}"))
	})

	It("of a Service without address of ours is left alone as well", func(ctx context.Context) {
		c.options.rivalry = rivalTimes{calm: time.Hour, first: time.Hour, longest: time.Hour}
		c.start()
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.9")
		s := c.service(ctx, "web", annotated(v1beta1.AnnotationAddressPool, "green"))
		Eventually(fresh(ctx, s)).Should(beRefused(reason.PoolNotFound))
		stop := rival(ctx, s)
		Eventually(fresh(ctx, s)).Should(yields)
		condition := meta.FindStatusCondition(s.Status.Conditions, v1beta1.ConditionAddressAllocated)
		Expect(condition.Message).To(ContainSubstring("this Service, to which no address is assigned: "))
		Eventually(writes.Load).Should(BeEquivalentTo(3)) // counted only after the API shows it
		Consistently(writes.Load, "300ms").Should(BeEquivalentTo(3))
		stop()
		update(ctx, s, toClusterIP)
		Eventually(fresh(ctx, s)).Should(bearNothing())
	})
})
