// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/lab"
	"metalsuite.io/test/suite"
)

const (
	floodFor = 3 * time.Second
	// unlimited asks as fast as one thread can send.
	unlimited = 0
)

// offered are the rates at which the client asks, in questions a second.
var offered = []int{10_000, 20_000, 50_000, 100_000, unlimited}

// target is what a flood asks for.
type target struct {
	name     string
	address  netip.Addr
	question lab.Question
	// mac is whose answers count; any when it is empty.
	mac net.HardwareAddr
	// node is the node whose speaker's work is measured, "" if it is none's.
	node string
}

// flood measures how many questions a second are answered, by ARP and by NDP: by the owner of an address, and by a process that does
// nothing else than answer, on a host of the same segment. And what it costs a speaker to ignore what is not its own.
func (b bench) flood(ctx context.Context) error {
	const name = "bench-flood"
	four, six := nth(b.Lab.Pool4(), 12_000), nth(b.Lab.Pool6(), 12_000)
	if err := b.Apply(ctx, b.asking(name, corev1.IPFamilyPolicyRequireDualStack, four, six)); err != nil {
		return err
	}
	for _, address := range []netip.Addr{four, six} {
		if err := b.floodFamily(ctx, protocolOf(address), address); err != nil {
			return err
		}
	}
	return b.Gone(ctx, suite.HelloService(namespace, name, app), limit)
}

func protocolOf(address netip.Addr) string {
	if address.Is4() {
		return "ARP"
	}
	return "NDP"
}

// floodFamily floods one address and its neighbours in the pool.
func (b bench) floodFamily(ctx context.Context, protocol string, address netip.Addr) error {
	owner, mac, err := b.OneAnswer(ctx, address, limit, 6*time.Second)
	if err != nil {
		return err
	}
	hardware, err := net.ParseMAC(mac)
	if err != nil {
		return fmt.Errorf("reading a hardware address: %w", err)
	}
	other := b.Lab.Nodes()[0].Name
	if other == owner {
		other = b.Lab.Nodes()[1].Name
	}
	if err := b.unasked(ctx, owner); err != nil {
		return err
	}
	outside := outsideOfPools(address)
	strange, err := b.Lab.Stranger().MAC(lab.Segment)
	if err != nil {
		return err
	}
	empty, err := b.echo(ctx, outside, strange)
	if err != nil {
		return err
	}
	for _, t := range []target{
		{protocol + " to everybody, empty responder", outside, lab.Question{}, strange, ""},
		{protocol + " to everybody, speaker", address, lab.Question{}, hardware, owner},
		{protocol + " to one, empty responder", outside, lab.Question{To: strange}, strange, ""},
		{protocol + " to one, speaker", address, lab.Question{To: hardware}, hardware, owner},
	} {
		if err := b.steps(ctx, t); err != nil {
			return err
		}
	}
	if err := empty(); err != nil {
		return err
	}
	for _, t := range []target{
		{protocol + " to everybody, for another node's address", address, lab.Question{}, nil, other},
		{protocol + " to everybody, for a free address of the pool", address.Next(), lab.Question{}, nil, owner},
		{protocol + " to everybody, for an address of no pool", outside.Next(), lab.Question{}, nil, owner},
	} {
		if err := b.ignored(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// outsideOfPools is an address of the segment that is in no pool and that no host has.
func outsideOfPools(address netip.Addr) netip.Addr {
	if address.Is4() {
		return netip.MustParseAddr("10.89.32.1")
	}
	return netip.MustParseAddr("fd89::2:1")
}

// steps offers each rate in turn and reports what is lost, and the highest rate at which nothing is.
func (b bench) steps(ctx context.Context, t target) error {
	best := 0.0
	for _, rate := range offered {
		f, share, err := b.pour(ctx, t, rate)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s, %s: ", t.name, rateName(rate))
		report(name+"sent", "1/s", []float64{f.perSecond(f.sent)})
		report(name+"answered", "1/s", []float64{f.perSecond(f.answered)})
		report(name+"lost", "%", []float64{f.loss()})
		if t.node != "" {
			report(name+"speaker's CPU, of a core", "%", []float64{share})
		}
		if f.answered == f.sent {
			best = max(best, f.perSecond(f.sent))
		}
	}
	report(t.name+": highest rate without loss", "1/s", []float64{best})
	return nil
}

// unasked reports what the node's speaker spends while nobody asks, which the other figures include.
func (b bench) unasked(ctx context.Context, node string) error {
	before, err := b.speakerCPU(ctx, node)
	if err != nil {
		return err
	}
	if err := pause(ctx, floodFor); err != nil {
		return err
	}
	after, err := b.speakerCPU(ctx, node)
	report("speaker's CPU while nobody asks, of a core", "%", []float64{100 * (after - before) / floodFor.Seconds()})
	return err
}

// ignored reports what the node's speaker spends on questions that are not for it.
func (b bench) ignored(ctx context.Context, t target) error {
	for _, rate := range []int{10_000, unlimited} {
		f, share, err := b.pour(ctx, t, rate)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%s, %s: ", t.name, rateName(rate))
		report(name+"sent", "1/s", []float64{f.perSecond(f.sent)})
		report(name+"CPU of a speaker that has no answer, of a core", "%", []float64{share})
	}
	return nil
}

func rateName(rate int) string {
	if rate == unlimited {
		return "as many as can be sent"
	}
	return fmt.Sprintf("%d,000/s", rate/1000)
}

// pour sends one flood and returns what share of a core, in percent, the speaker of the target's node used meanwhile.
func (b bench) pour(ctx context.Context, t target, rate int) (f flooded, share float64, err error) {
	x, err := b.Lab.Client().Exchange(lab.Segment, t.address, t.question, t.mac6())
	if err != nil {
		return f, 0, err
	}
	before, err := b.speakerCPU(ctx, t.node)
	if err != nil {
		return f, 0, err
	}
	begin := time.Now()
	if f, err = pour(ctx, b.Lab.Client(), x, rate, floodFor); err != nil {
		return f, 0, err
	}
	after, err := b.speakerCPU(ctx, t.node)
	return f, 100 * (after - before) / time.Since(begin).Seconds(), err
}

// mac6 is a hardware address for the answer that is expected, which matters only if answers are.
func (t target) mac6() net.HardwareAddr {
	if t.mac == nil {
		return make(net.HardwareAddr, 6)
	}
	return t.mac
}

// speakerCPU is how many seconds of CPU the speaker of a node has used; 0 without a node.
func (b bench) speakerCPU(ctx context.Context, node string) (float64, error) {
	if node == "" {
		return 0, nil
	}
	pods, err := b.Speakers(ctx)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName == node })
	if i < 0 {
		return 0, fmt.Errorf("no speaker runs on node %s", node)
	}
	container, err := suite.ContainerOf(&pods[i])
	if err != nil {
		return 0, err
	}
	return container.CPU()
}

// asking returns a Service that asks for these addresses.
func (b bench) asking(name string, policy corev1.IPFamilyPolicy, addresses ...netip.Addr) *corev1.Service {
	s := suite.HelloService(namespace, name, app)
	var texts []string
	for _, a := range addresses {
		texts = append(texts, a.String())
		s.Spec.IPFamilies = append(s.Spec.IPFamilies, familyOf(a))
	}
	s.Spec.IPFamilyPolicy = &policy
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, v1beta1.AnnotationLoadBalancerIPs, strings.Join(texts, ","))
	return s
}

func familyOf(address netip.Addr) corev1.IPFamily {
	if address.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// nth returns address number n of a pool.
func nth(pool netip.Prefix, n int) netip.Addr {
	a := pool.Masked().Addr()
	for range n {
		a = a.Next()
	}
	return a
}
