// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// reservation creates an IPReservation in the namespace of the cluster.
func (c *cluster) reservation(ctx context.Context, name string, spec v1beta1.IPReservationSpec) *v1beta1.IPReservation {
	GinkgoHelper()
	r := &v1beta1.IPReservation{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.namespace}, Spec: spec}
	Expect(api.Create(ctx, r)).To(Succeed())
	return r
}

// be matches a reservation by its condition and the addresses that it keeps.
func be(why reason.Reason, addresses ...string) OmegaMatcher {
	said := func(r *v1beta1.IPReservation) string {
		if c := meta.FindStatusCondition(r.Status.Conditions, v1beta1.ConditionActive); c != nil {
			return c.Reason
		}
		return ""
	}
	return And(WithTransform(said, Equal(string(why))), HaveField("Status.Addresses", BeEquivalentTo(addresses)))
}

func reserved(p *v1beta1.IPAddressPool) [3]int64 {
	return [3]int64{p.Status.AssignedIPv4, p.Status.AvailableIPv4, p.Status.ReservedIPv4}
}

var _ = Describe("Reservations", func() {
	var c *cluster
	BeforeEach(func(ctx context.Context) { c = newCluster(ctx) })

	remove := func(ctx context.Context, s *corev1.Service) {
		GinkgoHelper()
		Expect(api.Delete(ctx, s)).To(Succeed())
	}

	It("keep addresses from everybody until they are deleted, and show in the pool", func(ctx context.Context) {
		r := c.reservation(ctx, "gap", v1beta1.IPReservationSpec{Addresses: []string{"198.18.2.1", "198.18.2.3-198.18.2.4"}})
		p := c.pool(ctx, "blue", "198.18.2.1-198.18.2.4")
		c.start()
		first := c.service(ctx, "first")
		Eventually(fresh(ctx, first)).Should(haveIPs("198.18.2.2"))
		Eventually(fresh(ctx, r)).Should(be(reason.ReservationActive, "198.18.2.1", "198.18.2.3-198.18.2.4"))
		Eventually(fresh(ctx, p)).Should(WithTransform(reserved, Equal([3]int64{1, 0, 3})))
		second := c.service(ctx, "second")
		Eventually(fresh(ctx, second)).Should(beRefused(reason.PoolExhausted))
		asking := c.service(ctx, "asking", annotated(v1beta1.AnnotationLoadBalancerIPs, "198.18.2.3"))
		Eventually(fresh(ctx, asking)).Should(beRefused(reason.AddressReserved))
		Expect(api.Delete(ctx, r)).To(Succeed())
		Eventually(fresh(ctx, second)).Should(haveIPs("198.18.2.1"))
		Eventually(fresh(ctx, asking)).Should(haveIPs("198.18.2.3"))
		Eventually(fresh(ctx, p)).Should(WithTransform(reserved, Equal([3]int64{3, 1, 0})))
	})

	It("keep a Service's address over its deletion and a restart, and give it back at its return", func(ctx context.Context) {
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.9")
		r := c.reservation(ctx, "web", v1beta1.IPReservationSpec{Service: &v1beta1.ServiceReference{Namespace: c.namespace, Name: "web"}})
		c.start()
		Eventually(fresh(ctx, r)).Should(be(reason.NothingToReserve))
		other := c.service(ctx, "other")
		Eventually(fresh(ctx, other)).Should(haveIPs("198.18.2.1"))
		web := c.service(ctx, "web")
		Eventually(fresh(ctx, web)).Should(haveIPs("198.18.2.2"))
		Eventually(fresh(ctx, r)).Should(be(reason.ReservationActive, "198.18.2.2"))
		remove(ctx, other)
		remove(ctx, web)
		Eventually(fresh(ctx, r)).Should(HaveField("Status.UnusedSince", Not(BeNil())))
		c.stop()
		c.start()
		Eventually(fresh(ctx, c.service(ctx, "next"))).Should(haveIPs("198.18.2.1"))
		Eventually(fresh(ctx, c.service(ctx, "third"))).Should(haveIPs("198.18.2.3"))
		Eventually(fresh(ctx, c.service(ctx, "web"))).Should(haveIPs("198.18.2.2"))
		Eventually(fresh(ctx, r)).Should(HaveField("Status.UnusedSince", BeNil()))
	})

	It("keep the address of a Service that was deleted while no controller ran", func(ctx context.Context) {
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.9")
		c.start()
		web := c.service(ctx, "web")
		Eventually(fresh(ctx, web)).Should(haveIPs("198.18.2.1"))
		r := c.reservation(ctx, "web", v1beta1.IPReservationSpec{Service: &v1beta1.ServiceReference{Namespace: c.namespace, Name: "web"}})
		Eventually(fresh(ctx, r)).Should(be(reason.ReservationActive, "198.18.2.1"))
		c.stop()
		remove(ctx, web)
		next := c.service(ctx, "next")
		c.start()
		Eventually(fresh(ctx, next)).Should(haveIPs("198.18.2.2"))
		Eventually(fresh(ctx, c.service(ctx, "web"))).Should(haveIPs("198.18.2.1"))
	})

	It("end when they expire, and take nothing away then", func(ctx context.Context) {
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.2")
		r := c.reservation(ctx, "short", v1beta1.IPReservationSpec{
			Addresses: []string{"198.18.2.2"}, Service: &v1beta1.ServiceReference{Namespace: c.namespace, Name: "web"},
		})
		c.start()
		web := c.service(ctx, "web")
		Eventually(fresh(ctx, web)).Should(haveIPs("198.18.2.2"))
		update(ctx, r, func(r *v1beta1.IPReservation) { r.Spec.ExpiresAt = &metav1.Time{Time: time.Now().Add(time.Second)} })
		Eventually(fresh(ctx, r)).Should(be(reason.ReservationExpired, "198.18.2.2"))
		Expect(fresh(ctx, web)()).To(haveIPs("198.18.2.2"))
		remove(ctx, web)
		Eventually(fresh(ctx, c.service(ctx, "one"))).Should(haveIPs("198.18.2.1"))
		Eventually(fresh(ctx, c.service(ctx, "two"))).Should(haveIPs("198.18.2.2"))
	})

	DescribeTable("end some time after the Service went", func(ctx context.Context, goes func(context.Context, *corev1.Service)) {
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.1")
		c.start()
		web := c.service(ctx, "web")
		Eventually(fresh(ctx, web)).Should(haveIPs("198.18.2.1"))
		r := c.reservation(ctx, "web", v1beta1.IPReservationSpec{
			Service: &v1beta1.ServiceReference{Namespace: c.namespace, Name: "web"}, KeepFor: &metav1.Duration{Duration: 2 * time.Second},
		})
		Eventually(fresh(ctx, r)).Should(And(be(reason.ReservationActive, "198.18.2.1"), HaveField("Status.InUse", true)))
		next := c.service(ctx, "next")
		Eventually(fresh(ctx, next)).Should(beRefused(reason.PoolExhausted))
		goes(ctx, web)
		Eventually(fresh(ctx, next)).Should(haveIPs("198.18.2.1"))
		Eventually(fresh(ctx, r)).Should(be(reason.ReservationExpired, "198.18.2.1"))
	},
		Entry("and was deleted", remove),
		Entry("and is no load balancer any more", func(ctx context.Context, s *corev1.Service) { update(ctx, s, toClusterIP) }),
	)

	It("do not end before the Service has ever had the address", func(ctx context.Context) {
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.2")
		r := c.reservation(ctx, "web", v1beta1.IPReservationSpec{
			Addresses: []string{"198.18.2.1"}, Service: &v1beta1.ServiceReference{Namespace: c.namespace, Name: "web"},
			KeepFor: &metav1.Duration{Duration: time.Millisecond},
		})
		c.start()
		Eventually(fresh(ctx, r)).Should(be(reason.ReservationActive, "198.18.2.1"))
		Eventually(fresh(ctx, c.service(ctx, "other"))).Should(haveIPs("198.18.2.2"))
		Eventually(fresh(ctx, c.service(ctx, "web"))).Should(haveIPs("198.18.2.1"))
		Expect(fresh(ctx, r)()).To(HaveField("Status.UnusedSince", BeNil()))
	})

	It("forget what they kept for a Service that they are not for any more", func(ctx context.Context) {
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.2")
		c.start()
		web := c.service(ctx, "web")
		Eventually(fresh(ctx, web)).Should(haveIPs("198.18.2.1"))
		r := c.reservation(ctx, "r", v1beta1.IPReservationSpec{Service: &v1beta1.ServiceReference{Namespace: c.namespace, Name: "web"}})
		Eventually(fresh(ctx, r)).Should(be(reason.ReservationActive, "198.18.2.1"))
		remove(ctx, web)
		update(ctx, r, func(r *v1beta1.IPReservation) { r.Spec.Service.Name = "api" })
		Eventually(fresh(ctx, r)).Should(be(reason.NothingToReserve))
		Eventually(fresh(ctx, c.service(ctx, "other"))).Should(haveIPs("198.18.2.1"))
		Eventually(fresh(ctx, c.service(ctx, "api"))).Should(haveIPs("198.18.2.2"))
		Eventually(fresh(ctx, r)).Should(be(reason.ReservationActive, "198.18.2.2"))
	})

	It("say when they contradict each other, and keep the rest", func(ctx context.Context) {
		c.pool(ctx, "blue", "198.18.2.1-198.18.2.4")
		c.start()
		older := c.reservation(ctx, "a", v1beta1.IPReservationSpec{Addresses: []string{"198.18.2.1-198.18.2.2"}})
		Eventually(fresh(ctx, older)).Should(be(reason.ReservationActive, "198.18.2.1-198.18.2.2"))
		younger := c.reservation(ctx, "b", v1beta1.IPReservationSpec{Addresses: []string{"198.18.2.2-198.18.2.3"}})
		Eventually(fresh(ctx, younger)).Should(be(reason.ReservationOverlap, "198.18.2.2-198.18.2.3"))
		Eventually(told(ctx, younger)).Should(HaveKeyWithValue(string(reason.ReservationOverlap), 1))
		Eventually(fresh(ctx, c.service(ctx, "web"))).Should(haveIPs("198.18.2.4"))
	})
})
