// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"metalsuite.io/api/reason"
)

var key = Key("0123456789abcdef")

// node is a Membership that runs.
type node struct {
	*Membership
	stop func()
}

// segment is a set of addresses with one free port.
type segment struct{ port uint16 }

func newSegment() segment {
	GinkgoHelper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	Expect(l.Close()).To(Succeed())
	return segment{port: port}
}

// address is that of the i-th member.
func (s segment) address(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 7, byte(i)}) }

func (s segment) addresses(n int) []netip.Addr {
	var all []netip.Addr
	for i := range n {
		all = append(all, s.address(i+1))
	}
	return all
}

func (s segment) options(i int) Options {
	return Options{Name: fmt.Sprintf("node-%d", i), Bind: netip.AddrPortFrom(s.address(i), s.port), Key: key, Log: logr.Discard()}
}

// run starts a member that stops with the spec, or before by its stop.
func run(o Options, peers []netip.Addr, state State) *node {
	GinkgoHelper()
	m, err := New(o)
	Expect(err).NotTo(HaveOccurred())
	m.SetPeers(peers)
	m.Publish(state)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	n := &node{Membership: m}
	n.stop = sync.OnceFunc(func() {
		cancel()
		Eventually(done).WithTimeout(5 * time.Second).Should(Receive(BeNil()))
	})
	DeferCleanup(n.stop)
	return n
}

// states are what a member sees, as name -> version, with "?" for a state that is not known.
func (n *node) states() map[string]string {
	seen := map[string]string{}
	for _, m := range n.Members() {
		seen[m.Name] = m.State.Version
		if !m.Known {
			seen[m.Name] = "?"
		}
	}
	return seen
}

func version(v string) State {
	return State{Fit: true, Links: map[string]string{"eth0": "02:00:00:00:00:01"}, Version: v}
}

var _ = Describe("Membership", func() {
	var s segment
	BeforeEach(func() {
		SetDefaultEventuallyTimeout(10 * time.Second)
		SetDefaultEventuallyPollingInterval(5 * time.Millisecond)
		s = newSegment()
	})

	three := func() []*node {
		var nodes []*node
		for i := 1; i <= 3; i++ {
			nodes = append(nodes, run(s.options(i), s.addresses(3), version("v1")))
		}
		for _, n := range nodes {
			Eventually(n.states).Should(Equal(map[string]string{"node-1": "v1", "node-2": "v1", "node-3": "v1"}))
		}
		return nodes
	}

	It("lets members find each other and hear each other's states", func() {
		nodes := three()
		Expect(nodes[0].Members()[2]).To(Equal(Member{Name: "node-3", State: version("v1"), Known: true, Life: nodes[2].Members()[2].Life}))

		By("one of them changing its state")
		for len(nodes[0].Changed()) > 0 {
			<-nodes[0].Changed()
		}
		start := time.Now()
		nodes[2].Publish(State{Version: "v2"})
		Expect(nodes[2].Members()[2].State.Version).To(Equal("v2"))
		Eventually(nodes[0].Changed()).Should(Receive())
		for _, n := range nodes {
			Eventually(n.states).Should(HaveKeyWithValue("node-3", "v2"))
		}
		AddReportEntry("a new state reached all members after", time.Since(start).String())
		Expect(nodes[1].Members()[2].State.Fit).To(BeFalse())
	})

	It("knows itself without running", func() {
		m, err := New(s.options(1))
		Expect(err).NotTo(HaveOccurred())
		life := m.Members()[0].Life
		Expect(life).NotTo(BeZero())
		Expect(m.Members()).To(Equal([]Member{{Name: "node-1", Life: life}}))
		m.Publish(version("v1"))
		Expect(m.Changed()).To(Receive())
		Expect(m.Members()).To(Equal([]Member{{Name: "node-1", State: version("v1"), Known: true, Life: life}}))
	})

	It("finds members that start later and peers that are named later", func() {
		first := run(s.options(1), nil, version("v1"))
		second := run(s.options(2), nil, version("v1"))
		Consistently(first.states).WithTimeout(300 * time.Millisecond).Should(HaveLen(1))
		first.SetPeers(s.addresses(3))
		Eventually(second.states).Should(HaveLen(2))
		third := run(s.options(3), nil, version("v3"))
		for _, n := range []*node{first, second, third} {
			Eventually(n.states).Should(Equal(map[string]string{"node-1": "v1", "node-2": "v1", "node-3": "v3"}))
		}
	})

	It("sees a member that said goodbye as unfit at once, also while it runs late itself and holds the member", func() {
		nodes := three()
		nodes[0].mu.Lock()
		nodes[0].holds.late = time.Now().Add(time.Hour)
		nodes[0].mu.Unlock()
		held := func() bool {
			nodes[0].mu.Lock()
			defer nodes[0].mu.Unlock()
			_, held := nodes[0].holds.since["node-3"]
			return held
		}
		nodes[2].stop()
		Eventually(held).Should(BeTrue())
		Eventually(nodes[0].Members).Should(ContainElement(And(HaveField("Name", "node-3"), HaveField("State.Fit", false))))
		Eventually(nodes[0].states).ShouldNot(HaveKey("node-3"), "the hold ends")
		Expect(testutil.ToFloat64(nodes[0].metrics.losses)).To(BeEquivalentTo(1))

		By("the member coming back")
		run(s.options(3), s.addresses(3), version("v3"))
		for _, n := range nodes[:2] {
			Eventually(n.Members).Should(ContainElement(And(HaveField("Name", "node-3"), HaveField("State", version("v3")), HaveField("Known", true))))
		}
	})

	It("notices a member that is killed without goodbye, and sees the state of its next life", func() {
		others := []*node{run(s.options(1), s.addresses(3), version("v1")), run(s.options(2), s.addresses(3), version("v1"))}
		victim, err := New(s.options(3))
		Expect(err).NotTo(HaveOccurred())
		victim.Publish(version("old"))
		ctx, cancel := context.WithCancel(context.Background())
		DeferCleanup(cancel)
		list, err := victim.start(ctx)
		Expect(err).NotTo(HaveOccurred())
		for _, n := range others {
			Eventually(n.states).Should(HaveKeyWithValue("node-3", "old"))
		}

		start := time.Now()
		Expect(list.Shutdown()).To(Succeed())
		for i, n := range others {
			Eventually(n.states).ShouldNot(HaveKey("node-3"))
			AddReportEntry(fmt.Sprintf("node-%d noticed after", i+1), time.Since(start).String())
		}

		start = time.Now()
		run(s.options(3), nil, version("new"))
		for i, n := range others {
			Eventually(n.states).Should(HaveKeyWithValue("node-3", "new"))
			AddReportEntry(fmt.Sprintf("node-%d knew its new state after", i+1), time.Since(start).String())
		}
	})

	It("sees at once that a member leaves, and lets it return with another address", func() {
		nodes := three()
		start := time.Now()
		nodes[2].stop()
		Expect(nodes[2].states()).To(HaveLen(1))
		for _, n := range nodes[:2] {
			Eventually(n.states).ShouldNot(HaveKey("node-3"))
		}
		AddReportEntry("all knew that it left after", time.Since(start).String())

		moved := s.options(3)
		moved.Bind = netip.AddrPortFrom(s.address(4), s.port)
		run(moved, s.addresses(2), version("moved"))
		for _, n := range nodes[:2] {
			Eventually(n.states).Should(HaveKeyWithValue("node-3", "moved"))
		}
	})

	It("refuses a member with another key and says so", func() {
		var mu sync.Mutex
		var lines []string
		o := s.options(1)
		o.Log = funcr.New(func(_, args string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, args)
		}, funcr.Options{})
		first := run(o, s.addresses(2), version("v1"))
		stranger := s.options(2)
		stranger.Key = Key("fedcba9876543210")
		second := run(stranger, s.addresses(2), version("v1"))

		logged := func() []string {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(lines)
		}
		Eventually(logged).Should(ConsistOf(And(ContainSubstring("Member with another key rejected"), ContainSubstring(string(reason.GossipKeyDiffers)))))
		Consistently(func() int { return len(first.Members()) + len(second.Members()) }).WithTimeout(600 * time.Millisecond).Should(Equal(2))
		Expect(logged()).To(HaveLen(1), "the same line must not be repeated every 250 ms")
		for n, other := range map[*node]string{first: s.address(2).String(), second: s.address(1).String()} {
			Eventually(n.Problems).Should(ContainElement(And(HaveField("Reason", reason.GossipKeyDiffers), HaveField("Detail", ContainSubstring(other)))))
			Expect(testutil.ToFloat64(n.metrics.undecryptable)).To(BeNumerically(">", 0))
		}
	})

	It("says nothing of messages from where no speaker is expected", func() {
		first := run(s.options(1), nil, version("v1"))
		Expect(first.expects(s.address(9))).To(BeFalse())
		Expect(testutil.ToFloat64(first.metrics.undecryptable)).To(BeZero())
	})

	It("does not start without a usable key, name or address", func() {
		for _, spoil := range []func(*Options){
			func(o *Options) { o.Key = nil },
			func(o *Options) { o.Key = Key("short") },
			func(o *Options) { o.Name = "" },
			func(o *Options) { o.Bind = netip.AddrPort{} },
			func(o *Options) { o.Bind = netip.MustParseAddrPort("0.0.0.0:7946") },
			func(o *Options) { o.Profile = "hasty" },
		} {
			o := s.options(1)
			spoil(&o)
			_, err := New(o)
			Expect(err).To(HaveOccurred())
		}
	})

	It("names the address and port that is taken, and starts once it is free", func() {
		o := s.options(1)
		taken, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(o.Bind))
		Expect(err).NotTo(HaveOccurred())
		m, err := New(o)
		Expect(err).NotTo(HaveOccurred())
		err = m.Run(context.Background())
		Expect(err).To(MatchError(And(ContainSubstring(o.Bind.String()), ContainSubstring(string(reason.GossipPortTaken)))))

		Expect(taken.Close()).To(Succeed())
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		Expect(m.Run(ctx)).To(Succeed())
	})

	It("counts members and losses", func() {
		registry := prometheus.NewRegistry()
		o := s.options(1)
		o.Metrics = registry
		first := run(o, s.addresses(2), version("v1"))
		second := run(s.options(2), nil, version("v1"))
		Eventually(func() float64 { return testutil.ToFloat64(first.metrics.members) }).Should(BeEquivalentTo(2))
		second.stop()
		Eventually(func() float64 { return testutil.ToFloat64(first.metrics.losses) }).Should(BeEquivalentTo(1))
		Expect(testutil.ToFloat64(first.metrics.members)).To(BeEquivalentTo(1))
		_, err := New(o)
		Expect(err).To(MatchError(ContainSubstring("registering the metrics")))
	})
})
