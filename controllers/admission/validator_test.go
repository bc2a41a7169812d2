// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/internal/policy"
)

var _ = Describe("webhooks", Ordered, ContinueOnFailure, func() {
	BeforeAll(func(ctx context.Context) { DeferCleanup(serve()) })
	BeforeEach(tidy)

	type row struct {
		have []client.Object
		add  client.Object
		want string
		// schema is set when the CRD refuses it already.
		schema bool
	}
	web := metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	DescribeTable("refuse to create", func(ctx context.Context, r row) {
		for _, o := range r.have {
			Expect(api.Create(ctx, o)).To(Succeed())
		}
		err := api.Create(ctx, r.add)
		Expect(err).To(MatchError(ContainSubstring(r.want)))
		Expect(strings.Contains(err.Error(), "denied the request")).To(Equal(!r.schema), err.Error())
	},
		Entry("a range that ends before it starts", row{add: pool("p", "198.18.0.9-198.18.0.1"), want: "start IP 198.18.0.9 is after the end IP 198.18.0.1"}),
		Entry("a range of two families", row{add: pool("p", "198.18.0.9-fd00::1"), want: "its ends are of different families"}),
		Entry("ranges of one pool that overlap", row{
			add: pool("p", "198.18.0.0/24", "198.18.0.7-198.18.0.9"), want: "overlaps with already defined CIDR \"198.18.0.0/24\"",
		}),
		Entry("a pool that overlaps with another", row{
			have: []client.Object{pool("p", "198.18.0.0/24")}, add: pool("a", "198.18.0.128/25"),
			want: `IPAddressPool "a": CIDR "198.18.0.128/25" in pool "a" overlaps with already defined CIDR "198.18.0.0/24" of pool "p"`,
		}),
		Entry("a pool with a namespace twice", row{add: pinned(v1beta1.ServiceAllocation{Namespaces: []string{"a", "a"}}), want: `namespaces has "a" twice`}),
		Entry("a pool with a selector twice", row{
			add: pinned(v1beta1.ServiceAllocation{ServiceSelectors: []metav1.LabelSelector{web, web}}), want: "serviceSelectors has \"app=web\" twice",
		}),
		Entry("a pool with a selector that cannot be parsed", row{
			add:  pinned(v1beta1.ServiceAllocation{NamespaceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"a b": "c"}}}}),
			want: "invalid label selector in namespaceSelectors",
		}),
		Entry("an L2Advertisement with a pool twice", row{
			add:  &v1beta1.L2Advertisement{ObjectMeta: at("a"), Spec: v1beta1.L2AdvertisementSpec{IPAddressPools: []string{"p", "p"}}},
			want: `ipAddressPools has "p" twice`,
		}),
		Entry("an L2Advertisement with a selector twice", row{
			add:  &v1beta1.L2Advertisement{ObjectMeta: at("a"), Spec: v1beta1.L2AdvertisementSpec{NodeSelectors: []metav1.LabelSelector{web, web}}},
			want: "nodeSelectors has \"app=web\" twice",
		}),
		Entry("a BGPAdvertisement that is coarser than a pool", row{
			have: []client.Object{pool("p", "198.18.0.0/28")},
			add:  bgp("a", func(s *v1beta1.BGPAdvertisementSpec) { s.AggregationLength = ptr.To[int32](26) }),
			want: "invalid aggregation length 26: prefix 28 in this pool is more specific than the aggregation length for addresses 198.18.0.0/28",
		}),
		Entry("a BGPAdvertisement that aggregates and selects Services", row{
			add: bgp("a", func(s *v1beta1.BGPAdvertisementSpec) {
				s.AggregationLength, s.ServiceSelectors = ptr.To[int32](26), []metav1.LabelSelector{web}
			}),
			want: "serviceSelectors and aggregationLength are mutually exclusive", schema: true,
		}),
		Entry("a BGPAdvertisement with a community that is none", row{
			add: bgp("a", func(s *v1beta1.BGPAdvertisementSpec) { s.Communities = []string{"1:99999"} }), want: "invalid section \"99999\" of community",
		}),
		Entry("a BGPAdvertisement with a peer twice", row{
			add: bgp("a", func(s *v1beta1.BGPAdvertisementSpec) { s.Peers = []string{"r", "r"} }), want: `peers has "r" twice`,
		}),
		Entry("a pool that is finer than an advertisement", row{
			have: []client.Object{bgp("a", func(s *v1beta1.BGPAdvertisementSpec) { s.AggregationLength = ptr.To[int32](24) })},
			add:  pool("p", "198.18.0.0/28"),
			want: `BGPAdvertisement "a" would become invalid: pool "p": invalid aggregation length 24`,
		}),
		Entry("a BGPPeer with a router ID of IPv6", row{
			add: peer("r", func(s *v1beta2.BGPPeerSpec) { s.RouterID = "fd00::1" }), want: "invalid BGPPeer router ID",
		}),
		Entry("a BGPPeer with an address that is none", row{
			add: peer("r", func(s *v1beta2.BGPPeerSpec) { s.PeerAddress = "router" }), want: "invalid BGPPeer address", schema: true,
		}),
		Entry("a BGPPeer with a hold time that BGP does not know", row{
			add: peer("r", func(s *v1beta2.BGPPeerSpec) { s.HoldTime = &metav1.Duration{Duration: 1500000000} }), want: "invalid hold time", schema: true,
		}),
		Entry("a BGPPeer with a selector twice", row{
			add: peer("r", func(s *v1beta2.BGPPeerSpec) { s.NodeSelectors = []metav1.LabelSelector{web, web} }), want: "nodeSelectors has \"app=web\" twice",
		}),
		Entry("a BGPPeer at the endpoint of another one", row{
			have: []client.Object{node("n1"), peer("r")}, add: peer("a"),
			want: `BGPPeer "a": peer "a" already exists: on node "n1" the older BGPPeer "r" has the same address`,
		}),
		Entry("a BGPPeer with a link-local address", row{
			add: peer("r", func(s *v1beta2.BGPPeerSpec) { s.PeerAddress = "fe80::1" }), want: "set interface in place of peerAddress",
		}),
		Entry("a BGPPeer with a source of the other family", row{
			add: peer("r", func(s *v1beta2.BGPPeerSpec) { s.SourceAddress = "fd00::1" }), want: "is not of the family of the peer's address",
		}),
		Entry("a BGPAdvertisement with another local preference than an older one", row{
			have: []client.Object{node("n1"), pool("p", "198.18.0.0/24"), bgp("a", func(s *v1beta1.BGPAdvertisementSpec) { s.LocalPref = 100 })},
			add:  bgp("b", func(s *v1beta1.BGPAdvertisementSpec) { s.LocalPref = 200 }),
			want: `BGPAdvertisement "b": pool "p": localPref 200 contradicts 100 of the older BGPAdvertisement "a"`,
		}),
		Entry("a BGPAdvertisement whose path is too long", row{
			add: bgp("a", func(s *v1beta1.BGPAdvertisementSpec) { s.ASPathPrepend = 11 }), want: "less than or equal to 10", schema: true,
		}),
		Entry("a BGPPeer of v1beta1", row{
			add: &v1beta1.BGPPeer{ObjectMeta: at("r"), Spec: v1beta1.BGPPeerSpec{
				MyASN: 64512, PeerASN: 64513, PeerAddress: "198.18.255.1", RouterID: "fd00::1",
			}},
			want: "invalid BGPPeer router ID",
		}),
		Entry("a Community whose value is none", row{
			add: community("c", v1beta1.CommunityAlias{Name: "a", Value: "1:x"}), want: "invalid community value: invalid section \"x\"",
		}),
		Entry("a Community whose value is nearly a large one", row{
			add: community("c", v1beta1.CommunityAlias{Name: "a", Value: "big:1:2:3"}), want: "expected community to be of format large",
		}),
		Entry("a Community that defines another one's name", row{
			have: []client.Object{community("c", v1beta1.CommunityAlias{Name: "a", Value: "1:2"})},
			add:  community("b", v1beta1.CommunityAlias{Name: "a", Value: "1:3"}),
			want: `Community "b": duplicate definition of community "a"`,
		}),
		Entry("an IPReservation of a range that ends before it starts", row{
			add: reservation("r", "198.18.0.9-198.18.0.1"), want: "start IP 198.18.0.9 is after the end IP 198.18.0.1",
		}),
		Entry("an IPReservation that overlaps with another", row{
			have: []client.Object{reservation("r", "198.18.0.0/24")}, add: reservation("a", "198.18.0.7"),
			want: `IPReservation "a": "198.18.0.7" in reservation "a" overlaps with "198.18.0.0/24" of reservation "r"`,
		}),
	)

	DescribeTable("refuse to create outside the suite's namespace", func(ctx context.Context, o client.Object) {
		o.SetNamespace("default")
		Expect(api.Create(ctx, o)).To(MatchError(ContainSubstring("resource must be created in metallb-system namespace")))
	},
		Entry("IPAddressPool", pool("p", "198.18.0.0/24")),
		Entry("L2Advertisement", &v1beta1.L2Advertisement{ObjectMeta: at("a")}),
		Entry("BGPAdvertisement", bgp("a")),
		Entry("BGPPeer", peer("r")),
		Entry("Community", community("c")),
		Entry("IPReservation", reservation("r", "198.18.0.1")),
		Entry("BFDProfile", &v1beta1.BFDProfile{ObjectMeta: at("b")}),
	)

	It("refuse to make another object invalid", func(ctx context.Context) {
		old, young := pool("z", "198.18.0.0/24"), pool("a", "198.18.1.0/24")
		Expect(api.Create(ctx, old)).To(Succeed())
		Expect(api.Create(ctx, young)).To(Succeed())
		grown := update(ctx, old, func(p *v1beta1.IPAddressPool) { p.Spec.Addresses = []string{"198.18.0.0/23"} })
		Expect(grown).To(MatchError(ContainSubstring("overlaps with already defined CIDR")))
	})

	It("refuse to delete a BFDProfile that a BGPPeer uses", func(ctx context.Context) {
		profile := &v1beta1.BFDProfile{ObjectMeta: at("fast")}
		Expect(api.Create(ctx, profile)).To(Succeed())
		user := peer("r", func(s *v1beta2.BGPPeerSpec) { s.BFDProfile = "fast" })
		Expect(api.Create(ctx, user)).To(Succeed())
		Expect(api.Delete(ctx, profile)).To(MatchError(ContainSubstring(`failed to delete BFDProfile "fast": BGPPeer "r" uses it`)))
		Expect(api.Delete(ctx, user)).To(Succeed())
		Expect(api.Delete(ctx, profile)).To(Succeed())
		Expect(heard.take()).To(BeEmpty())
	})

	It("let objects come in any order, with a warning", func(ctx context.Context) {
		Expect(api.Create(ctx, peer("r", func(s *v1beta2.BGPPeerSpec) { s.BFDProfile = "later" }))).To(Succeed())
		Expect(heard.take()).To(ConsistOf(`BGPPeer "r": peer "r": no valid BFDProfile "later"`))
		Expect(api.Create(ctx, bgp("a", func(s *v1beta1.BGPAdvertisementSpec) { s.Communities = []string{"later"} }))).To(Succeed())
		Expect(heard.take()).To(ConsistOf(`BGPAdvertisement "a": no Community resource defines "later"`))

		defines := community("c", v1beta1.CommunityAlias{Name: "later", Value: "64512:1"})
		Expect(api.Create(ctx, defines)).To(Succeed())
		Expect(heard.take()).To(BeEmpty())
		Expect(update(ctx, defines, func(c *v1beta1.Community) { c.Spec.Communities[0].Name = "other" })).To(Succeed())
		Expect(heard.take()).To(ConsistOf(`BGPAdvertisement "a": no Community resource defines "later"`))
	})

	It("warn when a Community goes that is in use", func(ctx context.Context) {
		defines := community("c", v1beta1.CommunityAlias{Name: "used", Value: "64512:1"})
		Expect(api.Create(ctx, defines)).To(Succeed())
		Expect(api.Create(ctx, bgp("a", func(s *v1beta1.BGPAdvertisementSpec) { s.Communities = []string{"used"} }))).To(Succeed())
		Expect(api.Delete(ctx, defines)).To(Succeed())
		Expect(heard.take()).To(ConsistOf(`BGPAdvertisement "a": no Community resource defines "used"`))
	})

	It("tell that disableMP does nothing", func(ctx context.Context) {
		Expect(api.Create(ctx, peer("r", func(s *v1beta2.BGPPeerSpec) { s.DisableMP = true }))).To(Succeed()) //nolint:staticcheck // See there.
		Expect(heard.take()).To(ConsistOf(ContainSubstring("disableMP is deprecated and has no effect")))
	})

	It("tell that the Secret of a password is in no other namespace", func(ctx context.Context) {
		r := peer("r", func(s *v1beta2.BGPPeerSpec) {
			s.PasswordSecret = v1beta2.SecretReference{Name: "s", Namespace: "other"}
		})
		Expect(api.Create(ctx, r)).To(Succeed())
		Expect(heard.take()).To(ConsistOf(ContainSubstring("passwordSecret.namespace is ignored")))
		Expect(update(ctx, r, func(p *v1beta2.BGPPeer) { p.Spec.MyASN = 1 })).To(Succeed())
		Expect(heard.take()).To(BeEmpty())
	})

	It("tell which peers an advertisement names in vain", func(ctx context.Context) {
		r := peer("r")
		Expect(api.Create(ctx, r)).To(Succeed())
		Expect(api.Create(ctx, bgp("a", func(s *v1beta1.BGPAdvertisementSpec) { s.Peers = []string{"r", "gone"} }))).To(Succeed())
		Expect(heard.take()).To(ConsistOf(`BGPAdvertisement "a": no valid BGPPeer "gone"`))
		Expect(api.Delete(ctx, r)).To(Succeed())
		Expect(heard.take()).To(ConsistOf(`BGPAdvertisement "a": no valid BGPPeer "gone", "r"`))
	})

	It("let addresses be reserved anew when their reservation has ended", func(ctx context.Context) {
		ended := reservation("r", "198.18.0.7")
		ended.Spec.ExpiresAt = &metav1.Time{Time: time.Now().Add(-time.Hour)}
		Expect(api.Create(ctx, ended)).To(Succeed())
		Expect(api.Create(ctx, reservation("s", "198.18.0.0/28"))).To(Succeed())
	})

	It("let an object go that is on its way out", func(ctx context.Context) {
		p := pool("p", "198.18.0.0/24")
		p.Finalizers = []string{"example.org/test"}
		Expect(api.Create(ctx, p)).To(Succeed())
		Expect(api.Delete(ctx, p)).To(Succeed())
		Expect(update(ctx, p, func(p *v1beta1.IPAddressPool) { p.Finalizers = nil })).To(Succeed())
	})
})

var _ = Describe("webhooks and what was wrong before", Ordered, ContinueOnFailure, func() {
	It("block nothing but new problems", func(ctx context.Context) {
		tidy(ctx)
		By("accepting everything while nobody serves them")
		Expect(api.Create(ctx, pool("a", "198.18.0.0/24"))).To(Succeed())
		Expect(api.Create(ctx, pool("b", "198.18.0.0/23"))).To(Succeed())
		Expect(api.Create(ctx, pool("c", "198.18.0.9-198.18.0.1"))).To(Succeed())
		DeferCleanup(serve())

		By("accepting another object")
		Expect(api.Create(ctx, pool("d", "198.18.8.0/24"))).To(Succeed())
		Expect(api.Create(ctx, &v1beta1.L2Advertisement{ObjectMeta: at("a")})).To(Succeed())

		By("accepting a label on the invalid object itself")
		Expect(update(ctx, pool("c"), func(p *v1beta1.IPAddressPool) { p.Labels = map[string]string{"a": "b"} })).To(Succeed())

		By("refusing a second problem on it, and accepting that one goes")
		second := update(ctx, pool("c"), func(p *v1beta1.IPAddressPool) { p.Spec.Addresses = append(p.Spec.Addresses, "198.18.8.0/25") })
		Expect(second).To(MatchError(And(ContainSubstring("overlaps with already defined CIDR"), Not(ContainSubstring("is after the end IP")))))
		Expect(update(ctx, pool("c"), func(p *v1beta1.IPAddressPool) { p.Spec.Addresses = []string{"198.18.9.0/24"} })).To(Succeed())

		By("accepting that the older of two that overlap changes or goes")
		Expect(update(ctx, pool("a"), func(p *v1beta1.IPAddressPool) { p.Spec.Addresses = []string{"198.18.0.0/25"} })).To(Succeed())
		Expect(api.Delete(ctx, pool("a"))).To(Succeed())
	})
})

var _ = Describe("webhooks for pools", Ordered, ContinueOnFailure, func() {
	BeforeAll(func(ctx context.Context) { DeferCleanup(serve()) })
	BeforeEach(tidy)

	It("warn of a pool with addresses that the cluster uses, once", func(ctx context.Context) {
		var cidr networkingv1.ServiceCIDR
		Expect(api.Get(ctx, client.ObjectKey{Name: "kubernetes"}, &cidr)).To(Succeed())
		p := pool("p", cidr.Spec.CIDRs[0])
		Expect(api.Create(ctx, p)).To(Succeed())
		range0 := cidr.Spec.CIDRs[0]
		Expect(heard.take()).To(ConsistOf(fmt.Sprintf(
			`pool "p" has addresses that are never assigned: %s lies in the Service CIDR %s (ServiceCIDR kubernetes)`, range0, range0)))
		Expect(update(ctx, p, func(p *v1beta1.IPAddressPool) { p.Spec.AutoAssign = ptr.To(false) })).To(Succeed())
		Expect(heard.take()).To(BeEmpty())
		Expect(update(ctx, p, func(p *v1beta1.IPAddressPool) { p.Spec.Exclude = []string{range0} })).To(Succeed())
		Expect(heard.take()).To(BeEmpty())
	})

	It("warn when a change takes addresses away", func(ctx context.Context) {
		p := pool("p", "198.18.0.0/24", "fd00:18::/120")
		Expect(api.Create(ctx, p)).To(Succeed())
		loadBalancer(ctx, "low", "p", "198.18.0.1")
		loadBalancer(ctx, "high", "p", "198.18.0.200", "fd00:18::1")
		loadBalancer(ctx, "foreign", "q", "198.18.7.1")

		By("staying silent when nobody loses anything")
		Expect(update(ctx, p, func(p *v1beta1.IPAddressPool) { p.Labels = map[string]string{"a": "b"} })).To(Succeed())
		Expect(update(ctx, p, func(p *v1beta1.IPAddressPool) { p.Spec.AutoAssign = ptr.To(false) })).To(Succeed())
		Expect(heard.take()).To(BeEmpty())

		By("a smaller pool")
		Expect(update(ctx, p, func(p *v1beta1.IPAddressPool) { p.Spec.Addresses = []string{"198.18.0.0/25"} })).To(Succeed())
		Expect(heard.take()).To(ConsistOf("1 Service loses its address: default/high (198.18.0.200, fd00:18::1)"))

		By("a pool that is for others")
		Expect(update(ctx, p, func(p *v1beta1.IPAddressPool) {
			p.Spec.ServiceAllocation = &v1beta1.ServiceAllocation{Namespaces: []string{"default"}}
		})).To(Succeed())
		Expect(heard.take()).To(BeEmpty())
		Expect(update(ctx, p, func(p *v1beta1.IPAddressPool) { p.Spec.ServiceAllocation.Namespaces = []string{"other"} })).To(Succeed())
		Expect(heard.take()).To(ConsistOf("1 Service loses its address: default/low (198.18.0.1)"))

		By("a pool that goes after its Service has lost it anyway")
		Expect(api.Delete(ctx, p)).To(Succeed())
		Expect(heard.take()).To(BeEmpty())
	})

	It("name a few when a pool with many Services goes", func(ctx context.Context) {
		p := pool("p", "198.18.0.0/24")
		Expect(api.Create(ctx, p)).To(Succeed())
		for i := range 7 {
			loadBalancer(ctx, fmt.Sprintf("s%d", i), "p", fmt.Sprintf("198.18.0.%d", i+1))
		}
		Expect(api.Delete(ctx, p, client.DryRunAll)).To(Succeed())
		want := "7 Services lose their address: default/s0 (198.18.0.1), default/s1 (198.18.0.2), default/s2 (198.18.0.3), " +
			"default/s3 (198.18.0.4), default/s4 (198.18.0.5), and 2 more"
		Expect(heard.take()).To(ConsistOf(want))
	})

	It("find the Services of every page", func(ctx context.Context) {
		p := pool("p", "198.18.0.0/24")
		Expect(api.Create(ctx, p)).To(Succeed())
		for i := range 5 {
			loadBalancer(ctx, fmt.Sprintf("s%d", i), "p", fmt.Sprintf("198.18.0.%d", i+1))
		}
		before := policy.Compile(policy.Objects{Pools: []v1beta1.IPAddressPool{*p}})
		losers, err := findLosers(ctx, shortPages{api}, before, policy.Compile(policy.Objects{}))
		Expect(err).NotTo(HaveOccurred())
		Expect(losers).To(HaveLen(5))
		Expect(readLabels(ctx, shortPages{api}, "NamespaceList")).To(HaveKey("default"))
	})

	It("allow what they cannot check, and say so", func(ctx context.Context) {
		forbid(ctx)
		Expect(api.Create(ctx, pool("p", "198.18.0.9-198.18.0.1"))).To(Succeed())
		Expect(heard.take()).To(ConsistOf(ContainSubstring(`IPAddressPool "p" was not checked: listing`)))
	})
})

// shortPages reads two objects at a time.
type shortPages struct{ client.Reader }

func (s shortPages) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return s.Reader.List(ctx, list, append(opts, client.Limit(2))...)
}

// forbid takes the right to list namespaces from the webhooks until the spec ends.
func forbid(ctx context.Context) {
	GinkgoHelper()
	var kept corev1.NamespaceList
	as, err := client.New(asOperator(), client.Options{Scheme: testScheme()})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx context.Context) {
		grantShippedRoles(ctx)
		Eventually(func() error { return as.List(ctx, &kept) }).Should(Succeed())
	})
	revokeShippedRoles(ctx)
	Eventually(func() error { return as.List(ctx, &kept) }).ShouldNot(Succeed())
}

func pinned(to v1beta1.ServiceAllocation) *v1beta1.IPAddressPool {
	p := pool("p", "198.18.0.0/24")
	p.Spec.ServiceAllocation = &to
	return p
}
