// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

// routed returns address number n of those that are on no segment: only routes lead there.
func routed(n int) netip.Addr { return nth(cluster.Lab.RoutedPool4(), n) }

// routed6 is the same of IPv6.
func routed6(n int) netip.Addr { return nth(cluster.Lab.RoutedPool6(), n) }

// whole is the prefix of one address.
func whole(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// asking returns a Service of the families of these addresses, which it asks for.
func asking(name string, addresses ...netip.Addr) *corev1.Service {
	texts := make([]string, 0, len(addresses))
	for _, a := range addresses {
		texts = append(texts, a.String())
	}
	s := annotated(name, map[string]string{v1beta1.AnnotationLoadBalancerIPs: strings.Join(texts, ",")})
	if len(addresses) > 1 {
		return dualStack(s)
	}
	if addresses[0].Is6() {
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol}
	}
	return s
}

// routable makes a pool of the addresses on no segment and advertises it by BGP.
func routable(ctx context.Context, name string, addresses ...string) {
	GinkgoHelper()
	pool := suite.Pool(name, addresses...)
	pool.Labels = map[string]string{"story": name}
	apply(ctx, pool)
	apply(ctx, suite.BGPAdvertisement(name, name))
}

// advertise brings the advertisement of that name to a form.
func advertise(ctx context.Context, name string, change func(*v1beta1.BGPAdvertisementSpec)) {
	GinkgoHelper()
	ad := suite.BGPAdvertisement(name, name)
	change(&ad.Spec)
	Expect(cluster.Apply(ctx, ad)).To(Succeed())
}

// routerAt returns a peer: the router at its address of the family that is asked for.
func routerAt(name string, address netip.Addr) *v1beta2.BGPPeer {
	return suite.BGPPeer(name, lab.RouterASN, address)
}

// on lets only these nodes speak with a peer.
func on(p *v1beta2.BGPPeer, nodes ...string) *v1beta2.BGPPeer {
	p.Spec.NodeSelectors = nil
	for _, n := range nodes {
		p.Spec.NodeSelectors = append(p.Spec.NodeSelectors, onNode(n))
	}
	return p
}

// neighbour makes the router know a neighbour for the length of a story. Each line is what follows the neighbour's name.
func neighbour(ctx context.Context, name string, lines ...string) {
	GinkgoHelper()
	for i, line := range lines {
		lines[i] = "neighbor " + name + " " + line
	}
	section := append([]string{}, lines...)
	for _, family := range []string{"ipv4", "ipv6"} {
		section = append(section, "address-family "+family+" unicast", "neighbor "+name+" activate", "exit-address-family")
	}
	Expect(cluster.Lab.FRR().Neighbour(ctx, section...)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(cluster.Lab.FRR().Neighbour(ctx, "no "+lines[0])).To(Succeed()) })
}

// retype types lines about a neighbour that the router has already.
func retype(ctx context.Context, name string, lines ...string) {
	GinkgoHelper()
	for _, line := range lines {
		Expect(cluster.Lab.FRR().Neighbour(ctx, "neighbor "+name+" "+line)).To(Succeed())
	}
}

// session returns what a node tells of its session with a peer.
func session(peer, node string) func(context.Context) (v1beta1.BGPSessionStatusStatus, error) {
	return func(ctx context.Context) (v1beta1.BGPSessionStatusStatus, error) {
		all, err := cluster.Sessions(ctx, peer)
		return all[node], err
	}
}

// established matches a session that is all well.
func established() OmegaMatcher {
	return And(HaveField("State", "Established"), HaveField("Reason", string(reason.SessionEstablished)))
}

// because matches a session that is not established, and says so.
func because(why reason.Reason) OmegaMatcher {
	return And(HaveField("State", Not(Equal("Established"))), HaveField("Reason", string(why)), HaveField("Message", Not(BeEmpty())))
}

// expectSession expects that soon the session of a node with a peer matches.
func expectSession(ctx context.Context, peer, node string, matcher OmegaMatcher) v1beta1.BGPSessionStatusStatus {
	GinkgoHelper()
	var seen v1beta1.BGPSessionStatusStatus
	Eventually(func(g Gomega, ctx context.Context) {
		var err error
		seen, err = session(peer, node)(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(seen).To(matcher)
	}).WithContext(ctx).Should(Succeed())
	return seen
}

// hops returns where the router's kernel sends packets for a prefix.
func hops(prefix netip.Prefix) func() ([]netip.Addr, error) {
	return func() ([]netip.Addr, error) { return cluster.Lab.Router().NextHops(prefix) }
}

// paths returns the ways to a prefix that FRR was told.
func paths(prefix netip.Prefix) func(context.Context) ([]lab.Path, error) {
	return func(ctx context.Context) ([]lab.Path, error) { return cluster.Lab.FRR().Paths(ctx, prefix) }
}

// addresses4 are the nodes' IPv4 addresses, all nodes' when none is named.
func addresses4(nodes ...string) []netip.Addr { return addressesBy(lab.Host.Addr4, nodes) }

// addresses6 are the nodes' IPv6 addresses.
func addresses6(nodes ...string) []netip.Addr { return addressesBy(lab.Host.Addr6, nodes) }

func addressesBy(of func(lab.Host) netip.Addr, nodes []string) []netip.Addr {
	if len(nodes) == 0 {
		nodes = otherNodes("")
	}
	all := make([]netip.Addr, 0, len(nodes))
	for _, n := range nodes {
		all = append(all, of(cluster.Lab.Node(n)))
	}
	return all
}

// expectHops expects that soon the router's kernel sends packets for an address to these and no others.
func expectHops(ctx context.Context, address netip.Addr, to []netip.Addr) {
	GinkgoHelper()
	Eventually(hops(whole(address))).WithContext(ctx).Should(ConsistOf(to))
}

// expectNoRoute expects that soon the router's kernel has no route to a prefix.
func expectNoRoute(ctx context.Context, prefix netip.Prefix) {
	GinkgoHelper()
	Eventually(hops(prefix)).WithContext(ctx).Should(BeEmpty())
}

// reached expects that the client behind the router gets a page from there.
func reached(ctx context.Context, address netip.Addr) string {
	GinkgoHelper()
	line, err := cluster.Get(ctx, cluster.Lab.RoutedClient(), address, 80, patience)
	Expect(err).NotTo(HaveOccurred())
	Expect(line).To(ContainSubstring("Hello"))
	return line
}

// steady returns the sessions of the router that are up, by neighbour, with how often they came up and since when they are.
func steady(ctx context.Context) map[string][2]int64 {
	GinkgoHelper()
	sessions, err := cluster.Lab.FRR().Sessions(ctx)
	Expect(err).NotTo(HaveOccurred())
	up := map[string][2]int64{}
	for name, s := range sessions {
		if s.State == "Established" {
			up[name] = [2]int64{int64(s.Established), s.Up}
		}
	}
	return up
}

// expectSteady expects that the sessions of the router are those of before. The router computes anew each time since when a session is up, to
// the second.
func expectSteady(ctx context.Context, before map[string][2]int64, description string) {
	GinkgoHelper()
	now := steady(ctx)
	Expect(slices.Sorted(maps.Keys(now))).To(Equal(slices.Sorted(maps.Keys(before))), description)
	for name, was := range before {
		Expect(now[name]).To(HaveExactElements(Equal(was[0]), BeNumerically("~", was[1], 1)), "%s: %s", name, description)
	}
}

// toldPeers returns the peers to which each node says that it announces a Service.
func toldPeers(service string) func(context.Context) (map[string][]string, error) {
	return func(ctx context.Context) (map[string][]string, error) {
		var list v1beta1.ServiceBGPStatusList
		err := cluster.Client.List(ctx, &list, client.InNamespace(suite.Namespace), client.MatchingLabels{
			v1beta1.LabelServiceNamespace: namespace, v1beta1.LabelServiceName: service,
		})
		all := map[string][]string{}
		for _, s := range list.Items {
			all[s.Status.Node] = s.Status.Peers
		}
		return all, err
	}
}

// seconds is a number of seconds as the API writes it.
func seconds(n int) *metav1.Duration {
	return &metav1.Duration{Duration: time.Duration(n) * time.Second}
}

// speakerOf returns the speaker's pod on a node.
func speakerOf(ctx context.Context, node string) corev1.Pod {
	GinkgoHelper()
	pods, err := cluster.Speakers(ctx)
	Expect(err).NotTo(HaveOccurred())
	i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName == node })
	Expect(i).To(BeNumerically(">=", 0))
	return pods[i]
}
