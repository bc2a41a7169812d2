// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"k8s.io/utils/ptr"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/test/suite"
)

// shutdowns are the nodes' addresses from which the router has heard on the wire that a route is about to go (RFC 8326). The routes are
// marked for a second only, which is less than a look at the router may take while pods come and go.
type shutdowns struct {
	mu   sync.Mutex
	from map[string]bool
}

// hearShutdowns listens from now on until the spec ends.
func hearShutdowns(ctx context.Context) *shutdowns {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	capture := cluster.Lab.Router().Command(ctx, "tcpdump", "-l", "-nn", "-v", "-i", "any", "tcp dst port 179")
	packets, err := capture.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	notices := gbytes.NewBuffer()
	capture.Stderr = notices
	Expect(capture.Start()).To(Succeed())
	h, done := &shutdowns{from: map[string]bool{}}, make(chan struct{})
	go func() {
		defer close(done)
		h.read(packets)
	}()
	DeferCleanup(func() {
		cancel()
		<-done
		_ = capture.Wait() // it was killed
	})
	Eventually(notices).Should(gbytes.Say("listening on"))
	return h
}

// sourceOf finds the source address in the text of a packet.
var sourceOf = regexp.MustCompile(`(\d+(?:\.\d+){3})\.\d+ > `)

// read takes the community 65535:0 for the packet whose header came last.
func (h *shutdowns) read(packets io.Reader) {
	source := ""
	for lines := bufio.NewScanner(packets); lines.Scan(); {
		if m := sourceOf.FindStringSubmatch(lines.Text()); m != nil {
			source = m[1]
		}
		if strings.Contains(lines.Text(), "65535:0") {
			h.mu.Lock()
			h.from[source] = true
			h.mu.Unlock()
		}
	}
}

func (h *shutdowns) heard() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.from))
}

// expectParting expects that soon the router has no path to an address from these speakers any more, and that each of them has marked its
// route as about to go before. It waits for less than the two minutes that the router keeps routes over a restart.
func expectParting(ctx context.Context, h *shutdowns, address netip.Addr, speakers ...netip.Addr) {
	GinkgoHelper()
	var wanted []any
	for _, a := range speakers {
		wanted = append(wanted, a.String())
	}
	Eventually(func(ctx context.Context) ([]string, error) {
		all, err := paths(whole(address))(ctx)
		var from []string
		for _, path := range all {
			if slices.Contains(wanted, any(path.Peer)) {
				from = append(from, path.Peer)
			}
		}
		return from, err
	}).WithContext(ctx).WithTimeout(3 * patience).WithPolling(5 * time.Millisecond).Should(BeEmpty())
	Eventually(h.heard).Should(ContainElements(wanted...), "marked before they went")
}

// keeping returns a peer for the router that keeps routes over a restart.
func keeping(ctx context.Context, name string) *v1beta2.BGPPeer {
	GinkgoHelper()
	for _, own := range addresses4() {
		neighbour(ctx, own.String(), "remote-as external")
	}
	p := routerAt(name, cluster.Lab.Router().Addr4())
	p.Spec.EnableGracefulRestart = true
	return p
}

// expectKept expects that all speakers have agreed with the router that it keeps routes over a restart.
func expectKept(ctx context.Context, peer string) {
	GinkgoHelper()
	for _, node := range otherNodes("") {
		expectSession(ctx, peer, node, And(established(), HaveField("GracefulRestart", true)))
	}
}

// drained tells the story of a node that is drained, and is not any more.
func drained(ctx context.Context, name string, address netip.Addr, drain func(ctx context.Context, node string, on bool)) {
	GinkgoHelper()
	node := nodeName(0)
	routable(ctx, name, whole(address).String())
	apply(ctx, asking(name, address))
	apply(ctx, routerAt(name, cluster.Lab.Router().Addr4()))
	expectHops(ctx, address, addresses4())
	before, heard := steady(ctx), hearShutdowns(ctx)
	drain(ctx, node, true)
	DeferCleanup(func(ctx SpecContext) { drain(ctx, node, false) })
	expectParting(ctx, heard, address, addresses4(node)...)
	expectHops(ctx, address, addresses4(otherNodes(node)...))
	reached(ctx, address)
	Eventually(toldPeers(name)).WithContext(ctx).Should(Not(HaveKey(node)))
	drain(ctx, node, false)
	expectHops(ctx, address, addresses4())
	expectSteady(ctx, before, "the session stays")
}

var _ = Describe("A node that is drained", func() {
	It("tells routers first that it goes, and is back when it is not drained any more", func(ctx SpecContext) {
		drained(ctx, "drained", routed(0x320), func(ctx context.Context, node string, on bool) {
			label(ctx, node, v1beta1.LabelDrain, map[bool]string{true: "true"}[on])
		})
	})
})

// The MetalLB resource is edited three times here, since each edit restarts the speakers.
var _ = Describe("A MetalLB resource that chooses where and how BGP is spoken", Ordered, func() {
	const chosen = "story/chosen"
	BeforeAll(func(ctx SpecContext) {
		for _, node := range otherNodes("") {
			label(ctx, node, chosen, "yes")
			DeferCleanup(func(ctx SpecContext) { label(ctx, node, chosen, "") })
		}
		DeferCleanup(func(ctx SpecContext) { configure(ctx, func(*v1beta1.MetalLBSpec) {}) })
		configure(ctx, func(s *v1beta1.MetalLBSpec) {
			s.NodeSelector = map[string]string{chosen: "yes"}
			s.Announcers = []v1beta1.Announcer{{Name: "l2"}, {Name: "bgp", BGP: &v1beta1.BGPAnnouncer{DrainOnCordon: ptr.To(true)}}}
		})
	})

	It("drains a node that is cordoned if it says so", func(ctx SpecContext) {
		drained(ctx, "cordoned", routed(0x321), cordon)
	})

	It("lets a node that is not chosen any more, and then all speakers without BGP, take leave of routers that would keep their routes", func(ctx SpecContext) {
		const name = "unchosen"
		four, node := routed(0x322), nodeName(0)
		routable(ctx, name, whole(four).String())
		apply(ctx, asking(name, four))
		apply(ctx, keeping(ctx, name))
		expectHops(ctx, four, addresses4())
		expectKept(ctx, name)
		heard := hearShutdowns(ctx)
		label(ctx, node, chosen, "")
		expectParting(ctx, heard, four, addresses4(node)...)
		expectHops(ctx, four, addresses4(otherNodes(node)...))
		reached(ctx, four)

		m := suite.MetalLB()
		m.Spec.NodeSelector, m.Spec.Announcers = map[string]string{chosen: "yes"}, []v1beta1.Announcer{{Name: "l2"}}
		Expect(cluster.Apply(ctx, m)).To(Succeed())
		expectParting(ctx, heard, four, addresses4(otherNodes(node)...)...)
		expectNoRoute(ctx, whole(four))
		Expect(cluster.AwaitAvailable(ctx, 2*time.Minute)).To(Succeed())
	})
})

var _ = Describe("Speakers that are removed", func() {
	It("take leave of the routers, which forget them at once, also those that would keep routes over a restart", func(ctx SpecContext) {
		const name = "leaving"
		four := routed(0x330)
		routable(ctx, name, whole(four).String())
		apply(ctx, asking(name, four))
		apply(ctx, keeping(ctx, name))
		expectHops(ctx, four, addresses4())
		expectKept(ctx, name)
		DeferCleanup(func(ctx SpecContext) { configure(ctx, func(*v1beta1.MetalLBSpec) {}) })
		heard := hearShutdowns(ctx)
		Expect(cluster.Client.Delete(ctx, suite.MetalLB())).To(Succeed())
		expectParting(ctx, heard, four, addresses4()...)
		expectNoRoute(ctx, whole(four))
	})
})
