// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
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

var _ = Describe("The controller", func() {
	var c *cluster
	BeforeEach(func(ctx context.Context) { c = newCluster(ctx) })

	It("grants the first address, says so everywhere once, and writes nothing twice", func(ctx context.Context) {
		c.start()
		p := c.pool(ctx, "blue", "198.18.2.1-198.18.2.3")
		s := c.service(ctx, "web")
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.1"))
		Expect(*s.Status.LoadBalancer.Ingress[0].IPMode).To(Equal(corev1.LoadBalancerIPModeVIP))
		Expect(s.Annotations).To(HaveKeyWithValue(v1beta1.AnnotationAllocatedFromPool, "blue"))
		condition := meta.FindStatusCondition(s.Status.Conditions, v1beta1.ConditionAddressAllocated)
		Expect(condition.ObservedGeneration).To(Equal(s.Generation))
		Eventually(told(ctx, s)).Should(HaveKeyWithValue("IPAllocated", 1))
		Eventually(fresh(ctx, p)).Should(WithTransform(figures, Equal([4]int64{1, 2, 0, 0})))

		version := s.ResourceVersion
		c.stop()
		c.start()
		Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bell-"}})).To(Succeed())
		Eventually(fresh(ctx, c.service(ctx, "next"))).Should(haveIPs("198.18.2.2"))
		Expect(fresh(ctx, s)()).To(HaveField("ResourceVersion", version))
		Expect(told(ctx, s)()).To(HaveKeyWithValue("IPAllocated", 1))
	})

	It("serves requests for a pool and for an address, in the old spelling too", func(ctx context.Context) {
		c.start()
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.9")
		manual := c.pool(ctx, "manual", "198.51.100.0/30")
		no := false
		update(ctx, manual, func(p *v1beta1.IPAddressPool) { p.Spec.AutoAssign = &no })
		Eventually(fresh(ctx, c.service(ctx, "pool", annotated(v1beta1.AnnotationAddressPool, "manual")))).Should(haveIPs("198.51.100.0"))
		Eventually(fresh(ctx, c.service(ctx, "address", annotated(v1beta1.AnnotationLoadBalancerIPs, "198.18.2.7")))).Should(haveIPs("198.18.2.7"))
		old := c.service(ctx, "old", annotated("metallb.universe.tf/loadBalancerIPs", "198.18.2.8"))
		Eventually(fresh(ctx, old)).Should(haveIPs("198.18.2.8"))
		Eventually(told(ctx, old)).Should(HaveKeyWithValue(deprecatedAnnotation, 1))
		Eventually(fresh(ctx, c.service(ctx, "field", func(s *corev1.Service) { s.Spec.LoadBalancerIP = "198.18.2.9" }))).Should(haveIPs("198.18.2.9"))
	})

	It("refuses with a reason in condition and event, and serves who waits when something comes free", func(ctx context.Context) {
		c.start()
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.1")
		first := c.service(ctx, "first")
		Eventually(fresh(ctx, first)).Should(haveIPs("198.18.2.1"))
		wants := c.service(ctx, "wants", annotated(v1beta1.AnnotationLoadBalancerIPs, "198.18.2.1"))
		Eventually(fresh(ctx, wants)).Should(beRefused(reason.AddressInUse))
		Eventually(told(ctx, wants)).Should(HaveKeyWithValue(string(reason.AddressInUse), 1))
		for name, refused := range map[string]struct {
			key, value string
			why        reason.Reason
		}{
			"unknown":  {v1beta1.AnnotationAddressPool, "green", reason.PoolNotFound},
			"outside":  {v1beta1.AnnotationLoadBalancerIPs, "203.0.113.1", reason.AddressNotInPool},
			"nonsense": {v1beta1.AnnotationLoadBalancerIPs, "198.18.2", reason.InvalidRequest},
			"full":     {"any", "thing", reason.PoolExhausted},
		} {
			s := c.service(ctx, name, annotated(refused.key, refused.value))
			Eventually(fresh(ctx, s)).Should(beRefused(refused.why), name)
			Expect(api.Delete(ctx, s)).To(Succeed())
		}
		Expect(api.Delete(ctx, first)).To(Succeed())
		Eventually(fresh(ctx, wants)).Should(haveIPs("198.18.2.1"))
	})

	It("lets a Service join a shared address as soon as the port there is free", func(ctx context.Context) {
		c.start()
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.1")
		share := annotated(v1beta1.AnnotationAllowSharedIP, "key")
		first := c.service(ctx, "first", share)
		Eventually(fresh(ctx, first)).Should(haveIPs("198.18.2.1"))
		second := c.service(ctx, "second", share, annotated(v1beta1.AnnotationLoadBalancerIPs, "198.18.2.1"))
		Eventually(fresh(ctx, second)).Should(beRefused(reason.SharingPortCollides))
		update(ctx, first, onPort(81))
		Eventually(fresh(ctx, second)).Should(haveIPs("198.18.2.1"))
		Expect(fresh(ctx, first)()).To(haveIPs("198.18.2.1"))
	})

	It("changes no address over five restarts with Services that wait", func(ctx context.Context) {
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.8")
		c.start()
		var all []*corev1.Service
		for i := range 8 {
			all = append(all, c.service(ctx, fmt.Sprintf("s%d", i)))
		}
		for _, s := range all {
			Eventually(fresh(ctx, s)).Should(WithTransform(ips, HaveLen(1)))
		}
		has := map[string]string{}
		for _, s := range all {
			has[s.Name] = ips(s)[0]
		}
		waits := []*corev1.Service{c.service(ctx, "a-waits"), c.service(ctx, "z-waits")}
		for range 5 {
			c.stop()
			late := c.service(ctx, fmt.Sprintf("a-late-%d", len(waits)))
			waits = append(waits, late)
			c.start()
			for _, s := range waits {
				Eventually(fresh(ctx, s)).Should(beRefused(reason.PoolExhausted))
			}
			for _, s := range all {
				Expect(fresh(ctx, s)()).To(haveIPs(has[s.Name]))
			}
		}
		c.stop()
		Expect(api.Delete(ctx, all[3])).To(Succeed())
		c.start()
		served := func() (list []string) {
			for _, s := range waits {
				Expect(fresh(ctx, s)()).NotTo(BeNil())
				list = append(list, ips(s)...)
			}
			return list
		}
		Eventually(served).Should(ConsistOf(has["s3"]))
		Expect(told(ctx, all[0])()).To(HaveKeyWithValue("IPAllocated", 1))
	})

	It("moves Services of a pool that is gone, and clears them when none is left", func(ctx context.Context) {
		c.start()
		blue := c.pool(ctx, "blue", "198.18.2.1-198.18.2.3")
		s := c.service(ctx, "web")
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.1"))
		green := c.pool(ctx, "green", "198.51.100.1-198.51.100.3")
		Expect(api.Delete(ctx, blue)).To(Succeed())
		Eventually(fresh(ctx, s)).Should(haveIPs("198.51.100.1"))
		Expect(s.Annotations).To(HaveKeyWithValue(v1beta1.AnnotationAllocatedFromPool, "green"))
		Eventually(told(ctx, s)).Should(HaveKeyWithValue("ClearAssignment", 1))
		Expect(api.Delete(ctx, green)).To(Succeed())
		Eventually(fresh(ctx, s)).Should(beRefused(reason.NoPools))
		Expect(s.Annotations).NotTo(HaveKey(v1beta1.AnnotationAllocatedFromPool))
	})

	It("takes nothing away at a start without any pool, as after a new installation", func(ctx context.Context) {
		c.start()
		blue := c.pool(ctx, "blue", "198.18.2.1-198.18.2.3")
		first, s := c.service(ctx, "first"), c.service(ctx, "web", annotated(v1beta1.AnnotationLoadBalancerIPs, "198.18.2.3"))
		Eventually(fresh(ctx, first)).Should(haveIPs("198.18.2.1"))
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.3"))
		c.stop()
		Expect(api.Delete(ctx, blue)).To(Succeed())
		c.start()
		for _, s := range []*corev1.Service{first, s} {
			Eventually(fresh(ctx, s)).Should(WithTransform(verdict, Equal("True/"+string(reason.NoPools))))
			Expect(ips(s)).To(HaveLen(1))
			Expect(s.Annotations).To(HaveKeyWithValue(v1beta1.AnnotationAllocatedFromPool, "blue"))
		}
		again := c.pool(ctx, "blue", "198.18.2.1-198.18.2.3")
		Eventually(fresh(ctx, first)).Should(haveIPs("198.18.2.1"))
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.3"))
		Expect(api.Delete(ctx, again)).To(Succeed())
		Eventually(fresh(ctx, first)).Should(beRefused(reason.NoPools))
	})

	It("never grants the address of a node, nor of the API server", func(ctx context.Context) {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}}
		Expect(api.Create(ctx, node)).To(Succeed())
		DeferCleanup(func(ctx context.Context) { Expect(client.IgnoreNotFound(api.Delete(ctx, node))).To(Succeed()) })
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "198.18.2.1"}}
		Expect(api.Status().Update(ctx, node)).To(Succeed())
		server := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes", Namespace: "default"}} //nolint:staticcheck // only to find the address
		Eventually(fresh(ctx, server)).ShouldNot(HaveField("Subsets", BeEmpty()))
		address := server.Subsets[0].Addresses[0].IP

		c.start()
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.2", address+"/32")
		Eventually(fresh(ctx, c.service(ctx, "any"))).Should(haveIPs("198.18.2.2"))
		asks := c.service(ctx, "asks", annotated(v1beta1.AnnotationLoadBalancerIPs, "198.18.2.1"))
		Eventually(fresh(ctx, asks)).Should(beRefused(reason.NodeAddress))
		Eventually(told(ctx, asks)).Should(HaveKeyWithValue(string(reason.NodeAddress), 1))
		Eventually(fresh(ctx, c.service(ctx, "api", annotated(v1beta1.AnnotationLoadBalancerIPs, address)))).Should(beRefused(reason.APIServerAddress))
		Eventually(fresh(ctx, c.service(ctx, "more"))).Should(beRefused(reason.PoolExhausted))
		Expect(api.Delete(ctx, node)).To(Succeed())
		Eventually(fresh(ctx, asks)).Should(haveIPs("198.18.2.1"))
	})

	It("serves both families in the order of the Service", func(ctx context.Context) {
		c.start()
		c.pool(ctx, "four", "198.51.100.1-198.51.100.9")
		c.pool(ctx, "zboth", "198.18.2.1-198.18.2.9", "2001:db8::1-2001:db8::9")
		Eventually(fresh(ctx, c.service(ctx, "single"))).Should(haveIPs("198.51.100.1"))
		both := c.service(ctx, "both", stack(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv4Protocol, corev1.IPv6Protocol))
		Eventually(fresh(ctx, both)).Should(haveIPs("198.18.2.1", "2001:db8::1"))
		turned := c.service(ctx, "turned", stack(corev1.IPFamilyPolicyPreferDualStack, corev1.IPv6Protocol, corev1.IPv4Protocol))
		Eventually(fresh(ctx, turned)).Should(haveIPs("2001:db8::2", "198.18.2.2"))
		update(ctx, both, func(s *corev1.Service) {
			stack(corev1.IPFamilyPolicySingleStack, corev1.IPv4Protocol)(s)
			s.Spec.ClusterIPs = s.Spec.ClusterIPs[:1]
		})
		Eventually(fresh(ctx, both)).Should(haveIPs("198.18.2.1"))
		Eventually(fresh(ctx, c.service(ctx, "six", stack(corev1.IPFamilyPolicySingleStack, corev1.IPv6Protocol)))).Should(haveIPs("2001:db8::1"))
	})

	It("re-reads and tries again when somebody else wrote the Service meanwhile", func(ctx context.Context) {
		var meddled atomic.Int32
		c.newClient = func(config *rest.Config, o client.Options) (client.Client, error) {
			base, err := client.NewWithWatch(config, o)
			return interceptor.NewClient(base, interceptor.Funcs{SubResourcePatch: func(ctx context.Context, b client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				if s, ok := o.(*corev1.Service); ok && meddled.Add(1) <= 2 {
					other := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace}}
					update(ctx, other, func(s *corev1.Service) { metav1.SetMetaDataLabel(&s.ObjectMeta, "meddled", fmt.Sprint(meddled.Load())) })
				}
				return b.SubResource(sub).Patch(ctx, o, p, opts...)
			}}), err
		}
		c.start()
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.9")
		s := c.service(ctx, "web")
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.1"))
		Expect(s.Labels).To(HaveKeyWithValue("meddled", "2"))
		Eventually(told(ctx, s)).Should(HaveKeyWithValue("IPAllocated", 1))
		Eventually(fresh(ctx, c.service(ctx, "next"))).Should(haveIPs("198.18.2.2"))
	})

	It("names an address on its next Service only when the last one has given it up, and lets two swap", func(ctx context.Context) {
		const x, y = "198.18.2.1", "198.18.2.2"
		var refuses, both atomic.Bool
		c.newClient = func(config *rest.Config, o client.Options) (client.Client, error) {
			base, err := client.NewWithWatch(config, o)
			return interceptor.NewClient(base, interceptor.Funcs{SubResourcePatch: func(ctx context.Context, b client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				if _, ok := o.(*corev1.Service); ok && o.GetName() == "first" && refuses.Load() {
					return errors.New("refused")
				}
				err := b.SubResource(sub).Patch(ctx, o, p, opts...)
				var all corev1.ServiceList
				if e := api.List(ctx, &all, client.InNamespace(c.namespace)); e == nil {
					bearers := map[string]int{}
					for i := range all.Items {
						for _, ip := range ips(&all.Items[i]) {
							bearers[ip]++
						}
					}
					if bearers[x] > 1 || bearers[y] > 1 {
						both.Store(true)
					}
				}
				return err
			}}), err
		}
		c.start()
		c.pool(ctx, "blue", x+"-"+y)
		first := c.service(ctx, "first")
		Eventually(fresh(ctx, first)).Should(haveIPs(x))
		second := c.service(ctx, "second", annotated(v1beta1.AnnotationLoadBalancerIPs, x))
		Eventually(fresh(ctx, second)).Should(beRefused(reason.AddressInUse))
		refuses.Store(true)
		update(ctx, first, func(s *corev1.Service) {
			metav1.SetMetaDataAnnotation(&s.ObjectMeta, v1beta1.AnnotationLoadBalancerIPs, y)
		})
		Eventually(func() (string, error) {
			s, err := fresh(ctx, second)()
			condition := meta.FindStatusCondition(s.Status.Conditions, v1beta1.ConditionAddressAllocated)
			return condition.Message, err
		}).Should(ContainSubstring("is still in the status of Service " + c.namespace + "/first"))
		Expect(ips(second)).To(BeEmpty())
		refuses.Store(false)
		Eventually(fresh(ctx, first), "20s").Should(haveIPs(y))
		Eventually(fresh(ctx, second)).Should(haveIPs(x))

		update(ctx, first, func(s *corev1.Service) {
			metav1.SetMetaDataAnnotation(&s.ObjectMeta, v1beta1.AnnotationLoadBalancerIPs, x)
		})
		update(ctx, second, func(s *corev1.Service) {
			metav1.SetMetaDataAnnotation(&s.ObjectMeta, v1beta1.AnnotationLoadBalancerIPs, y)
		})
		Eventually(fresh(ctx, first)).Should(haveIPs(x))
		Eventually(fresh(ctx, second)).Should(haveIPs(y))
		Expect(both.Load()).To(BeFalse())
	})

	It("releases a Service that is no load balancer any more, also one that changed while nobody watched", func(ctx context.Context) {
		c.start()
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.1")
		s := c.service(ctx, "web")
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.1"))
		waits := c.service(ctx, "waits")
		Eventually(fresh(ctx, waits)).Should(beRefused(reason.PoolExhausted))
		update(ctx, s, toClusterIP)
		Eventually(fresh(ctx, waits)).Should(haveIPs("198.18.2.1"))
		Eventually(fresh(ctx, s)).Should(bearNothing())
		c.stop()
		update(ctx, waits, toClusterIP)
		c.start()
		Eventually(fresh(ctx, waits)).Should(bearNothing())
	})

	It("gives back what a foreign hand changed in the status", func(ctx context.Context) {
		c.start()
		p := c.pool(ctx, "blue", "198.18.2.1-198.18.2.9")
		s := c.service(ctx, "web")
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.1"))
		s.Status.LoadBalancer.Ingress[0].IP = "198.18.2.5"
		Expect(api.Status().Update(ctx, s)).To(Succeed())
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.1"))
		Eventually(fresh(ctx, p)).Should(WithTransform(figures, Equal([4]int64{1, 8, 0, 0})))
		p.Status.AssignedIPv4 = 7
		Expect(api.Status().Update(ctx, p)).To(Succeed())
		Eventually(fresh(ctx, p)).Should(WithTransform(figures, Equal([4]int64{1, 8, 0, 0})))
	})

	It("leaves an invalid pool out alone and says so on it and in the ConfigurationState", func(ctx context.Context) {
		c.start()
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.9")
		bad := c.pool(ctx, "upside-down", "198.18.3.9-198.18.3.1")
		Eventually(fresh(ctx, bad)).Should(HaveField("Status.Conditions", ContainElement(And(
			HaveField("Type", v1beta1.ConditionValid), HaveField("Status", metav1.ConditionFalse), HaveField("Reason", string(reason.InvalidAddressRange))))))
		Eventually(told(ctx, bad)).Should(HaveKeyWithValue(string(reason.InvalidAddressRange), 1))
		state := &v1beta1.ConfigurationState{ObjectMeta: metav1.ObjectMeta{Name: "controller", Namespace: c.namespace}}
		Eventually(fresh(ctx, state)).Should(And(HaveField("Status.Result", v1beta1.ConfigurationInvalid),
			HaveField("Status.ErrorSummary", ContainSubstring("upside-down")), HaveField("Labels", HaveKeyWithValue(v1beta1.LabelComponentType, "controller"))))
		Eventually(fresh(ctx, c.service(ctx, "web"))).Should(haveIPs("198.18.2.1"))
		Expect(api.Delete(ctx, bad)).To(Succeed())
		Eventually(fresh(ctx, state)).Should(HaveField("Status.Result", v1beta1.ConfigurationValid))
		Expect(api.Delete(ctx, state)).To(Succeed())
		Eventually(fresh(ctx, state)).Should(HaveField("Status.Result", v1beta1.ConfigurationValid))
	})

	It("serves only its own class", func(ctx context.Context) {
		class := "example.com/" + c.namespace
		ofClass := func(s *corev1.Service) { s.Spec.LoadBalancerClass = &class }
		c.options.Class = class
		c.start()
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.9")
		foreign := c.service(ctx, "foreign")
		s := c.service(ctx, "web", ofClass)
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.1"))
		update(ctx, s, toClusterIP)
		Eventually(fresh(ctx, s)).Should(bearNothing())
		Eventually(fresh(ctx, c.service(ctx, "next", ofClass))).Should(haveIPs("198.18.2.1"))
		Expect(fresh(ctx, foreign)()).To(bearNothing())
	})

	It("grants no address that a Service of another class bears, until that is gone", func(ctx context.Context) {
		class := "example.com/other"
		foreign := c.service(ctx, "foreign", func(s *corev1.Service) { s.Spec.LoadBalancerClass = &class })
		foreign.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "198.18.2.1"}}
		Expect(api.Status().Update(ctx, foreign)).To(Succeed())
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.2")
		s := c.service(ctx, "a-first")
		c.start()
		Eventually(fresh(ctx, s)).Should(haveIPs("198.18.2.2"))
		wants := c.service(ctx, "wants", annotated(v1beta1.AnnotationLoadBalancerIPs, "198.18.2.1"))
		Eventually(fresh(ctx, wants)).Should(beRefused(reason.AddressInUse))
		foreign.Status.LoadBalancer.Ingress[0].IP = "198.18.2.2"
		Expect(api.Status().Update(ctx, foreign)).To(Succeed())
		Eventually(fresh(ctx, wants)).Should(haveIPs("198.18.2.1"))
		Expect(fresh(ctx, s)()).To(WithTransform(ips, Equal([]string{"198.18.2.2"})), "ours wins")
		Expect(api.Delete(ctx, s)).To(Succeed())
		next := c.service(ctx, "next")
		Eventually(fresh(ctx, next)).Should(beRefused(reason.PoolExhausted))
		Expect(api.Delete(ctx, foreign)).To(Succeed())
		Eventually(fresh(ctx, next)).Should(haveIPs("198.18.2.2"))
	})

	It("writes the generation of a pool that was judged", func(ctx context.Context) {
		p := c.pool(ctx, "blue", "198.18.2.1-198.18.2.9")
		update(ctx, p, func(p *v1beta1.IPAddressPool) { p.Spec.Addresses = []string{"198.18.2.9-198.18.2.1"} })
		Expect(p.Generation).To(BeEquivalentTo(2))
		w := newWriters(api, nil, kube.StateWriter{Namespace: c.namespace}, logr.Discard())
		w.board.postPolicy(map[string]poolReport{"blue": {uid: p.UID, generation: 1}}, summary{})
		Expect(w.writePool(ctx, "blue")).To(Succeed())
		Expect(fresh(ctx, p)()).To(HaveField("Status.Conditions", ContainElement(And(
			HaveField("Type", v1beta1.ConditionValid), HaveField("Status", metav1.ConditionTrue), HaveField("ObservedGeneration", BeEquivalentTo(1))))))
	})

	It("grants nothing when the first read failed", func(ctx context.Context) {
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.9")
		s := c.service(ctx, "web")
		var broken atomic.Bool
		broken.Store(true)
		reader := interceptor.NewClient(api, interceptor.Funcs{List: func(ctx context.Context, b client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			if _, ok := l.(*v1beta1.IPAddressPoolList); ok && broken.Load() {
				return errors.New("no answer")
			}
			return b.List(ctx, l, opts...)
		}})
		out := &outbox{services: map[allocation.Key]desired{}}
		r := newReconciler(reader, c.options, logr.Discard(), func(context.Context) error { return nil }, out)
		_, err := r.Reconcile(ctx, Request{Service: keyOf(s)})
		Expect(err).To(HaveOccurred())
		Expect(r.Loaded()).To(BeFalse())
		Expect(out.services).To(BeEmpty())
		broken.Store(false)
		_, err = r.Reconcile(ctx, Request{Service: keyOf(s)})
		Expect(err).NotTo(HaveOccurred())
		Expect(out.services[keyOf(s)].decision.Addresses).To(HaveLen(1))
	})
})

// outbox keeps what was decided.
type outbox struct{ services map[allocation.Key]desired }

func (o *outbox) service(key allocation.Key, d desired) { o.services[key] = d }
func (o *outbox) reservation(string, reservationReport) {}

func (o *outbox) gone(allocation.Key)                   {}
func (o *outbox) pool(string, allocation.Counts)        {}
func (o *outbox) policy(map[string]poolReport, summary) {}

func figures(p *v1beta1.IPAddressPool) [4]int64 {
	s := p.Status
	return [4]int64{s.AssignedIPv4, s.AvailableIPv4, s.AssignedIPv6, s.AvailableIPv6}
}

func toClusterIP(s *corev1.Service) {
	s.Spec.Type = corev1.ServiceTypeClusterIP
	s.Spec.LoadBalancerClass, s.Spec.AllocateLoadBalancerNodePorts = nil, nil
}

// bearNothing matches a Service without any mark of ours.
func bearNothing() OmegaMatcher {
	return And(WithTransform(ips, BeEmpty()), WithTransform(verdict, BeEmpty()),
		HaveField("Annotations", Not(HaveKey(v1beta1.AnnotationAllocatedFromPool))))
}
